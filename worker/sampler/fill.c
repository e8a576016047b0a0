/* fill.c - rows to fill in, and the algebra that every sampler needs for it. */
#include "worker/sampler/fill.h"

#include <assert.h>
#include <math.h>

struct level level_of_alpha_bar(double alpha_bar) {
  return (struct level){sqrt(alpha_bar), sqrt(1.0 - alpha_bar)};
}
struct level level_growing(double sigma) {
  return (struct level){1.0, sigma};
}
struct level level_keeping(double sigma) {
  double scale = 1.0 / sqrt(sigma * sigma + 1.0);
  return (struct level){scale, sigma * scale};
}

enum status plan_take(struct arena *arena, const struct part *part, int rows_of_a_step, int slots,
                      struct plan *out) {
  assert(slots >= 1 && slots <= SAMPLE_SLOTS_MAX && part->last > part->first);
  int count = part->last - part->first;
  struct plan_row *rows = arena_take_zeroed(arena, (size_t)count * sizeof *rows);
  if (rows == NULL) {
    return EXHAUSTED;
  }
  *out = (struct plan){.rows = count, .slots = slots, .row = rows};
  for (int i = 0; i < count; i++) {
    rows[i].input_scale = 1.0f;
    rows[i].step = i / rows_of_a_step;
  }
  out->steps = rows[count - 1].step + 1;
  return OK;
}

void plan_begin(const struct plan_request *request, struct level first, double scale,
                struct plan *out) {
  out->start_none = request->begin > 0.0;
  if (out->start_none) {
    return;
  }
  out->start_clean = request->image ? (float)first.clean : 0.0f;
  out->start_scale = (float)(request->image ? first.noise : scale);
}

void plan_keep(struct plan_row *row, struct level level) {
  row->keep_clean = (float)level.clean;
  row->keep_begun = (float)level.noise;
}

struct form form_of(int column) {
  struct form form = {.column = {0.0}};
  form.column[column] = 1.0;
  return form;
}

struct form form_times(double factor, struct form form) {
  for (int i = 0; i < COLUMNS; i++) {
    form.column[i] *= factor;
  }
  return form;
}

struct form form_plus(struct form left, struct form right) {
  for (int i = 0; i < COLUMNS; i++) {
    left.column[i] += right.column[i];
  }
  return left;
}

void plan_set(const struct plan *plan, int row, int slot, struct form form) {
  assert(row < plan->rows && slot < plan->slots);
  float *cell = &plan->row[row].matrix[slot * (plan->slots + 2)];
  for (int i = 0; i < plan->slots; i++) {
    cell[i] = (float)form.column[i];
  }
  cell[plan->slots] = (float)form.column[COLUMN_OUTPUT];
  cell[plan->slots + 1] = (float)form.column[COLUMN_NOISE];
}

/* With x = scale (x0 + sigma e) and v = (e - sigma x0) / sqrt(sigma^2 + 1) (Salimans & Ho 2022). */
static struct form image_at(enum prediction prediction, double scale, double sigma) {
  double total = sigma * sigma + 1.0;
  struct form sample = form_of(0);
  struct form output = form_of(COLUMN_OUTPUT);
  switch (prediction) {
    case PREDICTION_EPSILON:
      return form_plus(form_times(1.0 / scale, sample), form_times(-sigma, output));
    case PREDICTION_V:
      return form_plus(form_times(1.0 / (scale * total), sample),
                       form_times(-sigma / sqrt(total), output));
    case PREDICTION_SAMPLE:
      break;
  }
  return output;
}

struct form image_growing(enum prediction prediction, double sigma) {
  return image_at(prediction, 1.0, sigma);
}
struct form image_keeping(enum prediction prediction, double sigma) {
  return image_at(prediction, level_keeping(sigma).clean, sigma);
}

/* With x = sqrt(a) x0 + sqrt(1 - a) e and v = sqrt(a) e - sqrt(1 - a) x0. */
struct predicted predicted_at(enum prediction prediction, double alpha_bar, struct form sample,
                              struct form output) {
  struct level at = level_of_alpha_bar(alpha_bar);
  switch (prediction) {
    case PREDICTION_EPSILON:
      return (struct predicted){.image = form_plus(form_times(1.0 / at.clean, sample),
                                                   form_times(-at.noise / at.clean, output)),
                                .noise = output};
    case PREDICTION_V:
      return (struct predicted){
          .image = form_plus(form_times(at.clean, sample), form_times(-at.noise, output)),
          .noise = form_plus(form_times(at.noise, sample), form_times(at.clean, output))};
    case PREDICTION_SAMPLE:
      break;
  }
  return (struct predicted){.image = output,
                            .noise = form_plus(form_times(1.0 / at.noise, sample),
                                               form_times(-at.clean / at.noise, output))};
}
