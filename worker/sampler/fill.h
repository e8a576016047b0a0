/* fill.h - what the samplers' fill functions share; private to this folder. */
#ifndef DARKROOM_WORKER_SAMPLER_FILL_H
#define DARKROOM_WORKER_SAMPLER_FILL_H

#include "worker/sampler/plan.h"

enum status euler_fill(struct arena *arena, const struct plan_request *request, struct plan *out);
enum status euler_a_fill(struct arena *arena, const struct plan_request *request, struct plan *out);
enum status ddim_fill(struct arena *arena, const struct plan_request *request, struct plan *out);
enum status dpmpp_2m_fill(struct arena *arena, const struct plan_request *request,
                          struct plan *out);

/* Takes zeroed rows for a plan of one row a step. */
enum status plan_take(struct arena *arena, int steps, int slots, struct plan *out);

/* A quantity that is linear in what a step has at hand: by_sample * slot[0] + by_output * out. */
struct linear {
  double by_sample;
  double by_output;
};

/* The clean image x0 and the noise e that a prediction stands for, where slot[0] = scale * (x0 +
 * sigma * e). scale is 1 for samplers that let the noise grow (Euler) and 1/sqrt(sigma^2 + 1) for
 * those that keep the variance (DDIM, DPM++). */
struct linear predicted_image(enum prediction prediction, double scale, double sigma);

/* Where the columns of a row's matrix are: slots first, then the U-Net's output, then noise. */
float *plan_cell(const struct plan *plan, int row, int slot, int column);
enum { COLUMN_SAMPLE = 0 };
static inline int column_output(const struct plan *plan) { return plan->slots; }
static inline int column_noise(const struct plan *plan) { return plan->slots + 1; }

#endif
