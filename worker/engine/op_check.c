/* op_check.c - a table of ops, tried on two devices with the same numbers. */
#include "worker/engine/op_check.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "kernels/ops.h"
#include "kernels/queue.h"
#include "monitoring/log.h"

/* Small, and of every shape that matters: several rows, several heads, a prompt shorter than the
 * longest, sides that do not divide by 4. */
enum {
  ROWS = 2,
  SIDE = 6,
  CHANNELS = 16,
  OUTPUTS = 24,
  GROUPS = 4,
  HEADS = 2,
  TOKENS = 33,
  PROMPT_TOKENS = 9
};
#define ARENA_BYTES_MAX ((size_t)16 * 1024 * 1024)
#define ANY_BYTES 64

/* A device to try an op on: what it reads and where it writes. */
struct bench {
  struct device *device;
  struct arena *arena; /* on the device */
  struct arena *heap;
  enum element element; /* of the activations */
  uint64_t stream;      /* of values: the same on both devices */
};

/* ---- values: the same on every device, and the same number in every type ---- */

static float value_at(uint64_t stream, int64_t i) {
  uint64_t x = stream * UINT64_C(0x9e3779b97f4a7c15) + (uint64_t)i * UINT64_C(0xbf58476d1ce4e5b9);
  x = (x ^ x >> 30) * UINT64_C(0x94d049bb133111eb);
  x ^= x >> 31;
  return (float)((int)(x % 65) - 32) / 16.0f; /* -2..2 in sixteenths */
}

static float *take_values(struct bench *bench, int64_t count, float scale) {
  float *values = arena_take(bench->heap, (size_t)count * sizeof *values);
  bench->stream++;
  for (int64_t i = 0; values != NULL && i < count; i++) {
    values[i] = scale * value_at(bench->stream, i);
  }
  return values;
}

static enum status take_as(struct bench *bench, enum element element, int rank,
                           const int64_t *shape, struct tensor *out) {
  TRY(tensor_take(bench->arena, element, rank, shape, out));
  int64_t count = tensor_count(out);
  const float *values = take_values(bench, count, 1);
  void *host = arena_take(bench->heap, tensor_bytes(out) + ANY_BYTES);
  if (values == NULL || host == NULL) {
    return EXHAUSTED;
  }
  elements_from_f32(element, values, count, host);
  return device_put(bench->device, host, tensor_bytes(out), out);
}

static enum status take(struct bench *bench, int rank, const int64_t *shape, struct tensor *out) {
  return take_as(bench, bench->element, rank, shape, out);
}

/* Filled as well: what an op leaves out shows. */
static enum status take_output(struct bench *bench, int rank, const int64_t *shape,
                               struct tensor *out) {
  return take(bench, rank, shape, out);
}

static enum status take_plain(struct bench *bench, const void *host, size_t bytes,
                              struct tensor *out) {
  TRY(tensor_take(bench->arena, ELEMENT_U8, TENSOR_SHAPE((int64_t)bytes), out));
  return device_put(bench->device, host, bytes, out);
}

/* Kernels are powers of two smaller than activations, so that sums stay near one. */
static enum status take_weight(struct bench *bench, const int64_t shape[4], bool doubling,
                               struct weight **out) {
  int64_t count = shape[0] * shape[1] * shape[2] * shape[3];
  struct weight_source source = {.element = bench->element, .doubling = doubling};
  source.kernel = (struct tensor){take_values(bench, count, 0.125f),
                                  ELEMENT_F32,
                                  shape[2] * shape[3] > 1 || doubling ? 4 : 2,
                                  {0}};
  memcpy(source.kernel.shape, shape, sizeof source.kernel.shape);
  source.bias =
      (struct tensor){take_values(bench, shape[0], 1), ELEMENT_F32, 1, {shape[0], 1, 1, 1}};
  return source.kernel.data != NULL && source.bias.data != NULL
             ? weight_pack(bench->device, &source, out)
             : EXHAUSTED;
}

/* ---- the ops ---- */

