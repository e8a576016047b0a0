/* cases.c - how a row of cases.def becomes tensors, and which op it calls. */
#include "tests/cases/inside.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"

#define CASE(op, name, place, ...) {#op, #name, place, __VA_ARGS__},
const struct op_case op_cases[] = {
#include "tests/cases/cases.def"
};
#undef CASE
const int op_case_count = sizeof op_cases / sizeof op_cases[0];

#define CASE_BYTES_MAX ((size_t)8 << 30)

/* How cases of one op are prepared and run. */
struct case_kind {
  const char *op;
  enum status (*prepare)(struct case_run *run);
  enum status (*execute)(struct case_run *run);
};

/* ---- values ---- */

uint64_t case_hash(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
  x = (x ^ x >> 27) * 0x94d049bb133111ebu;
  return x ^ x >> 31;
}

/* Even over +-sqrt(3), so of variance one, and holdable in bf16. */
float case_value(uint64_t stream, int64_t i) {
  float unit = (float)(case_hash(case_hash(stream) + (uint64_t)i) >> 40) * 0x1p-23f - 1;
  return bf16_to_f32(f32_to_bf16(unit * 1.7320508f));
}

static enum status put_values(struct case_run *run, const float *values, const struct tensor *to) {
  void *host = malloc(tensor_bytes(to));
  if (host == NULL) {
    return fail(EXHAUSTED, "no memory for a case");
  }
  elements_from_f32(to->element, values, tensor_count(to), host);
  enum status status = device_put(run->device, host, tensor_bytes(to), to);
  free(host);
  return status;
}

enum status case_fill(struct case_run *run, const struct tensor *to, int stream) {
  return case_fill_scaled(run, to, stream, 1);
}

enum status case_fill_scaled(struct case_run *run, const struct tensor *to, int stream,
                             float scale) {
  float *values = malloc((size_t)tensor_count(to) * sizeof *values);
  if (values == NULL) {
    return fail(EXHAUSTED, "no memory for a case");
  }
  int64_t row = tensor_count(to) / to->shape[0];
  for (int64_t i = 0; i < tensor_count(to); i++) {
    int identity = stream < SHARED ? run->identities[i / row] : 0;
    uint64_t of = (uint64_t)stream * 1000 + (uint64_t)identity;
    values[i] = scale * case_value(of, stream < SHARED ? i % row : i);
  }
  enum status status = put_values(run, values, to);
  free(values);
  return status;
}

/* Shape [batch, height, width, channels] without the dimensions that the case does not have. */
static int shape_of(const struct case_run *run, int64_t channels, int64_t *shape) {
  int rank = 0;
  shape[rank++] = run->batch;
  if (run->c->height > 0) {
    shape[rank++] = run->c->height;
  }
  if (run->c->width > 0) {
    shape[rank++] = run->c->width;
  }
  shape[rank++] = channels;
  return rank;
}

enum status case_take_input(struct case_run *run, int index, enum element element,
                            int64_t channels) {
  int64_t shape[TENSOR_RANK_MAX];
  int rank = shape_of(run, channels, shape);
  TRY(tensor_take(run->arena, element, rank, shape, &run->inputs[index]));
  return case_fill(run, &run->inputs[index], index);
}

enum element case_activations(const struct case_run *run) {
  return device_element_for(run->device, run->precision);
}
static enum element output_element(const struct case_run *run) {
  return run->c->f32_out ? ELEMENT_F32 : case_activations(run);
}

enum status case_take_output(struct case_run *run, int64_t channels) {
  int64_t shape[TENSOR_RANK_MAX];
  int rank = shape_of(run, channels, shape);
  return tensor_take(run->arena, output_element(run), rank, shape, &run->y);
}

/* A weight of checkpoint shape, scaled so that sums stay near one. */
static enum status take_weight(struct case_run *run, int rank, const int64_t *shape) {
  int64_t count = 1, outputs = shape[0];
  for (int i = 0; i < rank; i++) {
    count *= shape[i];
  }
  uint16_t *values = malloc((size_t)(count + outputs) * sizeof *values);
  if (values == NULL) {
    return fail(EXHAUSTED, "no memory for a case");
  }
  int64_t inputs = count / outputs;
  float scale = 1 / sqrtf((float)inputs);
  for (int64_t i = 0; i < count + outputs; i++) {
    values[i] = f32_to_bf16(case_value(77, i) * (i < count ? scale : 1));
  }
  struct weight_source source = {.kernel = {values, ELEMENT_BF16, rank, {1, 1, 1, 1}},
                                 .element = case_activations(run),
                                 .doubling = strcmp(run->c->op, "upsample_conv") == 0};
  memcpy(source.kernel.shape, shape, (size_t)rank * sizeof *shape);
  if (!run->c->no_bias) {
    source.bias = (struct tensor){values + count, ELEMENT_BF16, 1, {outputs, 1, 1, 1}};
  }
  enum status status = weight_pack(run->device, &source, &run->weight);
  free(values);
  return status;
}

