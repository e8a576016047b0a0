/* fill.h - what the samplers' fill functions share; private to this folder. */
#ifndef DARKROOM_WORKER_SAMPLER_FILL_H
#define DARKROOM_WORKER_SAMPLER_FILL_H

#include "worker/sampler/plan.h"

/* A fill function makes the plan of one sampler: it places the points of the run, lists a timestep
 * for every row that the whole run would have, cuts that list to the part that is asked for
 * (part_find), takes the rows and fills them. */
#define SAMPLER(ID, number, function, ...)                                             \
  enum status function##_fill(struct arena *arena, const struct plan_request *request, \
                              struct plan *out);
#include "proto/samplers.def"

/* ---- the part of a run ---- */

/* Rows first to last - 1 of a whole run. */
struct part {
  int first;
  int last;
};

/* The part that strength, begin and end leave of rows with these timesteps, as diffusers' pipelines
 * cut their scheduler's list: with an image the last int(steps * strength) steps (get_timesteps);
 * with begin the rows below T - begin T, one more where that would begin within a step of two rows;
 * with end the rows from T - end T up. BAD_INPUT, field "strength" or "denoising", for no row. */
enum status part_find(const struct plan_request *request, const double *timestep, int rows,
                      int rows_of_a_step, struct part *out);

/* ---- how noisy a sample is ---- */

/* add_noise: clean * the image's latents + noise * the noise. */
struct level {
  double clean;
  double noise;
};
struct level level_of_alpha_bar(double alpha_bar); /* sqrt(a), sqrt(1 - a) */
struct level level_growing(double sigma);          /* 1, sigma */
struct level level_keeping(double sigma);          /* both divided by sqrt(sigma^2 + 1) */

/* ---- rows ---- */

/* Takes zeroed rows for a part of a run whose steps have so many rows, and numbers their steps. */
enum status plan_take(struct arena *arena, const struct part *part, int rows_of_a_step, int slots,
                      struct plan *out);
/* How slot 0 begins: as noisy as `first`, the level of the part's first row, over an image;
 * `scale` times noise without one; as it is told where another model has begun. */
void plan_begin(const struct plan_request *request, struct level first, double scale,
                struct plan *out);
/* What the row after this one finds where a mask keeps the picture. */
void plan_keep(struct plan_row *row, struct level level);

/* ---- the algebra of a row ---- */

/* A quantity that is linear in what a row has at hand: the slots, the U-Net's output, fresh noise.
 */
enum { COLUMN_OUTPUT = SAMPLE_SLOTS_MAX, COLUMN_NOISE, COLUMNS };
struct form {
  double column[COLUMNS];
};
struct form form_of(int column); /* a slot, COLUMN_OUTPUT or COLUMN_NOISE */
struct form form_times(double factor, struct form form);
struct form form_plus(struct form left, struct form right);
/* What becomes of a slot in this row. */
void plan_set(const struct plan *plan, int row, int slot, struct form form);

/* The clean image x0 that a prediction stands for, where slot 0 = scale * (x0 + sigma * e). scale
 * is 1 for samplers that let the noise grow and 1/sqrt(sigma^2 + 1) for those that keep the
 * variance.
 *
 */
struct form image_growing(enum prediction prediction, double sigma);
struct form image_keeping(enum prediction prediction, double sigma);

/* x0 and e where slot 0 = sqrt(a) x0 + sqrt(1 - a) e: written with a and not with sigma, because a
 * may be 0 (rescale_zero_snr). `output` is what the U-Net's output stands in, for methods that mix
 * several. */
struct predicted {
  struct form image;
  struct form noise;
};
struct predicted predicted_at(enum prediction prediction, double alpha_bar, struct form sample,
                              struct form output);

#endif
