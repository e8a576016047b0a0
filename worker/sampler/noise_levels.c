/* noise_levels.c - torch's arithmetic: every table is f32, only the running product is kept in
 * double. */
#include "worker/sampler/noise_levels.h"

#include <math.h>

#define COSINE_OFFSET 0.008
#define COSINE_BETA_MAX 0.999
#define ALPHA_BAR_MIN 0x1p-24f /* stands for 0 where a finite sigma is needed */

/* torch.linspace in f32: counted from both ends so that it is symmetric. */
static float linspace(float start, float end, int count, int i) {
  if (count == 1) {
    return start;
  }
  float step = (end - start) / (float)(count - 1);
  return i < count / 2 ? start + step * (float)i : end - step * (float)(count - 1 - i);
}

static double cosine_alpha_bar(double t) {
  double c = cos((t + COSINE_OFFSET) / (1.0 + COSINE_OFFSET) * M_PI / 2.0);
  return c * c;
}

static float beta(const struct noise_facts *facts, int t) {
  int count = facts->train_timesteps;
  switch (facts->beta_schedule) {
    case BETAS_LINEAR:
      return linspace((float)facts->beta_start, (float)facts->beta_end, count, t);
    case BETAS_SCALED_LINEAR: {
      float root = linspace((float)sqrt(facts->beta_start), (float)sqrt(facts->beta_end), count, t);
      return root * root;
    }
    case BETAS_SQUARED_COSINE: { /* Nichol & Dhariwal 2021 */
      double before = cosine_alpha_bar((double)t / count);
      double after = cosine_alpha_bar((double)(t + 1) / count);
      return (float)fmin(1.0 - after / before, COSINE_BETA_MAX);
    }
  }
  return 0.0f;
}

static void running_product(const float *betas, int count, float *alpha_bar) {
  double product = 1.0;
  for (int t = 0; t < count; t++) {
    product *= (double)(1.0f - betas[t]);
    alpha_bar[t] = (float)product;
  }
}

/* Lin et al. 2023, algorithm 1: shifts and scales sqrt(alpha bar) so that it ends in 0 and begins
 * where it began. */
static void rescale(float *betas, int count, float *alpha_bar) {
  running_product(betas, count, alpha_bar);
  float first = sqrtf(alpha_bar[0]);
  float last = sqrtf(alpha_bar[count - 1]);
  float before = 1.0f;
  for (int t = 0; t < count; t++) {
    float root = (sqrtf(alpha_bar[t]) - last) * (first / (first - last));
    betas[t] = 1.0f - root * root / before;
    before = root * root;
  }
  running_product(betas, count, alpha_bar);
}

static enum status check(const struct noise_facts *facts) {
  if (facts->train_timesteps < 1 || facts->train_timesteps > TRAIN_TIMESTEPS_MAX) {
    return fail_field(BAD_INPUT, "config", "num_train_timesteps %d is not in 1..%d",
                      facts->train_timesteps, TRAIN_TIMESTEPS_MAX);
  }
  if (facts->steps_offset < 0 || facts->steps_offset >= facts->train_timesteps) {
    return fail_field(BAD_INPUT, "config", "steps_offset %d is not in 0..%d", facts->steps_offset,
                      facts->train_timesteps - 1);
  }
  if (facts->original_steps < 0 || facts->original_steps > facts->train_timesteps) {
    return fail_field(BAD_INPUT, "config", "original_inference_steps %d is not in 0..%d",
                      facts->original_steps, facts->train_timesteps);
  }
  bool named = facts->beta_schedule == BETAS_SQUARED_COSINE;
  if (!named &&
      !(facts->beta_start > 0.0 && facts->beta_end >= facts->beta_start && facts->beta_end < 1.0)) {
    return fail_field(BAD_INPUT, "config",
                      "beta_start %g and beta_end %g do not rise within (0, 1)", facts->beta_start,
                      facts->beta_end);
  }
  if (facts->rescale_zero_snr && facts->train_timesteps < 2) {
    return fail_field(BAD_INPUT, "config",
                      "rescale_betas_zero_snr needs at least 2 training timesteps");
  }
  return OK;
}

enum status noise_levels_make(const struct noise_facts *facts, struct noise_levels *out) {
  TRY(check(facts));
  int count = facts->train_timesteps;
  float betas[TRAIN_TIMESTEPS_MAX] = {0};
  float alpha_bar[TRAIN_TIMESTEPS_MAX] = {0};
  for (int t = 0; t < count; t++) {
    betas[t] = beta(facts, t);
  }
  running_product(betas, count, alpha_bar);
  if (facts->rescale_zero_snr) {
    rescale(betas, count, alpha_bar);
  }
  *out = (struct noise_levels){.facts = *facts};
  for (int t = 0; t < count; t++) {
    bool zero = facts->rescale_zero_snr && t == count - 1;
    float a = zero ? ALPHA_BAR_MIN : alpha_bar[t];
    out->alpha_bar[t] = alpha_bar[t];
    out->sigma[t] = sqrtf((1.0f - a) / a);
  }
  return OK;
}
