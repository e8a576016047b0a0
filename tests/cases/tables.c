/* tables.c - cases of the ops that read on the device what the host has told it of each row. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/cases/inside.h"

enum status case_put_table(struct case_run *run, const void *table, size_t bytes,
                           const void **out) {
  struct tensor room;
  TRY(tensor_take(run->arena, ELEMENT_U8, TENSOR_SHAPE((int64_t)bytes), &room));
  TRY(device_put(run->device, table, bytes, &room));
  *out = room.data;
  return OK;
}

char *case_row(const struct case_run *run, int index, int b) {
  const struct tensor row = tensor_rows(&run->inputs[index], b, 1);
  return row.data;
}

enum status case_put_rows(struct case_run *run, const struct batch_row *rows) {
  const void *out = NULL;
  TRY(case_put_table(run, rows, (size_t)run->batch * sizeof *rows, &out));
  run->rows = out;
  return OK;
}

/* Two layers' keys and values below one another, of which the second is looked at. Lengths
 * differ, by the row's identity. */
static enum status prepare_contexts(struct case_run *run) {
  struct batch_row rows[BATCH_ROWS_MAX] = {0};
  TRY(tensor_take(run->arena, case_activations(run),
                  TENSOR_SHAPE(run->batch, 2 * run->c->context, 2 * run->c->inputs),
                  &run->inputs[1]));
  TRY(case_fill(run, &run->inputs[1], 1));
  for (int b = 0; b < run->batch; b++) {
    int shorter = run->c->context > 2 ? run->identities[b] % 3 : 0;
    rows[b] =
        (struct batch_row){.context = case_row(run, 1, b), .tokens = run->c->context - shorter};
  }
  return case_put_rows(run, rows);
}

enum status prepare_attention(struct case_run *run) {
  TRY(case_take_input(run, 0, case_activations(run), 3 * run->c->inputs));
  if (run->c->context > 0) {
    TRY(prepare_contexts(run));
  }
  return case_take_output(run, run->c->inputs);
}

enum status execute_attention(struct case_run *run) {
  const struct tensor *qkv = &run->inputs[0];
  int64_t width = run->c->inputs;
  const struct attention attention = {.q = {qkv, 0},
                                      .k = {qkv, width},
                                      .v = {qkv, 2 * width},
                                      .rows = run->rows,
                                      .column = 2 * width,
                                      .heads = run->c->heads,
                                      .causal = run->c->causal};
  return op_attention(run->device, &attention, &run->y);
}

enum status prepare_timesteps(struct case_run *run) {
  struct batch_row rows[BATCH_ROWS_MAX] = {0};
  for (int b = 0; b < run->batch; b++) {
    rows[b].timestep = (float)(run->identities[b] * 331 % 1000) + 0.25f;
  }
  TRY(case_put_rows(run, rows));
  return case_take_output(run, run->c->outputs);
}
enum status execute_timesteps(struct case_run *run) {
  return op_timestep_embedding(run->device, run->rows, &run->y);
}

static enum status put_ids(struct case_run *run) {
  const struct op_case *c = run->c;
  int count = run->batch * c->height;
  int32_t *ids = malloc((size_t)count * sizeof *ids);
  if (ids == NULL) {
    return fail(EXHAUSTED, "no memory for a case");
  }
  for (int i = 0; i < count; i++) {
    uint64_t draw =
        case_hash((uint64_t)run->identities[i / c->height] * 1000 + (uint64_t)(i % c->height));
    ids[i] = (int32_t)(draw % (uint64_t)(c->inputs + c->extra));
  }
  enum status status =
      tensor_take(run->arena, ELEMENT_I32, TENSOR_SHAPE(run->batch, c->height), &run->inputs[2]);
  status = status != OK
               ? status
               : device_put(run->device, ids, tensor_bytes(&run->inputs[2]), &run->inputs[2]);
  free(ids);
  return status;
}

/* inputs = words, outputs = width. */
enum status prepare_embed(struct case_run *run) {
  const struct op_case *c = run->c;
  TRY(tensor_take(run->arena, case_activations(run), TENSOR_SHAPE(c->inputs, c->outputs),
                  &run->inputs[0]));
  TRY(tensor_take(run->arena, case_activations(run), TENSOR_SHAPE(c->height, c->outputs),
                  &run->inputs[1]));
  TRY(case_fill(run, &run->inputs[0], SHARED + 2));
  TRY(case_fill(run, &run->inputs[1], SHARED + 3));
  if (c->extra > 0) {
    TRY(tensor_take(run->arena, case_activations(run), TENSOR_SHAPE(c->extra, c->outputs),
                    &run->inputs[3]));
    TRY(case_fill(run, &run->inputs[3], SHARED + 4));
  }
  TRY(put_ids(run));
  return case_take_output(run, c->outputs);
}
enum status execute_embed(struct case_run *run) {
  const struct words words = {&run->inputs[0], &run->inputs[3], &run->inputs[1]};
  return op_embed(run->device, &words, &run->inputs[2], &run->y);
}

