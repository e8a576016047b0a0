/* batch.c - choosing rows and running them. A picture does not depend on its batch mates: every op
 * promises that, and here each sample brings its own timestep, scale, matrix and noise. */
#include "worker/engine/batch.h"

#include <string.h>

#include "kernels/ops.h"

#define ALIGNMENT 64 /* the arena's */

/* The lane that is due earlier, then the higher one; within a lane who is due earlier, then earlier
 * admitted, then the earlier image. */
static bool before(const struct sample *a, const struct sample *b) {
  const struct lane *left = a->task->lane, *right = b->task->lane;
  if (left != right) {
    return left->due != right->due ? left->due < right->due : left->weight > right->weight;
  }
  if (a->due != b->due) {
    return a->due < b->due;
  }
  return a->task->order != b->task->order ? a->task->order < b->task->order : a->index < b->index;
}

struct sample *batch_head(struct sample *samples, int count) {
  struct sample *head = NULL;
  for (int i = 0; i < count; i++) {
    if (samples[i].task != NULL && (head == NULL || before(&samples[i], head))) {
      head = &samples[i];
    }
  }
  return head;
}

/* The first due after `last` that may share a call with the head. */
static struct sample *next_mate(const struct sample *head, const struct sample *last,
                                struct sample *samples, int count) {
  struct sample *next = NULL;
  for (int i = 0; i < count; i++) {
    struct sample *sample = &samples[i];
    bool mate =
        sample->task != NULL && !sample_ended(sample) && task_same_bucket(sample->task, head->task);
    if (mate && before(last, sample) && (next == NULL || before(sample, next))) {
      next = sample;
    }
  }
  return next;
}

void batch_gather(struct sample *head, struct sample *samples, int count, int rows_max,
                  struct batch *out) {
  *out = (struct batch){0};
  for (struct sample *s = head; s != NULL; s = next_mate(head, s, samples, count)) {
    int rows = task_rows(s->task);
    if (out->rows == 0 || out->rows + rows <= rows_max) {
      out->samples[out->count++] = s;
      out->rows += rows;
    }
  }
}

static int add_row(struct batch_table *table, int row, const struct sample *sample,
                   const struct conditioned *conditioned) {
  table->row[row] = (struct batch_row){.latents = sample->latents.data,
                                       .scale = sample_row(sample)->input_scale,
                                       .timestep = sample_row(sample)->timestep};
  model_context(&conditioned->conditioning, &table->row[row]);
  return row;
}

/* Unconditional row first, as diffusers has it. */
static void fill_table(const struct batch *batch, struct batch_table *table) {
  int rows = 0;
  for (int i = 0; i < batch->count; i++) {
    const struct sample *sample = batch->samples[i];
    const struct task *task = sample->task;
    const struct plan_row *row = sample_row(sample);
    int uncond = task->uncond != NULL ? add_row(table, rows++, sample, task->uncond) : -1;
    int cond = add_row(table, rows++, sample, task->cond);
    table->sample[i] = (struct batch_sample){
        .slots = sample->slots.data,
        .noise = row->needs_noise ? sample->noise.data : NULL,
        .slot_count = task->plan.slots,
        .cond_row = cond,
        .uncond_row = uncond,
        .guidance = task->guidance,
    };
    memcpy(table->sample[i].matrix, row->matrix, sizeof row->matrix);
  }
}

/* The table on the device, and how the samples came out. */
struct turn_data {
  struct tensor table, finite;
};

static enum status put_table(const struct batch *batch, struct device *device,
                             struct arena *scratch, struct turn_data *out) {
  struct batch_table table = {0};
  fill_table(batch, &table);
  TRY(tensor_take(scratch, ELEMENT_U8, TENSOR_SHAPE((int64_t)sizeof table), &out->table));
  TRY(tensor_take(scratch, ELEMENT_I32, TENSOR_SHAPE(batch->count), &out->finite));
  return device_put(device, &table, sizeof table, &out->table);
}

static enum status run(const struct batch *batch, struct device *device, struct arena *scratch,
                       int32_t *finite) {
  const struct task *task = batch->samples[0]->task;
  const struct unet_facts *unet = &task->resident->family->unet;
  int64_t height = task->latent_height, width = task->latent_width;
  struct turn_data data;
  TRY(put_table(batch, device, scratch, &data));
  const struct batch_table *table = data.table.data; /* on the device: only its places are used */
  struct predict predict = {.rows = table->row};
  TRY(tensor_take(scratch, device_element(device),
                  TENSOR_SHAPE(batch->rows, height, width, unet->in_channels), &predict.input));
  TRY(tensor_take(scratch, ELEMENT_F32,
                  TENSOR_SHAPE(batch->rows, height, width, unet->out_channels),
                  &predict.prediction));
  TRY(op_gather(device, table->row, &predict.input));
  TRY(model_predict(task->resident->model, scratch, &predict));
  TRY(op_advance(device, table->sample, batch->count, &predict.prediction, &data.finite));
  return device_get(device, &data.finite, finite, tensor_bytes(&data.finite));
}

enum status batch_run(struct batch *batch, struct device *device, struct arena *scratch,
                      const struct drawing_room *room) {
  for (int i = 0; i < batch->count; i++) {
    TRY(sample_draw(batch->samples[i], device, room));
  }
  struct arena_mark mark = arena_mark(scratch);
  enum status status = run(batch, device, scratch, batch->finite);
  arena_release(scratch, mark);
  for (int i = 0; status == OK && i < batch->count; i++) {
    sample_advanced(batch->samples[i]);
  }
  return status;
}

size_t batch_bytes(const struct task *task, struct device *device, int rows) {
  const struct unet_facts *unet = &task->resident->family->unet;
  size_t cells = (size_t)rows * (size_t)task_cells(task);
  size_t input = cells * (size_t)unet->in_channels * element_bytes(device_element(device));
  size_t prediction = cells * (size_t)unet->out_channels * sizeof(float);
  size_t inside =
      model_predict_bytes(task->resident->model, rows, task->latent_height, task->latent_width);
  return budget_sum(inside, input + prediction + sizeof(struct batch_table) +
                                BATCH_ROWS_MAX * sizeof(int32_t) + 4 * ALIGNMENT);
}
