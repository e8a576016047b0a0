/* listed.h - what the samplers of whole timesteps share: x = sqrt(a) x0 + sqrt(1 - a) e, and a
 * list of timesteps whose alpha bar the table has. Private to this folder. */
#ifndef DARKROOM_WORKER_SAMPLER_LISTED_H
#define DARKROOM_WORKER_SAMPLER_LISTED_H

#include "worker/sampler/fill.h"
#include "worker/sampler/spacing.h"

/* A run, a row for each point of its list, and the part of it that is made. */
struct listed {
  struct points points;
  struct part part;
};

/* The list by the spacing of this family. */
enum status listed_find(const struct plan_request *request, struct listed *out);

/* Takes the rows, and fills in how slot 0 begins, what each row is told, and how noisy add_noise
 * makes the next. */
enum status listed_begin(struct arena *arena, const struct plan_request *request,
                         const struct listed *run, int slots, struct plan *out);

/* Of row i of the list: alpha bar (1 behind the last), and what the output says of slot 0. */
double listed_alpha_bar(const struct noise_levels *levels, const struct listed *run, int i);
struct predicted listed_predicted(const struct noise_levels *levels, const struct listed *run,
                                  int i);

/* Alpha bar of any timestep; below 0, behind the last one, what the facts say: 1 or the first of
 * the table; `one` is what the sampler's class takes where they say nothing. */
double alpha_bar_at(const struct noise_levels *levels, int timestep, bool one);

#endif