static enum status try_matmul(struct bench *bench, struct tensor *y) {
  struct weight *weight = NULL;
  struct tensor x, residual;
  TRY(take(bench, TENSOR_SHAPE(ROWS, TOKENS, CHANNELS), &x));
  TRY(take(bench, TENSOR_SHAPE(ROWS, TOKENS, OUTPUTS), &residual));
  TRY(take_output(bench, TENSOR_SHAPE(ROWS, TOKENS, OUTPUTS), y));
  TRY(take_weight(bench, (int64_t[]){OUTPUTS, CHANNELS, 1, 1}, false, &weight));
  const struct matmul_options options = {ACTIVATION_GELU, &residual};
  enum status status = op_matmul(bench->device, &x, weight, &options, y);
  status = device_wait(bench->device) == BROKEN ? BROKEN : status;
  weight_close(&weight);
  return status;
}

static enum status try_conv(struct bench *bench, struct tensor *y) {
  struct weight *weight = NULL;
  struct tensor x, add;
  TRY(take(bench, TENSOR_SHAPE(ROWS, SIDE, SIDE, CHANNELS), &x));
  TRY(take(bench, TENSOR_SHAPE(ROWS, OUTPUTS), &add));
  TRY(take_output(bench, TENSOR_SHAPE(ROWS, SIDE, SIDE, OUTPUTS), y));
  TRY(take_weight(bench, (int64_t[]){OUTPUTS, CHANNELS, 3, 3}, false, &weight));
  const struct conv_options options = {
      .stride = 1, .pad_before = 1, .pad_after = 1, .channel_add = &add};
  enum status status = op_conv2d(bench->device, &x, weight, &options, y);
  status = device_wait(bench->device) == BROKEN ? BROKEN : status;
  weight_close(&weight);
  return status;
}

static enum status try_upsample_conv(struct bench *bench, struct tensor *y) {
  struct weight *weight = NULL;
  struct tensor x;
  TRY(take(bench, TENSOR_SHAPE(ROWS, SIDE, SIDE, CHANNELS), &x));
  TRY(take_output(bench, TENSOR_SHAPE(ROWS, 2 * SIDE, 2 * SIDE, OUTPUTS), y));
  TRY(take_weight(bench, (int64_t[]){OUTPUTS, CHANNELS, 3, 3}, true, &weight));
  enum status status = op_upsample_conv(bench->device, &x, weight, y);
  status = device_wait(bench->device) == BROKEN ? BROKEN : status;
  weight_close(&weight);
  return status;
}

static enum status take_norm(struct bench *bench, int groups, struct norm *out) {
  *out = (struct norm){.epsilon = 1e-5f, .groups = groups};
  TRY(take_as(bench, ELEMENT_F32, TENSOR_SHAPE(CHANNELS), &out->gamma));
  return take_as(bench, ELEMENT_F32, TENSOR_SHAPE(CHANNELS), &out->beta);
}

static enum status try_group_norm(struct bench *bench, struct tensor *y) {
  struct norm norm;
  struct tensor x;
  TRY(take_norm(bench, GROUPS, &norm));
  TRY(take(bench, TENSOR_SHAPE(ROWS, SIDE, SIDE, CHANNELS), &x));
  TRY(take_output(bench, TENSOR_SHAPE(ROWS, SIDE, SIDE, CHANNELS), y));
  return op_group_norm(bench->device, &x, &norm, true, y);
}

static enum status try_layer_norm(struct bench *bench, struct tensor *y) {
  struct norm norm;
  struct tensor x;
  TRY(take_norm(bench, 0, &norm));
  TRY(take(bench, TENSOR_SHAPE(ROWS, TOKENS, CHANNELS), &x));
  TRY(take_output(bench, TENSOR_SHAPE(ROWS, TOKENS, CHANNELS), y));
  return op_layer_norm(bench->device, &x, &norm, y);
}

static enum status try_self_attention(struct bench *bench, struct tensor *y) {
  const int64_t width = HEADS * 40;
  struct tensor x;
  TRY(take(bench, TENSOR_SHAPE(ROWS, TOKENS, 3 * width), &x));
  TRY(take_output(bench, TENSOR_SHAPE(ROWS, TOKENS, width), y));
  const struct attention attention = {
      .q = {&x, 0}, .k = {&x, width}, .v = {&x, 2 * width}, .heads = HEADS};
  return op_attention(bench->device, &attention, y);
}

