/* rows.c - cases of what rows bring along, of activations by themselves, and of what stands behind
 * the encoders. */
#include <math.h>
#include <stdlib.h>

#include "base/limits.h"
#include "tests/cases/inside.h"

/* The power of two next below 1/sqrt(count), so that sums of so many stay near one. */
static float small(int64_t count) { return exp2f(-ceilf(log2f((float)count) / 2)); }

/* ---- adapt: heads = modules side by side, behind one that is not asked for ---- */

enum { RANK_STEPS = 3 };
static int64_t ranks_most(const struct op_case *c) { return c->rank + 5 * (RANK_STEPS - 1); }

/* Every fourth row has no adapters; others lack a module here and there; ranks differ. */
static int32_t rank_of(const struct op_case *c, int identity, int module) {
  return (identity + module) % 5 == 4 ? 0 : c->rank + 5 * (identity % RANK_STEPS);
}

static enum status take_adapters(struct case_run *run) {
  const struct op_case *c = run->c;
  int64_t rank = ranks_most(c);
  TRY(tensor_take(run->arena, case_activations(run),
                  TENSOR_SHAPE(run->batch, c->heads, rank, c->inputs), &run->inputs[1]));
  TRY(tensor_take(run->arena, case_activations(run),
                  TENSOR_SHAPE(run->batch, c->heads, c->outputs, rank), &run->inputs[2]));
  TRY(case_fill_scaled(run, &run->inputs[1], 1, small(c->inputs)));
  return case_fill_scaled(run, &run->inputs[2], 2, small(c->rank));
}

static enum status put_modules(struct case_run *run, int b, const struct adapter_module **out) {
  const struct op_case *c = run->c;
  struct adapter_module modules[1 + ADAPTED_TOGETHER_MAX] = {{.rank = 1}}; /* not looked at */
  size_t size = element_bytes(case_activations(run)), rank = (size_t)ranks_most(c);
  for (int m = 0; m < c->heads; m++) {
    modules[1 + m] = (struct adapter_module){
        .down = case_row(run, 1, b) + (size_t)m * rank * (size_t)c->inputs * size,
        .up = case_row(run, 2, b) + (size_t)m * rank * (size_t)c->outputs * size,
        .rank = rank_of(c, run->identities[b], m)};
  }
  const void *table = NULL;
  TRY(case_put_table(run, modules, sizeof *modules * (size_t)(1 + c->heads), &table));
  *out = table;
  return OK;
}

enum status prepare_adapt(struct case_run *run) {
  struct batch_row rows[BATCH_ROWS_MAX] = {0};
  TRY(case_take_input(run, 0, case_activations(run), run->c->inputs));
  TRY(take_adapters(run));
  for (int b = 0; b < run->batch; b++) {
    if (run->identities[b] % 4 != 3) {
      TRY(put_modules(run, b, &rows[b].adapters));
    }
  }
  TRY(case_put_rows(run, rows));
  TRY(case_take_output(run, (int64_t)run->c->heads * run->c->outputs));
  return case_fill(run, &run->y, 3);
}
enum status execute_adapt(struct case_run *run) {
  const struct modules modules = {.first = 1, .count = run->c->heads};
  return op_adapt(run->device, run->rows, modules, &run->inputs[0], &run->y);
}

/* ---- value by value ---- */

enum status prepare_activate(struct case_run *run) {
  TRY(case_take_input(run, 0, case_activations(run), run->c->inputs));
  return case_take_output(run, run->c->inputs);
}
enum status execute_activate(struct case_run *run) {
  return op_activate(run->device, run->c->activation, &run->inputs[0], &run->y);
}

enum status prepare_add_rows(struct case_run *run) {
  struct batch_row rows[BATCH_ROWS_MAX] = {0};
  TRY(case_take_input(run, 0, case_activations(run), run->c->inputs));
  TRY(case_take_input(run, 1, case_activations(run), 2 * run->c->inputs));
  for (int b = 0; b < run->batch; b++) {
    rows[b].added = run->identities[b] % 3 == 2 ? NULL : case_row(run, 1, b);
  }
  TRY(case_put_rows(run, rows));
  return case_take_output(run, run->c->inputs);
}
/* An odd width is added from the second half. */
enum status execute_add_rows(struct case_run *run) {
  int64_t first = run->c->inputs % 2 != 0 ? run->c->inputs : 0;
  return op_add_rows(run->device, run->rows, first, &run->inputs[0], &run->y);
}

