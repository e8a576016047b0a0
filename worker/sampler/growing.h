/* growing.h - what Euler's kin share: x = x0 + sigma e, the U-Net sees x/sqrt(sigma^2 + 1). Private
 * to this folder. */
#ifndef DARKROOM_WORKER_SAMPLER_GROWING_H
#define DARKROOM_WORKER_SAMPLER_GROWING_H

#include "worker/sampler/fill.h"
#include "worker/sampler/spacing.h"

/* A run with one row a step, and the part of it that is made. */
struct growing {
  struct points points;
  struct part part;
};
enum status growing_find(const struct plan_request *request, struct growing *out);

/* The same for methods with two rows in each step but the last, whose list of timesteps is t0, m0,
 * t1, m1, ..., t(n-1): middle[i] is what the second row of step i is told. The part counts rows. */
enum status growing_find_pairs(const struct plan_request *request, const double *middle,
                               struct growing *out);

/* How slot 0 begins. */
void growing_begin(const struct plan_request *request, const struct growing *run, struct plan *out);
/* The same where the part counts rows, two a step. */
void growing_begin_pairs(const struct plan_request *request, const struct growing *run,
                         struct plan *out);

/* A row that evaluates at sigma and leaves the sample at `to`. */
void growing_row(struct plan_row *row, double timestep, double sigma, double to);

/* d = (x - x0)/sigma, of slot 0. */
struct form growing_slope(const struct plan_request *request, double sigma);

/* Of a step from sigma to `to` the part that fresh noise makes up: k-diffusion's ancestral step
 * with eta 1; the rest is sqrt(to^2 - up^2). */
double ancestral_up(double sigma, double to);

#endif