static enum status take_norm(struct case_run *run, int64_t channels) {
  run->norm = (struct norm){.epsilon = 1e-5f, .groups = run->c->groups};
  TRY(tensor_take(run->arena, ELEMENT_F32, TENSOR_SHAPE(channels), &run->norm.gamma));
  TRY(tensor_take(run->arena, ELEMENT_F32, TENSOR_SHAPE(channels), &run->norm.beta));
  TRY(case_fill(run, &run->norm.gamma, SHARED));
  return case_fill(run, &run->norm.beta, SHARED + 1);
}

/* ---- the ops ---- */

static enum status prepare_matmul(struct case_run *run) {
  TRY(take_weight(run, 2, (int64_t[]){run->c->outputs, run->c->inputs}));
  TRY(case_take_input(run, 0, case_activations(run), run->c->inputs));
  TRY(case_take_input(run, 1, output_element(run), run->c->outputs));
  return case_take_output(run, run->c->outputs);
}

static const struct tensor *residual_of(const struct case_run *run) {
  return run->c->residual == RESIDUAL_NONE    ? NULL
         : run->c->residual == RESIDUAL_APART ? &run->inputs[1]
                                              : &run->y;
}

static enum status execute_matmul(struct case_run *run) {
  const struct matmul_options options = {run->c->activation, residual_of(run)};
  return op_matmul(run->device, &run->inputs[0], run->weight, &options, &run->y);
}

/* The case's paddings, or "same" when it gives none. */
static struct conv_options conv_options_of(const struct case_run *run) {
  const struct op_case *c = run->c;
  bool same = c->pad_before == 0 && c->pad_after == 0;
  return (struct conv_options){.stride = c->stride,
                               .pad_before = same ? c->kernel / 2 : c->pad_before,
                               .pad_after = same ? c->kernel / 2 : c->pad_after,
                               .channel_add = c->channel_add ? &run->inputs[2] : NULL,
                               .residual = residual_of(run),
                               .activation = c->activation};
}

static enum status prepare_conv2d(struct case_run *run) {
  const struct op_case *c = run->c;
  const struct conv_options options = conv_options_of(run);
  int stride = c->stride == 0 ? 1 : c->stride, pads = options.pad_before + options.pad_after;
  const int64_t y[] = {run->batch, (c->height + pads - c->kernel) / stride + 1,
                       (c->width + pads - c->kernel) / stride + 1, c->outputs};
  TRY(take_weight(run, 4, (int64_t[]){c->outputs, c->inputs, c->kernel, c->kernel}));
  TRY(case_take_input(run, 0, case_activations(run), c->inputs));
  TRY(tensor_take(run->arena, output_element(run), 4, y, &run->y));
  TRY(tensor_take(run->arena, output_element(run), 4, y, &run->inputs[1]));
  TRY(case_fill(run, &run->inputs[1], 1));
  TRY(tensor_take(run->arena, case_activations(run), TENSOR_SHAPE(run->batch, c->outputs),
                  &run->inputs[2]));
  return case_fill(run, &run->inputs[2], 2);
}

static enum status execute_conv2d(struct case_run *run) {
  const struct conv_options options = conv_options_of(run);
  return op_conv2d(run->device, &run->inputs[0], run->weight, &options, &run->y);
}

static enum status prepare_norm(struct case_run *run) {
  TRY(take_norm(run, run->c->inputs));
  TRY(case_take_input(run, 0, case_activations(run), run->c->inputs));
  return case_take_output(run, run->c->inputs);
}

static enum status execute_group_norm(struct case_run *run) {
  return op_group_norm(run->device, &run->inputs[0], &run->norm, run->c->silu, &run->y);
}
static enum status execute_layer_norm(struct case_run *run) {
  return op_layer_norm(run->device, &run->inputs[0], &run->norm, &run->y);
}

static enum status prepare_geglu(struct case_run *run) {
  TRY(case_take_input(run, 0, case_activations(run), 2 * run->c->outputs));
  return case_take_output(run, run->c->outputs);
}
static enum status execute_geglu(struct case_run *run) {
  return op_geglu(run->device, &run->inputs[0], &run->y);
}

static enum status prepare_concat(struct case_run *run) {
  TRY(case_take_input(run, 0, case_activations(run), run->c->inputs));
  TRY(case_take_input(run, 1, case_activations(run), run->c->outputs));
  return case_take_output(run, run->c->inputs + run->c->outputs);
}
static enum status execute_concat(struct case_run *run) {
  return op_concat(run->device, &run->inputs[0], &run->inputs[1], &run->y);
}

static enum status prepare_upsample(struct case_run *run) {
  const struct op_case *c = run->c;
  TRY(case_take_input(run, 0, case_activations(run), c->inputs));
  return tensor_take(run->arena, case_activations(run),
                     TENSOR_SHAPE(run->batch, 2 * c->height - c->pad_after,
                                  2 * c->width - c->pad_after, c->inputs),
                     &run->y);
}
static enum status execute_upsample(struct case_run *run) {
  return op_upsample(run->device, &run->inputs[0], &run->y);
}