enum { SKIP = 3 };

/* Every fourth row has no part in it. */
enum status prepare_controls(struct case_run *run) {
  struct batch_control controls[BATCH_ROWS_MAX] = {0};
  const void *table = NULL;
  TRY(case_take_input(run, 0, case_activations(run), run->c->inputs));
  for (int b = 0; b < run->batch; b++) {
    bool has = run->identities[b] % 4 != 3;
    controls[b].hint = has ? case_row(run, 0, b) : NULL;
    controls[b].scale[SKIP] = has ? 0.5f + (float)run->identities[b] : 0;
  }
  TRY(case_put_table(run, controls, sizeof *controls * (size_t)run->batch, &table));
  run->controls = table;
  TRY(case_take_output(run, run->c->inputs));
  return case_fill(run, &run->y, 2);
}
enum status execute_control_add(struct case_run *run) {
  return op_control_add(run->device, run->controls, SKIP, &run->inputs[0], &run->y);
}
enum status execute_hint_add(struct case_run *run) {
  return op_hint_add(run->device, run->controls, &run->y);
}

/* ---- behind the encoders: a row of the batch is a call ---- */

/* Values whose mean is far from 0, as a chunk's mean decides about all of it. */
static enum status put_far(struct case_run *run) {
  int64_t count = tensor_count(&run->y), row = count / run->batch;
  float *values = malloc((size_t)count * sizeof *values);
  void *host = malloc(tensor_bytes(&run->y));
  for (int64_t i = 0; values != NULL && i < count; i++) {
    values[i] = 2 + case_value(100 + (uint64_t)run->identities[i / row], i % row);
  }
  enum status status = EXHAUSTED;
  if (values != NULL && host != NULL) {
    elements_from_f32(run->y.element, values, count, host);
    status = device_put(run->device, host, tensor_bytes(&run->y), &run->y);
  }
  free(values);
  free(host);
  return status;
}

enum status prepare_weigh(struct case_run *run) {
  TRY(tensor_take(run->arena, ELEMENT_F32, TENSOR_SHAPE(run->batch, run->c->height),
                  &run->inputs[0]));
  TRY(case_fill(run, &run->inputs[0], 0));
  TRY(case_take_output(run, run->c->inputs));
  return put_far(run);
}
enum status execute_weigh(struct case_run *run) {
  const struct op_case *c = run->c;
  for (int b = 0; b < run->batch; b++) {
    struct tensor weights = tensor_rows(&run->inputs[0], b, 1), x = tensor_rows(&run->y, b, 1);
    weights = tensor_view(&weights, TENSOR_SHAPE(c->height));
    x = tensor_view(&x, TENSOR_SHAPE(c->height, c->inputs));
    TRY(op_weigh(run->device, &weights, &x));
  }
  return OK;
}

enum status prepare_posterior(struct case_run *run) {
  TRY(case_take_input(run, 0, case_activations(run), 2 * run->c->inputs));
  TRY(case_take_input(run, 1, ELEMENT_F32, run->c->inputs));
  int64_t shape[] = {run->batch, run->c->height, run->c->width, run->c->inputs};
  return tensor_take(run->arena, ELEMENT_F32, 4, shape, &run->y);
}
enum status execute_posterior(struct case_run *run) {
  const struct op_case *c = run->c;
  for (int b = 0; b < run->batch; b++) {
    const struct tensor moments = tensor_rows(&run->inputs[0], b, 1);
    struct tensor noise = tensor_rows(&run->inputs[1], b, 1), y = tensor_rows(&run->y, b, 1);
    noise = tensor_view(&noise, TENSOR_SHAPE(c->height, c->width, c->inputs));
    noise.data = run->identities[b] % 3 == 2 ? NULL : noise.data;
    y = tensor_view(&y, TENSOR_SHAPE(c->height, c->width, c->inputs));
    TRY(op_posterior(run->device, &moments, &noise, 0.18215f, &y));
  }
  return OK;
}
