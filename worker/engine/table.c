/* table.c - rows from samples, and the places of packed parts. */
#include "worker/engine/table.h"

#include <string.h>

#include "worker/model/model.h"

/* ---- rows ---- */

static void add_row(struct batch_table *table, int row, const struct sample *sample,
                    const struct conditioned *conditioned) {
  table->row[row] = (struct batch_row){.latents = sample->latents.data,
                                       .planes = sample->planes.data,
                                       .adapters = sample_stage(sample)->adapters,
                                       .scale = sample_row(sample)->input_scale,
                                       .timestep = sample_row(sample)->timestep};
  model_context(&conditioned->conditioning, &table->row[row]);
}

static struct batch_sample update_of(const struct sample *sample) {
  const struct stage *stage = sample_stage(sample);
  const struct plan_row *row = sample_row(sample);
  struct batch_sample update = {.slots = sample->slots.data,
                                .noise = row->needs_noise ? sample->noise.data : NULL,
                                .slot_count = stage->plan.slots,
                                .uncond_row = -1,
                                .guidance = stage->guidance,
                                .rescale = stage->rescale};
  if (stage->keeps) {
    update.mask = sample->mask.data;
    update.clean = sample->clean.data;
    update.begun = sample->begun.data;
    update.keep_clean = row->keep_clean;
    update.keep_begun = row->keep_begun;
  }
  memcpy(update.matrix, row->matrix, sizeof row->matrix);
  return update;
}

/* What the nets that are on say of a row; the unconditioned one of a net that guesses gets
 * nothing. */
static void add_controls(struct batch_table *table, int row, const struct sample *sample,
                         bool uncond) {
  const struct stage_controls *controls = &sample_stage(sample)->controls;
  int net = 0;
  for (int i = 0; i < controls->count; i++) {
    const struct stage_control *control = &controls->row[i];
    if (!control_is_on(control, sample->cursor)) {
      continue;
    }
    const struct conditioned *own = uncond ? control->uncond : control->cond;
    struct batch_control told = {.hint = control->hint.data};
    if (!(uncond && control->guess)) {
      memcpy(told.scale, control->scale, sizeof told.scale);
    }
    table->control_row[net][row] = table->row[row];
    table->control_row[net][row].adapters = NULL;
    model_context(&own->conditioning, &table->control_row[net][row]);
    table->control[net++][row] = told;
  }
}

/* Unconditional row first, as diffusers has it. */
int table_add(struct batch_table *table, int index, int row, const struct sample *sample) {
  const struct stage *stage = sample_stage(sample);
  struct batch_sample update = update_of(sample);
  if (stage->uncond != NULL) {
    add_row(table, row, sample, stage->uncond);
    add_controls(table, row, sample, true);
    update.uncond_row = row++;
  }
  add_row(table, row, sample, stage->cond);
  add_controls(table, row, sample, false);
  update.cond_row = row++;
  table->sample[index] = update;
  return row;
}

void table_add_row(struct batch_table *table, int row, const struct sample *sample) {
  add_row(table, row, sample, sample_stage(sample)->cond);
  add_controls(table, row, sample, false);
}

void table_fill_idle(struct batch_table *table, int from, int rows) {
  for (int i = from; i < rows; i++) {
    table->row[i] = table->row[0];
    for (int net = 0; net < CONTROLS_MAX; net++) {
      table->control_row[net][i] = table->control_row[net][0];
      table->control[net][i] = table->control[net][0];
    }
  }
}

/* ---- places ---- */

static size_t samples_at(struct table_shape shape) {
  return (size_t)shape.rows * sizeof(struct batch_row);
}

static size_t control_rows_at(struct table_shape shape, int net) {
  size_t rows = (size_t)shape.rows;
  return samples_at(shape) + rows * sizeof(struct batch_sample) +
         (size_t)net * rows * (sizeof(struct batch_row) + sizeof(struct batch_control));
}

size_t table_bytes(struct table_shape shape) { return control_rows_at(shape, shape.controls); }

void table_pack(const struct batch_table *table, struct table_shape shape, void *out) {
  unsigned char *to = out;
  size_t rows = (size_t)shape.rows, row_bytes = rows * sizeof(struct batch_row);
  memcpy(to, table->row, row_bytes);
  memcpy(to + samples_at(shape), table->sample, rows * sizeof(struct batch_sample));
  for (int net = 0; net < shape.controls; net++) {
    unsigned char *at = to + control_rows_at(shape, net);
    memcpy(at, table->control_row[net], row_bytes);
    memcpy(at + row_bytes, table->control[net], rows * sizeof(struct batch_control));
  }
}

const struct batch_row *table_rows(const void *packed) { return packed; }

const struct batch_sample *table_samples(const void *packed, struct table_shape shape) {
  const unsigned char *at = packed;
  return (const struct batch_sample *)(const void *)(at + samples_at(shape));
}

const struct batch_row *table_control_rows(const void *packed, struct table_shape shape, int net) {
  const unsigned char *at = packed;
  return (const struct batch_row *)(const void *)(at + control_rows_at(shape, net));
}

const struct batch_control *table_controls(const void *packed, struct table_shape shape, int net) {
  const unsigned char *at = packed;
  size_t rows = (size_t)shape.rows * sizeof(struct batch_row);
  return (const struct batch_control *)(const void *)(at + control_rows_at(shape, net) + rows);
}
