/* plan.h - a sampler is a table, not a loop.
 *
 * Row e says how evaluation e of the U-Net is made and what becomes of its output:
 *   the U-Net sees input_scale * slot[0] at `timestep`, giving `out` (after guidance);
 *   slots' = matrix * (slot[0], ..., slot[S-1], out, noise), element by element.
 * At the start slot[0] = start_scale * noise, all other slots are 0. After the last row slot[0] is
 * the latent image. So the engine owns the only loop, samples with different samplers share a
 * batch, and a sample can be written down after any row and resumed elsewhere.
 */
#ifndef DARKROOM_WORKER_SAMPLER_PLAN_H
#define DARKROOM_WORKER_SAMPLER_PLAN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/limits.h"
#include "base/status.h"
#include "worker/sampler/noise_levels.h"

struct plan_row {
  float timestep;    /* what the U-Net is told */
  float input_scale; /* on slot 0 */
  bool needs_noise;  /* draw fresh noise for this row, in row order */
  int step;          /* the user's step this belongs to, 0-based: Heun has two rows a step */
  float matrix[SAMPLE_SLOTS_MAX *
               (SAMPLE_SLOTS_MAX + 2)]; /* slots x (slots + 2), row major, leading part used */
};

struct plan {
  int rows;
  int slots;         /* 1..SAMPLE_SLOTS_MAX */
  int steps;         /* the user's number of steps */
  float start_scale; /* initial noise sigma */
  struct plan_row *row;
};

struct plan_request {
  const struct noise_levels *levels;
  const char *sampler; /* "euler", "euler_a", "ddim", "dpmpp_2m" */
  bool karras;
  int steps;
};

/* Fills a plan from the arena. BAD_INPUT with field "sampler" or "steps" for an unknown sampler, a
 * sampler that has no Karras form, or more steps than training timesteps where the spacing cannot
 * give them. */
enum status plan_make(struct arena *arena, const struct plan_request *request, struct plan *out);

/* The table of samplers: name, whether it has a Karras form, and the function that fills a plan. */
struct sampler {
  const char *name;
  bool has_karras;
  enum status (*fill)(struct arena *arena, const struct plan_request *request, struct plan *out);
  const char *source; /* paper, and the class in diffusers that it agrees with */
};
extern const struct sampler samplers[];
extern const size_t sampler_count;

#endif