/* Prompts of two lengths, and the second layer of each. */
static enum status try_cross_attention(struct bench *bench, struct tensor *y) {
  const int64_t width = HEADS * 40;
  struct batch_row rows[ROWS] = {{0}};
  struct tensor x, told;
  TRY(take(bench, TENSOR_SHAPE(ROWS, TOKENS, width), &x));
  for (int b = 0; b < ROWS; b++) {
    struct tensor context;
    rows[b].tokens = PROMPT_TOKENS - 2 * b;
    TRY(take(bench, TENSOR_SHAPE(2 * rows[b].tokens * 2 * width), &context));
    rows[b].context = context.data;
  }
  TRY(take_plain(bench, rows, sizeof rows, &told));
  TRY(take_output(bench, TENSOR_SHAPE(ROWS, TOKENS, width), y));
  const struct attention attention = {
      .q = {&x, 0}, .rows = told.data, .column = 2 * width, .heads = HEADS};
  return op_attention(bench->device, &attention, y);
}

static enum status try_geglu(struct bench *bench, struct tensor *y) {
  struct tensor x;
  TRY(take(bench, TENSOR_SHAPE(ROWS, TOKENS, 2 * CHANNELS), &x));
  TRY(take_output(bench, TENSOR_SHAPE(ROWS, TOKENS, CHANNELS), y));
  return op_geglu(bench->device, &x, y);
}

static enum status try_concat(struct bench *bench, struct tensor *y) {
  struct tensor a, b;
  TRY(take(bench, TENSOR_SHAPE(ROWS, SIDE, SIDE, CHANNELS), &a));
  TRY(take(bench, TENSOR_SHAPE(ROWS, SIDE, SIDE, OUTPUTS), &b));
  TRY(take_output(bench, TENSOR_SHAPE(ROWS, SIDE, SIDE, CHANNELS + OUTPUTS), y));
  return op_concat(bench->device, &a, &b, y);
}

/* Two layers of one input, each with a rank of its own; the second row has no adapters. */
static enum status try_adapt(struct bench *bench, struct tensor *y) {
  struct adapter_module modules[2] = {{.rank = 4}, {.rank = 7}};
  struct batch_row rows[ROWS] = {{0}};
  struct tensor x, table, told;
  TRY(take(bench, TENSOR_SHAPE(ROWS, TOKENS, CHANNELS), &x));
  for (int m = 0; m < 2; m++) {
    struct tensor down, up;
    TRY(take(bench, TENSOR_SHAPE(modules[m].rank, CHANNELS), &down));
    TRY(take(bench, TENSOR_SHAPE(OUTPUTS, modules[m].rank), &up));
    modules[m].down = down.data;
    modules[m].up = up.data;
  }
  TRY(take_plain(bench, modules, sizeof modules, &table));
  rows[0].adapters = table.data;
  TRY(take_plain(bench, rows, sizeof rows, &told));
  TRY(take_output(bench, TENSOR_SHAPE(ROWS, TOKENS, 2 * OUTPUTS), y));
  return op_adapt(bench->device, told.data, (struct modules){.count = 2}, &x, y);
}

/* The second row has no part in it. */
static enum status try_control_add(struct bench *bench, struct tensor *y) {
  const struct batch_control controls[ROWS] = {{.scale = {0, 0.5f}}};
  struct tensor x, told;
  TRY(take(bench, TENSOR_SHAPE(ROWS, SIDE, SIDE, CHANNELS), &x));
  TRY(take_plain(bench, controls, sizeof controls, &told));
  TRY(take_output(bench, TENSOR_SHAPE(ROWS, SIDE, SIDE, CHANNELS), y));
  return op_control_add(bench->device, told.data, 1, &x, y);
}

static enum status try_timestep_embedding(struct bench *bench, struct tensor *y) {
  const struct batch_row rows[ROWS] = {{.timestep = 1}, {.timestep = 3}};
  struct tensor told;
  TRY(take_plain(bench, rows, sizeof rows, &told));
  TRY(take_output(bench, TENSOR_SHAPE(ROWS, 2 * CHANNELS), y));
  return op_timestep_embedding(bench->device, told.data, y);
}

