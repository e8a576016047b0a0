/* schedules.h - noise levels chosen by sigma: Karras, exponential and beta, in double. */
#ifndef DARKROOM_WORKER_SAMPLER_SCHEDULES_H
#define DARKROOM_WORKER_SAMPLER_SCHEDULES_H

#include "worker/sampler/plan.h"

/* Fills sigma[0..count) from sigma_max down to sigma_min by a schedule other than SCHEDULE_MODEL:
 *   Karras       Karras et al. 2022, equation 5 with rho 7
 *   exponential  evenly in log sigma
 *   beta         Lee et al. 2024 (2407.12173): quantiles of the beta distribution with 0.6 and 0.6
 * sigma_max >= sigma_min > 0; a count of 1 gives sigma_max. */
void schedule_sigmas(enum noise_schedule schedule, double sigma_max, double sigma_min, int count,
                     double *sigma);

#endif
