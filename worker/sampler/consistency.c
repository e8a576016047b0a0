/* consistency.c - samplers of models that were distilled to go to the image from anywhere: LCM
 * (Luo et al. 2023, 2310.04378) and TCD (Zheng et al. 2024, 2402.19159).
 *
 * They were distilled on a grid of 50 timesteps, and a run visits some of these, whatever the
 * model's spacing. An image's strength shortens the grid, and all steps are made.
 *
 */
#include <math.h>

#include "worker/sampler/listed.h"

#define GRID_STEPS 50
#define SIGMA_DATA 0.5
#define TIMESTEP_SCALE 10.0

static enum status check_grid(const struct plan_request *request, int whole, int grid) {
  if (whole > request->levels->facts.train_timesteps) {
    return fail_field(BAD_INPUT, "sampler", "%s's grid of %d is finer than %d training timesteps",
                      request->sampler, whole, request->levels->facts.train_timesteps);
  }
  if (request->steps > grid) {
    return fail_field(BAD_INPUT, "steps", "%d steps are more than the %d of %s's grid%s",
                      request->steps, grid, request->sampler,
                      request->image ? " at this strength" : "");
  }
  return OK;
}

/* Evenly by index, from the grid's noisy end: numpy.linspace without its end, cut. */
static enum status points_of_grid(const struct plan_request *request, struct points *out) {
  const struct noise_facts *facts = &request->levels->facts;
  int whole = facts->original_steps > 0 ? facts->original_steps : GRID_STEPS;
  int skip = facts->train_timesteps / whole;
  int grid = (int)(whole * (request->begin > 0.0 ? 1.0 : request->strength));
  TRY(check_grid(request, whole, grid));
  struct points points = {.steps = request->steps};
  for (int i = 0; i < points.steps; i++) {
    int at = (int)floor(i * ((double)grid / request->steps));
    points.timestep[i] = (double)(grid - at) * skip - 1.0;
  }
  *out = points;
  return OK;
}

/* Strength has made the list already: it cuts nothing off. */
static enum status begin(struct arena *arena, const struct plan_request *request,
                         struct listed *run, struct plan *out) {
  struct plan_request listed = *request;
  struct part part = {0};
  listed.image = false;
  TRY(points_of_grid(request, &run->points));
  TRY(part_find(&listed, run->points.timestep, run->points.steps, 1, &part));
  run->part = part;
  return listed_begin(arena, request, run, 1, out);
}

/* The image by the consistency function, noised again down to the next timestep: f = c_out x0 +
 * c_skip x, x' = sqrt(a') f + sqrt(1 - a') noise; the last step ends in f. */
enum status lcm_fill(struct arena *arena, const struct plan_request *request, struct plan *out) {
  struct listed run;
  TRY(begin(arena, request, &run, out));
  for (int i = run.part.first; i < run.part.last; i++) {
    int row = i - run.part.first;
    double t = run.points.timestep[i] * TIMESTEP_SCALE;
    double total = t * t + SIGMA_DATA * SIGMA_DATA;
    struct form image =
        form_plus(form_times(t / sqrt(total), listed_predicted(request->levels, &run, i).image),
                  form_times(SIGMA_DATA * SIGMA_DATA / total, form_of(0)));
    struct level to = level_of_alpha_bar(listed_alpha_bar(request->levels, &run, i + 1));
    out->row[row].needs_noise = i + 1 < run.points.steps;
    plan_set(out, row, 0,
             form_plus(form_times(to.clean, image), form_times(to.noise, form_of(COLUMN_NOISE))));
  }
  return OK;
}

/* torch computes a number times a whole timestep in f32. */
static int timestep_between(double eta, double timestep) {
  return (int)floorf((float)(1.0 - eta) * (float)timestep);
}

/* To a timestep s at or below the next one, then by fresh noise up to it: x_s = sqrt(a_s) x0 +
 * sqrt(1 - a_s) e, x' = sqrt(a'/a_s) x_s + sqrt(1 - a'/a_s) noise. The last step ends in x_0. */
enum status tcd_fill(struct arena *arena, const struct plan_request *request, struct plan *out) {
  const struct noise_levels *levels = request->levels;
  struct listed run;
  TRY(begin(arena, request, &run, out));
  for (int i = run.part.first; i < run.part.last; i++) {
    int row = i - run.part.first;
    bool last = i + 1 == run.points.steps;
    double next = last ? 0.0 : run.points.timestep[i + 1];
    double between = levels->alpha_bar[timestep_between(request->eta, next)];
    double kept = last ? 1.0 : levels->alpha_bar[(int)next] / between;
    struct level at = level_of_alpha_bar(between);
    struct predicted said = listed_predicted(levels, &run, i);
    struct form lower =
        form_plus(form_times(at.clean, said.image), form_times(at.noise, said.noise));
    out->row[row].needs_noise = request->eta > 0.0 && !last;
    plan_set(out, row, 0,
             form_plus(form_times(sqrt(kept), lower),
                       form_times(sqrt(1.0 - kept), form_of(COLUMN_NOISE))));
  }
  return OK;
}