static enum status try_gather(struct bench *bench, struct tensor *y) {
  struct batch_row rows[ROWS] = {{.scale = 1}, {.scale = 0.5f}};
  struct tensor told;
  for (int b = 0; b < ROWS; b++) {
    struct tensor latents;
    TRY(take_as(bench, ELEMENT_F32, TENSOR_SHAPE(SIDE, SIDE, 4), &latents));
    rows[b].latents = latents.data;
  }
  TRY(take_plain(bench, rows, sizeof rows, &told));
  TRY(take_output(bench, TENSOR_SHAPE(ROWS, SIDE, SIDE, 4), y));
  return op_gather(bench->device, told.data, 4, y);
}

/* One guided and rescaled sample of two slots with noise, and an idle place. */
static enum status try_advance(struct bench *bench, struct tensor *y) {
  struct batch_sample samples[ROWS] = {
      {.slot_count = 2, .cond_row = 1, .guidance = 2, .rescale = 0.5f}};
  struct tensor noise, prediction, finite, told;
  TRY(take_as(bench, ELEMENT_F32, TENSOR_SHAPE(2, SIDE, SIDE, 4), y));
  TRY(take_as(bench, ELEMENT_F32, TENSOR_SHAPE(SIDE, SIDE, 4), &noise));
  TRY(take_as(bench, ELEMENT_F32, TENSOR_SHAPE(ROWS, SIDE, SIDE, 4), &prediction));
  TRY(tensor_take(bench->arena, ELEMENT_I32, TENSOR_SHAPE(ROWS), &finite));
  samples[0].slots = y->data;
  samples[0].noise = noise.data;
  for (int i = 0; i < 2 * 4; i++) {
    samples[0].matrix[i] = value_at(7, i);
  }
  TRY(take_plain(bench, samples, sizeof samples, &told));
  TRY(op_advance(bench->device, told.data, ROWS, &prediction, &finite));
  int32_t found[ROWS] = {0};
  TRY(device_get(bench->device, &finite, found, sizeof found));
  return found[0] == 1 && found[1] == 1 ? OK : fail(BROKEN, "finite numbers are not told as such");
}

static enum status try_pixels(struct bench *bench, struct tensor *y) {
  struct tensor x;
  TRY(take_as(bench, ELEMENT_F32, TENSOR_SHAPE(ROWS, SIDE, SIDE, 3), &x));
  TRY(tensor_take(bench->arena, ELEMENT_U8, TENSOR_SHAPE(ROWS, SIDE, SIDE, 3), y));
  return op_pixels(bench->device, &x, y);
}

/* The second row has an infinite value at its end. */
static enum status try_finite(struct bench *bench, struct tensor *y) {
  float values[ROWS * CHANNELS];
  struct tensor x;
  for (int i = 0; i < ROWS * CHANNELS; i++) {
    values[i] = i == ROWS * CHANNELS - 1 ? INFINITY : value_at(9, i);
  }
  TRY(tensor_take(bench->arena, ELEMENT_F32, TENSOR_SHAPE(ROWS, CHANNELS), &x));
  TRY(device_put(bench->device, values, sizeof values, &x));
  TRY(tensor_take(bench->arena, ELEMENT_I32, TENSOR_SHAPE(ROWS), y));
  return op_finite(bench->device, &x, y);
}

static const struct check {
  const char *op;
  enum status (*run)(struct bench *bench, struct tensor *y);
} checks[] = {
    {"matmul", try_matmul},
    {"conv2d", try_conv},
    {"upsample_conv", try_upsample_conv},
    {"group_norm", try_group_norm},
    {"layer_norm", try_layer_norm},
    {"attention", try_self_attention},
    {"cross attention", try_cross_attention},
    {"geglu", try_geglu},
    {"concat", try_concat},
    {"adapt", try_adapt},
    {"control_add", try_control_add},
    {"timestep_embedding", try_timestep_embedding},
    {"gather", try_gather},
    {"advance", try_advance},
    {"pixels", try_pixels},
    {"finite", try_finite},
};
enum { CHECKS = sizeof checks / sizeof checks[0] };

/* ---- comparing ---- */

/* The largest error taken: the root of the mean square, over that of the values. Rounding to 8 or
 * 11 bits, on the way and at the end, stays well below; a wrong result is near 1. */
static double error_max(enum element element) {
  return element == ELEMENT_BF16 ? 0.02 : element == ELEMENT_F16 ? 0.005 : 1e-4;
}

