/* batch.c - choosing rows and running them. A picture does not depend on its batch mates: every op
 * promises that, and here each sample brings its own timestep, scale, matrix and noise. */
#include "worker/engine/batch.h"

#include "kernels/ops.h"
#include "kernels/queue.h"
#include "worker/engine/table.h"
#include "worker/model/model.h"

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

static bool has_room(const struct sample *sample, struct batch_room room) {
  if (sample->task == NULL || sample->away) {
    return false;
  }
  return sample_needs(sample) == NEED_STEP ? room.steps
         : sample_in_tiles(sample)         ? room.decodes && room.tiles
                                           : room.decodes;
}

struct sample *batch_head(struct sample *samples, int count, struct batch_room room) {
  struct sample *head = NULL;
  for (int i = 0; i < count; i++) {
    if (has_room(&samples[i], room) && (head == NULL || before(&samples[i], head))) {
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
    bool mate = sample->task != NULL && !sample->away && sample_needs(sample) == NEED_STEP &&
                bucket_same(&sample->bucket, &head->bucket);
    if (mate && before(last, sample) && (next == NULL || before(sample, next))) {
      next = sample;
    }
  }
  return next;
}

void batch_gather(struct sample *head, struct sample *samples, int count, int rows_max,
                  struct batch *out) {
  *out = (struct batch){.rows_max = rows_max};
  for (struct sample *s = head; s != NULL; s = next_mate(head, s, samples, count)) {
    int rows = stage_rows(sample_stage(s));
    if (out->rows == 0 || out->rows + rows <= rows_max) {
      out->samples[out->count++] = s;
      out->rows += rows;
    }
  }
}

/* ---- how many rows ---- */

/* Each is a sequence of its own for a device that keeps them: few, and none much larger than the
 * one before. */
static const int call_rows[] = {1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64};
enum { CALL_ROWS = sizeof call_rows / sizeof call_rows[0] };
_Static_assert(BATCH_ROWS_MAX == 64, "the last of them is the most there can be");

int batch_next_rows(int rows, int rows_max) {
  for (int i = 0; i < CALL_ROWS; i++) {
    if (call_rows[i] > rows) {
      return call_rows[i] < rows_max ? call_rows[i] : rows_max;
    }
  }
  return rows_max;
}

int batch_call_rows(const struct device *device, int rows, int rows_max) {
  return device_keeps_sequences(device) && rows < rows_max ? batch_next_rows(rows - 1, rows_max)
                                                           : rows;
}

/* ---- the call ---- */

/* Everything of one call; its tensors lie where they lay the last time, for the scratch is empty
 * between turns. */
struct call {
  const struct workplace *place;
  struct model *model;
  const struct bucket *bucket;
  struct table_shape shape;
  int samples;
  struct tensor table; /* on the device, packed */
  struct tensor finite;
  struct predict predict;
};

/* The part that can be kept and run again: ops alone. */
static enum status queue_call(void *context) {
  const struct call *call = context;
  struct device *device = call->place->device;
  const struct predict *predict = &call->predict;
  TRY(op_gather(device, predict->rows, predict->prediction.shape[3], &predict->input));
  TRY(model_predict(call->model, call->place->scratch, predict));
  return op_advance(device, table_samples(call->table.data, call->shape), call->samples,
                    &predict->prediction, &call->finite);
}

static enum status take_call(struct call *call, const struct stage *stage) {
  struct arena *scratch = call->place->scratch;
  const struct unet_facts *unet = &stage->resident->family->unet;
  int64_t height = stage->latent_height, width = stage->latent_width, rows = call->shape.rows;
  TRY(tensor_take(scratch, ELEMENT_U8, TENSOR_SHAPE((int64_t)table_bytes(call->shape)),
                  &call->table));
  TRY(tensor_take(scratch, ELEMENT_I32, TENSOR_SHAPE(call->samples), &call->finite));
  TRY(tensor_take(scratch, device_element(call->place->device),
                  TENSOR_SHAPE(rows, height, width, unet->in_channels), &call->predict.input));
  TRY(tensor_take(scratch, ELEMENT_F32, TENSOR_SHAPE(rows, height, width, unet->out_channels),
                  &call->predict.prediction));
  call->predict.rows = table_rows(call->table.data); /* only the place is used here */
  call->predict.control_count = call->shape.controls;
  for (int i = 0; i < call->shape.controls; i++) {
    call->predict.control[i] = (struct predict_control){
        call->bucket->control[i]->control, table_control_rows(call->table.data, call->shape, i),
        table_controls(call->table.data, call->shape, i)};
  }
  return OK;
}

static enum status put_table(const struct call *call, const struct batch_table *table) {
  _Alignas(struct batch_table) unsigned char packed[sizeof *table];
  table_pack(table, call->shape, packed);
  return device_put(call->place->device, packed, tensor_bytes(&call->table), &call->table);
}

/* Everything lies in the scratch: with its beginning, the bucket and the rows all addresses are
 * told. */
static enum status queue_table(struct call *call, const struct stage *stage,
                               const struct batch_table *table) {
  TRY(take_call(call, stage));
  TRY(put_table(call, table));
  const struct sequence sequence = {
      .key = {bucket_number(call->bucket), call->predict.adapted,
              (uint64_t)call->shape.rows << 32 | (uint64_t)call->samples,
              (uint64_t)(uintptr_t)call->table.data},
      .queue = queue_call,
      .context = call};
  return device_sequence(call->place->device, &sequence);
}

static enum status queue(struct call *call, const struct stage *stage,
                         const struct batch_table *table, struct batch_outcome *out) {
  struct arena_mark mark = arena_mark(call->place->scratch);
  call->model = stage->resident->model;
  enum status status = queue_table(call, stage, table);
  arena_release(call->place->scratch, mark);
  out->finite = call->finite;
  return status;
}

enum status batch_queue(const struct batch *batch, const struct workplace *place,
                        struct batch_outcome *out) {
  struct batch_table table = {0};
  const struct bucket *bucket = &batch->samples[0]->bucket;
  struct call call = {.place = place, .bucket = bucket, .shape.controls = bucket->control_count};
  int rows = 0;
  for (int i = 0; i < batch->count; i++) {
    TRY(sample_prepare(batch->samples[i], place->device, &place->room));
  }
  for (int i = 0; i < batch->count; i++) {
    rows = table_add(&table, i, rows, batch->samples[i]);
    call.predict.adapted =
        call.predict.adapted || sample_stage(batch->samples[i])->adapters != NULL;
  }
  call.predict.merged = sample_stage(batch->samples[0])->merged;
  call.shape.rows = batch_call_rows(place->device, rows, batch->rows_max);
  call.samples = device_keeps_sequences(place->device) ? call.shape.rows : batch->count;
  table_fill_idle(&table, rows, call.shape.rows);
  return queue(&call, sample_stage(batch->samples[0]), &table, out);
}

enum status batch_queue_idle(const struct sample *sample, int rows, const struct workplace *place) {
  struct batch_table table = {0};
  struct batch_outcome unread;
  struct call call = {
      .place = place, .bucket = &sample->bucket, .shape.rows = rows, .samples = rows};
  table_add_row(&table, 0, sample);
  table_fill_idle(&table, 1, rows);
  return queue(&call, sample_stage(sample), &table, &unread);
}

size_t batch_bytes(const struct stage *stage, struct device *device, int rows) {
  const struct unet_facts *unet = &stage->resident->family->unet;
  size_t cells = (size_t)rows * (size_t)stage_cells(stage);
  size_t input = cells * (size_t)unet->in_channels * element_bytes(device_element(device));
  size_t prediction = cells * (size_t)unet->out_channels * sizeof(float);
  size_t told = table_bytes((struct table_shape){rows, stage->controls.count}) +
                (size_t)rows * sizeof(int32_t);
  size_t inside =
      model_predict_bytes(stage->resident->model, rows, stage->latent_height, stage->latent_width);
  inside = budget_sum(inside, controls_run_bytes(&stage->controls, rows, stage->latent_height,
                                                 stage->latent_width));
  return budget_sum(inside, input + prediction + told + 4 * ALIGNMENT);
}