static enum status prepare_upsample_conv(struct case_run *run) {
  const struct op_case *c = run->c;
  TRY(take_weight(run, 4, (int64_t[]){c->outputs, c->inputs, 3, 3}));
  TRY(case_take_input(run, 0, case_activations(run), c->inputs));
  return tensor_take(run->arena, case_activations(run),
                     TENSOR_SHAPE(run->batch, 2 * c->height, 2 * c->width, c->outputs), &run->y);
}
static enum status execute_upsample_conv(struct case_run *run) {
  return op_upsample_conv(run->device, &run->inputs[0], run->weight, &run->y);
}

static enum status prepare_pixels(struct case_run *run) {
  TRY(case_take_input(run, 0, case_activations(run), 3));
  return tensor_take(run->arena, ELEMENT_U8, 4, run->inputs[0].shape, &run->y);
}
static enum status execute_pixels(struct case_run *run) {
  return op_pixels(run->device, &run->inputs[0], &run->y);
}

static const struct case_kind kinds[] = {
    {"matmul", prepare_matmul, execute_matmul},
    {"conv2d", prepare_conv2d, execute_conv2d},
    {"group_norm", prepare_norm, execute_group_norm},
    {"layer_norm", prepare_norm, execute_layer_norm},
    {"attention", prepare_attention, execute_attention},
    {"geglu", prepare_geglu, execute_geglu},
    {"concat", prepare_concat, execute_concat},
    {"upsample", prepare_upsample, execute_upsample},
    {"upsample_conv", prepare_upsample_conv, execute_upsample_conv},
    {"timestep_embedding", prepare_timesteps, execute_timesteps},
    {"embed", prepare_embed, execute_embed},
    {"adapt", prepare_adapt, execute_adapt},
    {"activate", prepare_activate, execute_activate},
    {"add_rows", prepare_add_rows, execute_add_rows},
    {"control_add", prepare_controls, execute_control_add},
    {"hint_add", prepare_controls, execute_hint_add},
    {"weigh", prepare_weigh, execute_weigh},
    {"posterior", prepare_posterior, execute_posterior},
    {"gather", prepare_gather, execute_gather},
    {"advance", prepare_advance, execute_advance},
    {"pixels", prepare_pixels, execute_pixels},
    {"finite", prepare_finite, execute_finite},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static const struct case_kind *find_kind(const char *op) {
  for (int i = 0; i < KINDS; i++) {
    if (strcmp(kinds[i].op, op) == 0) {
      return &kinds[i];
    }
  }
  return NULL;
}

/* ---- a run ---- */

enum status case_open(struct device *device, const struct op_case *op_case, int batch,
                      const int *identities, struct case_run **out) {
  struct case_run *run = calloc(1, sizeof *run);
  if (run == NULL) {
    return fail(EXHAUSTED, "no memory for a case");
  }
  assert(batch <= BATCH_ROWS_MAX / 2);
  *run = (struct case_run){.device = device,
                           .precision = op_case->precision,
                           .c = op_case,
                           .batch = batch,
                           .identities = identities};
  run->kind = find_kind(op_case->op);
  assert(run->kind != NULL);
  enum status status = device_arena(device, CASE_BYTES_MAX, &run->arena);
  status = status != OK ? status : run->kind->prepare(run);
  status = status != OK ? status : case_refill(run);
  if (status != OK) {
    case_close(&run);
    return status;
  }
  *out = run;
  return OK;
}

void case_close(struct case_run **pointer) {
  struct case_run *run = *pointer;
  if (run != NULL) {
    weight_close(&run->weight);
    arena_close(&run->arena);
    free(run);
    *pointer = NULL;
  }
}

enum status case_execute(struct case_run *run) { return run->kind->execute(run); }

enum status case_refill(struct case_run *run) {
  /* in place, y holds what the residual apart would */
  return run->c->residual == RESIDUAL_IN_PLACE ? case_fill(run, &run->y, 1) : OK;
}

const struct tensor *case_output(const struct case_run *run) { return &run->y; }

double case_operations(const struct op_case *c, int batch) {
  double rows = (double)batch * (c->height > 0 ? c->height : 1) * (c->width > 0 ? c->width : 1);
  if (strcmp(c->op, "conv2d") == 0) {
    int stride = c->stride == 0 ? 1 : c->stride;
    return 2 * rows / stride / stride * c->inputs * c->outputs * c->kernel * c->kernel;
  }
  if (strcmp(c->op, "upsample_conv") == 0) {
    return 2 * 4 * rows * c->inputs * c->outputs * 4;
  }
  if (strcmp(c->op, "matmul") == 0) {
    return 2 * rows * c->inputs * c->outputs;
  }
  if (strcmp(c->op, "adapt") == 0) {
    return 2 * rows * c->rank * c->heads * (c->inputs + c->outputs);
  }
  if (strcmp(c->op, "attention") == 0) {
    return 4 * rows * c->inputs * (c->context > 0 ? c->context : c->height) / (c->causal ? 2 : 1);
  }
  return 0;
}

double case_bytes(const struct case_run *run) {
  double bytes = (double)tensor_bytes(&run->y);
  for (int i = 0; i < INPUTS; i++) {
    bytes += run->inputs[i].rank > 0 ? (double)tensor_bytes(&run->inputs[i]) : 0;
  }
  return bytes;
}
