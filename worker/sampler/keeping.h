/* keeping.h - what DPM-Solver++ and UniPC share: x = alpha (x0 + sigma e) with alpha =
 * 1/sqrt(sigma^2 + 1), the image predicted; lambda = -log sigma. Private to this folder. */
#ifndef DARKROOM_WORKER_SAMPLER_KEEPING_H
#define DARKROOM_WORKER_SAMPLER_KEEPING_H

#include "worker/sampler/fill.h"
#include "worker/sampler/spacing.h"

/* A run and the part of it that is made. */
struct keeping {
  struct points points;
  struct part part;
};
enum status keeping_find(const struct plan_request *request, enum rounding rounding,
                         struct keeping *out);

/* How slot 0 begins: with variance 1. */
void keeping_begin(const struct plan_request *request, const struct keeping *run, struct plan *out);

/* What the row of step i is told, and how noisy it leaves the sample. */
void keeping_row(struct plan_row *row, const struct keeping *run, int i);

/* From sigma to `to`: (to alpha(to)) / (sigma alpha(sigma)), what is kept of the sample. */
double keeping_kept(double sigma, double to);

#endif