enum status prepare_gather(struct case_run *run) {
  struct batch_row rows[BATCH_ROWS_MAX] = {0};
  TRY(case_take_input(run, 0, ELEMENT_F32, run->c->inputs));
  for (int b = 0; b < run->batch; b++) {
    rows[b].latents = (const float *)(const void *)case_row(run, 0, b);
    rows[b].scale = 1.0f / (float)(1 + run->identities[b]);
  }
  if (run->c->planes > 0) {
    TRY(case_take_input(run, 1, ELEMENT_F32, run->c->planes));
    for (int b = 0; b < run->batch; b++) {
      rows[b].planes = (const float *)(const void *)case_row(run, 1, b);
    }
  }
  TRY(case_put_rows(run, rows));
  return case_take_output(run, run->c->inputs + run->c->planes);
}
enum status execute_gather(struct case_run *run) {
  return op_gather(run->device, run->rows, run->c->inputs, &run->y);
}

static const float *floats_of(const struct case_run *run, int index, int b) {
  return (const float *)(const void *)case_row(run, index, b);
}

/* The row of a mask is 0, 1 and between. */
static enum status take_kept(struct case_run *run) {
  const struct op_case *c = run->c;
  float *mask = malloc((size_t)(c->height * c->width) * sizeof *mask);
  if (mask == NULL) {
    return fail(EXHAUSTED, "no memory for a case");
  }
  enum status status = case_take_input(run, 2, ELEMENT_F32, c->inputs);
  status = status != OK ? status : case_take_input(run, 3, ELEMENT_F32, c->inputs);
  status = status != OK ? status : case_take_input(run, 4, ELEMENT_F32, 1);
  for (int b = 0; b < run->batch && status == OK; b++) {
    for (int i = 0; i < c->height * c->width; i++) {
      mask[i] = (float)(case_hash((uint64_t)(run->identities[b] * 7919 + i)) % 5) / 4;
    }
    const struct tensor row = tensor_rows(&run->inputs[4], b, 1);
    status = device_put(run->device, mask, tensor_bytes(&row), &row);
  }
  free(mask);
  return status;
}

/* groups = slots; y holds each sample's slots below one another. Inputs: cond, uncond interleaved;
 * noise; clean, begun, mask. */
static struct batch_sample sample_of(const struct case_run *run, int b) {
  const struct op_case *c = run->c;
  int identity = run->identities[b];
  const struct tensor slots = tensor_rows(&run->y, b, 1);
  struct batch_sample sample = {
      .slots = slots.data,
      .noise = identity % 2 == 0 ? floats_of(run, 1, b) : NULL,
      .slot_count = c->groups,
      .cond_row = 2 * b,
      .uncond_row = identity % 3 == 1 ? -1 : 2 * b + 1,
      .guidance = 1 + (float)identity,
      .rescale = c->rescaled && identity % 4 != 2 ? 0.25f * (float)(1 + identity % 4) : 0};
  if (c->masked && identity % 5 != 3) {
    sample.mask = floats_of(run, 4, b);
    sample.clean = floats_of(run, 2, b);
    sample.begun = floats_of(run, 3, b);
    sample.keep_clean = 0.75f;
    sample.keep_begun = 0.5f + (float)identity;
  }
  for (int i = 0; i < c->groups * (c->groups + 2); i++) {
    sample.matrix[i] = case_value(500 + (uint64_t)identity, i);
  }
  return sample;
}

enum status prepare_advance(struct case_run *run) {
  const struct op_case *c = run->c;
  const int64_t guided[] = {run->batch, 2 * c->height, c->width, c->inputs};
  struct batch_sample samples[BATCH_ROWS_MAX];
  const void *table = NULL;
  TRY(tensor_take(run->arena, ELEMENT_F32, 4, guided, &run->inputs[0]));
  TRY(case_fill(run, &run->inputs[0], 0));
  TRY(case_take_input(run, 1, ELEMENT_F32, c->inputs));
  TRY(tensor_take(run->arena, ELEMENT_F32,
                  TENSOR_SHAPE(run->batch, c->groups * c->height, c->width, c->inputs), &run->y));
  TRY(tensor_take(run->arena, ELEMENT_I32, TENSOR_SHAPE(run->batch), &run->finite));
  if (c->masked) {
    TRY(take_kept(run));
  }
  for (int b = 0; b < run->batch; b++) {
    samples[b] = sample_of(run, b);
  }
  TRY(case_put_table(run, samples, (size_t)run->batch * sizeof *samples, &table));
  run->samples = table;
  return case_fill(run, &run->y, 2);
}

enum status execute_advance(struct case_run *run) {
  const struct op_case *c = run->c;
  const struct tensor prediction =
      tensor_view(&run->inputs[0], TENSOR_SHAPE(2 * run->batch, c->height, c->width, c->inputs));
  return op_advance(run->device, run->samples, run->batch, &prediction, &run->finite);
}

/* Rows whose identity is odd have a value that is not finite, the last. */
enum status prepare_finite(struct case_run *run) {
  TRY(case_take_input(run, 0, case_activations(run), run->c->inputs));
  size_t size = element_bytes(case_activations(run));
  for (int b = 0; b < run->batch; b++) {
    float value = run->identities[b] % 4 == 1 ? INFINITY : NAN;
    char held[4];
    struct tensor last = {.element = case_activations(run), .rank = 1, .shape = {1, 1, 1, 1}};
    last.data = case_row(run, 0, b) + tensor_bytes(&run->inputs[0]) / (size_t)run->batch - size;
    elements_from_f32(last.element, &value, 1, held);
    if (run->identities[b] % 2 == 1) {
      TRY(device_put(run->device, held, size, &last));
    }
  }
  return tensor_take(run->arena, ELEMENT_I32, TENSOR_SHAPE(run->batch), &run->y);
}
enum status execute_finite(struct case_run *run) {
  return op_finite(run->device, &run->inputs[0], &run->y);
}
