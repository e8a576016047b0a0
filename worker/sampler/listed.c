/* listed.c - list, beginning and predictions of the samplers of whole timesteps. */
#include "worker/sampler/listed.h"

enum status listed_find(const struct plan_request *request, struct listed *out) {
  struct listed run;
  TRY(points_of_timesteps(request, &run.points));
  TRY(part_find(request, run.points.timestep, run.points.steps, 1, &run.part));
  *out = run;
  return OK;
}

double listed_alpha_bar(const struct noise_levels *levels, const struct listed *run, int i) {
  return i < run->points.steps ? levels->alpha_bar[(int)run->points.timestep[i]] : 1.0;
}

enum status listed_begin(struct arena *arena, const struct plan_request *request,
                         const struct listed *run, int slots, struct plan *out) {
  const struct noise_levels *levels = request->levels;
  TRY(plan_take(arena, &run->part, 1, slots, out));
  double first = listed_alpha_bar(levels, run, run->part.first);
  plan_begin(request, level_of_alpha_bar(first), 1.0, out);
  for (int i = run->part.first; i < run->part.last; i++) {
    struct plan_row *row = &out->row[i - run->part.first];
    row->timestep = (float)run->points.timestep[i];
    plan_keep(row, level_of_alpha_bar(listed_alpha_bar(levels, run, i + 1)));
  }
  return OK;
}

struct predicted listed_predicted(const struct noise_levels *levels, const struct listed *run,
                                  int i) {
  return predicted_at(levels->facts.prediction, listed_alpha_bar(levels, run, i), form_of(0),
                      form_of(COLUMN_OUTPUT));
}

double alpha_bar_at(const struct noise_levels *levels, int timestep, bool one) {
  if (timestep >= 0) {
    return levels->alpha_bar[timestep];
  }
  switch (levels->facts.final_alpha) {
    case FINAL_ALPHA_ONE:
      return 1.0;
    case FINAL_ALPHA_FIRST:
      return levels->alpha_bar[0];
    case FINAL_ALPHA_DEFAULT:
      break;
  }
  return one ? 1.0 : levels->alpha_bar[0];
}
