/* ddim.c - Song et al. 2020 with eta 0: x' = sqrt(a') x0 + sqrt(1 - a') e. */
#include <math.h>

#include "worker/sampler/fill.h"
#include "worker/sampler/spacing.h"

static const struct spacing_rule rule = {.standard = SPACING_LEADING, .rounded = true};

/* The clean image and the noise that a prediction stands for. Written with a and not with sigma,
 * because a may be 0 (rescale_zero_snr): x = sqrt(a) x0 + sqrt(1 - a) e, v = sqrt(a) e - sqrt(1 -
 * a) x0. */
struct predicted {
  struct linear image;
  struct linear noise;
};
static struct predicted predicted_at(enum prediction prediction, double a) {
  double alpha = sqrt(a);
  double sigma = sqrt(1.0 - a);
  switch (prediction) {
    case PREDICTION_EPSILON:
      return (struct predicted){.image = {1.0 / alpha, -sigma / alpha}, .noise = {0.0, 1.0}};
    case PREDICTION_V:
      return (struct predicted){.image = {alpha, -sigma}, .noise = {sigma, alpha}};
    case PREDICTION_SAMPLE:
      break;
  }
  return (struct predicted){.image = {0.0, 1.0}, .noise = {1.0 / sigma, -alpha / sigma}};
}

/* Alpha bar of the timestep that a step goes to; before the first one what the config says. */
static double alpha_bar_at(const struct noise_levels *levels, int timestep) {
  if (timestep >= 0) {
    return levels->alpha_bar[timestep];
  }
  return levels->facts.set_alpha_to_one ? 1.0 : levels->alpha_bar[0];
}

enum status ddim_fill(struct arena *arena, const struct plan_request *request, struct plan *out) {
  const struct noise_levels *levels = request->levels;
  struct points points;
  TRY(points_space(levels, &rule, request->steps, &points));
  if (points.timestep[0] >= levels->facts.train_timesteps) {
    return fail_field(BAD_INPUT, "steps",
                      "%d steps with steps_offset %d would begin at timestep %d of %d",
                      request->steps, levels->facts.steps_offset, (int)points.timestep[0],
                      levels->facts.train_timesteps);
  }
  TRY(plan_take(arena, request->steps, 1, out));
  int stride = levels->facts.train_timesteps / request->steps;
  for (int i = 0; i < request->steps; i++) {
    int timestep = (int)points.timestep[i];
    double to = alpha_bar_at(levels, timestep - stride);
    struct predicted at = predicted_at(levels->facts.prediction, levels->alpha_bar[timestep]);
    double keep = sqrt(to);
    double add = sqrt(1.0 - to);
    /* add_noise at the next timestep of the list, not where this step leads: trailing and linspace
     * have other strides than T / steps. */
    double next = i + 1 < request->steps ? levels->alpha_bar[(int)points.timestep[i + 1]] : 1.0;
    out->row[i].keep_clean = (float)sqrt(next);
    out->row[i].keep_begun = (float)sqrt(1.0 - next);
    out->row[i].timestep = (float)timestep;
    *plan_cell(out, i, 0, COLUMN_SAMPLE) =
        (float)(keep * at.image.by_sample + add * at.noise.by_sample);
    *plan_cell(out, i, 0, column_output(out)) =
        (float)(keep * at.image.by_output + add * at.noise.by_output);
  }
  return OK;
}