/* Whole numbers come out whole; a pixel may be rounded the other way. */
static double value_of(const struct tensor *tensor, const void *data, int64_t i) {
  float value = 0;
  switch (tensor->element) {
    case ELEMENT_U8:
      return ((const uint8_t *)data)[i];
    case ELEMENT_I32:
      return ((const int32_t *)data)[i];
    default:
      elements_to_f32(tensor->element,
                      (const char *)data + i * (int64_t)element_bytes(tensor->element), 1, &value);
      return (double)value;
  }
}

/* What it wrote, in the heap. */
struct values {
  int64_t count;
  double *value;
};

static enum status values_of(struct bench *bench, const struct check *check, struct values *out) {
  struct tensor y;
  TRY(check->run(bench, &y));
  struct values values = {.count = tensor_count(&y)};
  void *host = arena_take(bench->heap, tensor_bytes(&y) + ANY_BYTES);
  values.value = arena_take(bench->heap, (size_t)values.count * sizeof *values.value);
  if (host == NULL || values.value == NULL) {
    return EXHAUSTED;
  }
  TRY(device_get(bench->device, &y, host, tensor_bytes(&y)));
  for (int64_t i = 0; i < values.count; i++) {
    values.value[i] = value_of(&y, host, i);
  }
  *out = values;
  return OK;
}

/* NaN compares with nothing, so it is off by all. */
static double error_between(const struct values *got, const struct values *want) {
  double off = 0, whole = 1e-30;
  for (int64_t i = 0; i < want->count; i++) {
    double d = got->value[i] - want->value[i];
    off += isfinite(d) ? d * d : INFINITY;
    whole += want->value[i] * want->value[i];
  }
  return sqrt(off / whole);
}

/* ---- the whole ---- */

static enum status open_bench(struct bench *bench) {
  TRY(device_arena(bench->device, ARENA_BYTES_MAX, &bench->arena));
  return arena_open(NULL, ARENA_BYTES_MAX, &bench->heap);
}

/* What is under way may still read it. */
static void close_bench(struct bench *bench) {
  (void)device_wait(bench->device);
  arena_close(&bench->arena);
  arena_close(&bench->heap);
}

static enum status compare(struct bench *subject, struct bench *judge, const struct check *check) {
  struct values got, want;
  TRY(open_bench(subject));
  TRY(open_bench(judge));
  TRY(values_of(judge, check, &want));
  enum status status = values_of(subject, check, &got);
  if (status != OK) {
    char reason[FAIL_REASON_MAX];
    snprintf(reason, sizeof reason, "%s", fail_reason());
    return fail(status, "self-test of %s in %s on %s: %.400s", check->op,
                element_name(subject->element), device_name(subject->device), reason);
  }
  double error = error_between(&got, &want);
  if (!(error <= error_max(subject->element))) {
    return fail(BROKEN, "self-test of %s in %s on %s: off by %.2g of what it should be, at most %g",
                check->op, element_name(subject->element), device_name(subject->device), error,
                error_max(subject->element));
  }
  return OK;
}

static enum status check_all(struct device *device, struct device *ref, enum element element) {
  for (int i = 0; i < CHECKS; i++) {
    struct bench subject = {.device = device, .element = element, .stream = 100 * (uint64_t)i};
    struct bench judge = {.device = ref, .element = ELEMENT_F32, .stream = 100 * (uint64_t)i};
    enum status status = compare(&subject, &judge, &checks[i]);
    close_bench(&subject);
    close_bench(&judge);
    TRY(status);
  }
  return OK;
}

/* Each type once. */
static enum status check_types(struct device *device, struct device *ref) {
  bool done[ELEMENT_COUNT] = {false};
  for (int p = 0; p < PRECISION_COUNT; p++) {
    enum element element = device_element_for(device, (enum precision)p);
    if (!done[element]) {
      TRY(check_all(device, ref, element));
      done[element] = true;
    }
  }
  return OK;
}

enum status op_check(struct device *device) {
  if (strcmp(device_name(device), "ref") == 0) {
    return OK;
  }
  struct device *ref = NULL;
  int64_t began = clock_ms();
  TRY(device_open("ref", NULL, &ref));
  enum status status = check_types(device, ref);
  device_close(&ref);
  TRY(status);
  log_event("ops_tried", log_text("device", device_name(device)),
            log_number("ms", clock_ms() - began));
  return OK;
}
