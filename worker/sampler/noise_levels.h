/* noise_levels.h - how much noise a model was trained with at each timestep, and which timesteps a
 * run visits.
 *
 * Arithmetic only. The facts come from a model's scheduler_config.json (worker/model/family.c reads
 * them).
 */
#ifndef DARKROOM_WORKER_SAMPLER_NOISE_LEVELS_H
#define DARKROOM_WORKER_SAMPLER_NOISE_LEVELS_H

#include <stdbool.h>

#include "base/status.h"

#define TRAIN_TIMESTEPS_MAX 2000

enum prediction { PREDICTION_EPSILON, PREDICTION_V, PREDICTION_SAMPLE };
enum beta_schedule { BETAS_LINEAR, BETAS_SCALED_LINEAR, BETAS_SQUARED_COSINE };
/* SPACING_DEFAULT: what the sampler's class in diffusers takes when the config says nothing. */
enum spacing { SPACING_DEFAULT, SPACING_LEADING, SPACING_LINSPACE, SPACING_TRAILING };
/* set_alpha_to_one, whose default is true in DDIM and false in PNDM. */
enum final_alpha { FINAL_ALPHA_DEFAULT, FINAL_ALPHA_ONE, FINAL_ALPHA_FIRST };

struct noise_facts {
  int train_timesteps; /* 1..TRAIN_TIMESTEPS_MAX */
  double beta_start, beta_end;
  enum beta_schedule beta_schedule;
  enum prediction prediction;
  enum spacing spacing;
  int steps_offset; /* the pipelines of SD 1 and 2 make it 1 whatever the file says, XL's do not */
  enum final_alpha final_alpha; /* where the last step of DDIM and PNDM goes: 1, or alpha bar[0] */
  int original_steps;           /* the grid that LCM and TCD were distilled on; 0: 50 */
  bool rescale_zero_snr;        /* Lin et al. 2023: shift so that the last timestep is pure noise */
};

/* Cumulative products of 1 - beta (alpha bar) and sigma = sqrt((1 - a)/a) for every training
 * timestep, f32 as torch has them. With rescale_zero_snr the last alpha bar is 0 and the last sigma
 * that of alpha bar 2^-24, as in diffusers. */
struct noise_levels {
  struct noise_facts facts;
  double alpha_bar[TRAIN_TIMESTEPS_MAX];
  double sigma[TRAIN_TIMESTEPS_MAX];
};

/* Fills the table; BAD_INPUT, field "config", for facts out of range. */
enum status noise_levels_make(const struct noise_facts *facts, struct noise_levels *out);

#endif
