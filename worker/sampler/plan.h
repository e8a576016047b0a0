/* plan.h - a sampler is a table, not a loop.
 *
 * Row e says how evaluation e of the U-Net is made and what becomes of its output:
 *   the U-Net sees input_scale * slot[0] at `timestep`, giving `out` (after guidance);
 *   slots' = matrix * (slot[0], ..., slot[S-1], out, noise), element by element;
 *   where a mask keeps the picture, slot[0] = keep_clean * clean + keep_begun * begun: the latents
 *   of the picture and the noise it began with, as noisy as slot[0] is after this row.
 * At the start slot[0] = start_scale * noise + start_clean * clean, or, with start_none, what it is
 * told (a state that another model has left there); all other slots are 0. After the last row
 * slot[0] is the latent image, or with `end` below 1 the state for the model that goes on. So the
 * engine owns the only loop, samples with different samplers share a batch, and a sample can be
 * written down after any row and resumed elsewhere.
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
  float keep_clean, keep_begun; /* add_noise at the level after this row; 1 and 0 after the last */
  float matrix[SAMPLE_SLOTS_MAX *
               (SAMPLE_SLOTS_MAX + 2)]; /* slots x (slots + 2), row major, leading part used */
};

struct plan {
  int rows;          /* 0 where nothing is left to do: strength 0 */
  int slots;         /* 1..SAMPLE_SLOTS_MAX */
  int steps;         /* the steps that are made: fewer than asked for with strength, begin or end */
  float start_scale; /* on fresh noise */
  float start_clean; /* on the image's latents; 0 from noise alone */
  bool start_none;   /* slot 0 is taken as it is: neither noise nor scale */
  struct plan_row *row;
};

/* How the noise levels between the first and the last are chosen: by the spacing of the timesteps,
 * or by sigma. The numbers are the contract's: SCHEDULE_MODEL 1, SCHEDULE_KARRAS 2, ... */
enum noise_schedule {
#define NOISE_SCHEDULE(ID, number, ...) SCHEDULE_##ID = (number),
#include "proto/samplers.def"
};

struct plan_request {
  const struct noise_levels *levels;
  const char *sampler; /* a name of the table below */
  enum noise_schedule schedule;
  enum spacing spacing; /* SPACING_DEFAULT: what the model's facts say */
  int steps;
  double eta;      /* 0..1, of samplers that use it; else 0 */
  bool image;      /* begins with an image's latents, noised as add_noise does */
  double strength; /* 0..1: with an image, the part of the steps that is made; else 1 */
  double begin;    /* 0..1: above 0 only steps below this part of the noise: denoising_start */
  double end;      /* 0..1: below 1 only steps above it: denoising_end */
};

/* A request for a whole run from noise as the model's facts have it. */
struct plan_request plan_request_make(const struct noise_levels *levels, const char *sampler,
                                      int steps);

/* Fills a plan from the arena. BAD_INPUT with the field "sampler", "noise_schedule", "spacing",
 * "steps", "eta", "strength" or "denoising" for an unknown sampler, a schedule, a spacing or an eta
 * that it does not have, more steps than the spacing can give, or a part of them that is empty.
 * Strength 0 is no error: the plan has no rows and begins with the image as it is. */
enum status plan_make(struct arena *arena, const struct plan_request *request, struct plan *out);

/* The table of samplers, made from proto/samplers.def. */
struct sampler {
  const char *name;
  enum status (*fill)(struct arena *arena, const struct plan_request *request, struct plan *out);
  bool any_schedule;  /* else the model's alone */
  bool own_timesteps; /* no spacing goes with it */
  bool uses_eta;
};
extern const struct sampler samplers[];
extern const size_t sampler_count;

/* "karras"; NULL for a number that is none. */
const char *schedule_name(enum noise_schedule schedule);

#endif
