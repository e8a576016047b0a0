/* recorder.c - see recorder.h. */
#include "tests/gpu/recorder.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* Of a network's last convolution: latents have few channels, all others have more. */
#define UNET_OUTPUTS_MAX 8

static struct {
  const struct backend *real;
  struct backend recorded;
  struct queues queues; /* without sequences: a graph would call no op */
  struct recording *recording;
} now;

static const char *const op_names[OPS_COUNT] = {
#define OP_NAME(name, parameters) #name,
    OPS(OP_NAME)
#undef OP_NAME
};

const char *call_name(const struct call *call) { return op_names[call->op]; }

static void write_down(const struct call *call) {
  struct recording *recording = now.recording;
  if (recording->count < CALLS_MAX) {
    recording->call[recording->count] = *call;
  }
  recording->count++;
}

static double bytes_of(const struct tensor *tensor) {
  return tensor->rank > 0 ? (double)tensor_bytes(tensor) : 0;
}

static double weight_values(const struct weight *w) {
  return (double)w->outputs * (double)w->inputs * (double)(w->kernel_height * w->kernel_width);
}

/* "2x64x64x320" */
static void name_shape(const struct tensor *tensor, const char *more, char *out, size_t bytes) {
  size_t length = 0;
  for (int i = 0; i < tensor->rank; i++) {
    length += (size_t)snprintf(out + length, bytes - length, "%s%lld", i > 0 ? "x" : "",
                               (long long)tensor->shape[i]);
  }
  snprintf(out + length, bytes - length, "%s", more);
}

/* ---- one function for each op that takes time ---- */

static enum status record_matmul(struct device *device, const struct tensor *x,
                                 const struct weight *w, const struct matmul_options *options,
                                 const struct tensor *y) {
  char more[40];
  struct call call = {.op = OP_matmul, .x = *x, .y = *y, .weight = w};
  if (options != NULL) {
    call.matmul = *options;
    call.residual = options->residual != NULL ? *options->residual : call.residual;
  }
  double rows = (double)tensor_count(x) / (double)w->inputs;
  call.operations = 2 * rows * weight_values(w);
  call.bytes = bytes_of(x) + bytes_of(y) + bytes_of(&call.residual) +
               weight_values(w) * (double)element_bytes(x->element);
  snprintf(more, sizeof more, " to %lld", (long long)w->outputs);
  name_shape(x, more, call.shape, sizeof call.shape);
  write_down(&call);
  return now.real->ops.matmul(device, x, w, options, y);
}

static enum status record_conv2d(struct device *device, const struct tensor *x,
                                 const struct weight *w, const struct conv_options *options,
                                 const struct tensor *y) {
  char more[48];
  struct call call = {.op = OP_conv2d, .x = *x, .y = *y, .weight = w, .conv = *options};
  if (options->channel_add != NULL) {
    call.channel_add = *options->channel_add;
  }
  if (options->residual != NULL) {
    call.residual = *options->residual;
  }
  call.operations = 2 * (double)tensor_count(y) / (double)w->outputs * weight_values(w);
  call.bytes = bytes_of(x) + bytes_of(y) + bytes_of(&call.residual) +
               weight_values(w) * (double)element_bytes(x->element);
  snprintf(more, sizeof more, " to %lld k%lld s%d", (long long)w->outputs,
           (long long)w->kernel_height, options->stride == 0 ? 1 : options->stride);
  name_shape(x, more, call.shape, sizeof call.shape);
  write_down(&call);
  return now.real->ops.conv2d(device, x, w, options, y);
}

/* Four 2x2 convolutions of x: 4 products instead of 9 for a value of y. */
static enum status record_upsample_conv(struct device *device, const struct tensor *x,
                                        const struct weight *w, const struct tensor *y) {
  char more[40];
  struct call call = {.op = OP_upsample_conv, .x = *x, .y = *y, .weight = w};
  double values = 4 * (double)w->outputs * (double)w->inputs;
  call.operations = 2 * (double)tensor_count(y) / (double)w->outputs * values;
  call.bytes = bytes_of(x) + bytes_of(y) + 4 * values * (double)element_bytes(x->element);
  snprintf(more, sizeof more, " to %lld", (long long)w->outputs);
  name_shape(x, more, call.shape, sizeof call.shape);
  write_down(&call);
  return now.real->ops.upsample_conv(device, x, w, y);
}

static enum status record_group_norm(struct device *device, const struct tensor *x,
                                     const struct norm *norm, bool silu, const struct tensor *y) {
  struct call call = {.op = OP_group_norm,
                      .x = *x,
                      .y = *y,
                      .norm = *norm,
                      .silu = silu,
                      .bytes = bytes_of(x) + bytes_of(y)};
  name_shape(x, "", call.shape, sizeof call.shape);
  write_down(&call);
  return now.real->ops.group_norm(device, x, norm, silu, y);
}

static enum status record_layer_norm(struct device *device, const struct tensor *x,
                                     const struct norm *norm, const struct tensor *y) {
  struct call call = {
      .op = OP_layer_norm, .x = *x, .y = *y, .norm = *norm, .bytes = bytes_of(x) + bytes_of(y)};
  name_shape(x, "", call.shape, sizeof call.shape);
  write_down(&call);
  return now.real->ops.layer_norm(device, x, norm, y);
}

/* Of a prompt's tokens, which the device knows, 77 are taken for counting. */
static enum status record_attention(struct device *device, const struct attention *attention,
                                    const struct tensor *y) {
  char more[40];
  struct call call = {
      .op = OP_attention, .x = *attention->q.tensor, .y = *y, .attention = *attention};
  bool cross = attention->rows != NULL;
  double keys = cross ? TOKENS_PER_CHUNK : (double)attention->k.tensor->shape[1];
  call.other = cross ? (struct tensor){0} : *attention->k.tensor;
  call.residual = cross ? (struct tensor){0} : *attention->v.tensor;
  call.operations = 4 * (double)tensor_count(y) * keys / (attention->causal ? 2 : 1);
  call.bytes = 2 * bytes_of(y) + 2 * (double)y->shape[0] * keys * (double)y->shape[2] *
                                     (double)element_bytes(y->element);
  snprintf(more, sizeof more, " h%d%s", attention->heads, cross ? " cross" : "");
  name_shape(y, more, call.shape, sizeof call.shape);
  write_down(&call);
  return now.real->ops.attention(device, attention, y);
}

static enum status record_geglu(struct device *device, const struct tensor *x,
                                const struct tensor *y) {
  struct call call = {.op = OP_geglu, .x = *x, .y = *y, .bytes = bytes_of(x) + bytes_of(y)};
  name_shape(y, "", call.shape, sizeof call.shape);
  write_down(&call);
  return now.real->ops.geglu(device, x, y);
}

static enum status record_concat(struct device *device, const struct tensor *a,
                                 const struct tensor *b, const struct tensor *y) {
  struct call call = {.op = OP_concat, .x = *a, .other = *b, .y = *y, .bytes = 2 * bytes_of(y)};
  name_shape(y, "", call.shape, sizeof call.shape);
  write_down(&call);
  return now.real->ops.concat(device, a, b, y);
}

static enum status record_upsample(struct device *device, const struct tensor *x,
                                   const struct tensor *y) {
  struct call call = {.op = OP_upsample, .x = *x, .y = *y, .bytes = bytes_of(x) + bytes_of(y)};
  name_shape(y, "", call.shape, sizeof call.shape);
  write_down(&call);
  return now.real->ops.upsample(device, x, y);
}

static enum status record_timestep_embedding(struct device *device, const struct batch_row *rows,
                                             const struct tensor *y) {
  struct call call = {.op = OP_timestep_embedding, .y = *y, .rows = rows, .bytes = bytes_of(y)};
  name_shape(y, "", call.shape, sizeof call.shape);
  write_down(&call);
  now.recording->row_count = (int)y->shape[0];
  TRY(now.real->get(device, now.recording->row, rows,
                    (size_t)y->shape[0] * sizeof now.recording->row[0]));
  return now.real->ops.timestep_embedding(device, rows, y);
}

/* ---- and the same again ---- */

static const struct tensor *given(const struct tensor *tensor) {
  return tensor->rank > 0 ? tensor : NULL;
}

enum status call_again(struct device *device, const struct call *call) {
  struct matmul_options matmul = call->matmul;
  struct conv_options conv = call->conv;
  struct attention attention = call->attention;
  switch (call->op) {
    case OP_matmul:
      matmul.residual = given(&call->residual);
      return op_matmul(device, &call->x, call->weight, &matmul, &call->y);
    case OP_conv2d:
      conv.channel_add = given(&call->channel_add);
      conv.residual = given(&call->residual);
      return op_conv2d(device, &call->x, call->weight, &conv, &call->y);
    case OP_upsample_conv:
      return op_upsample_conv(device, &call->x, call->weight, &call->y);
    case OP_group_norm:
      return op_group_norm(device, &call->x, &call->norm, call->silu, &call->y);
    case OP_layer_norm:
      return op_layer_norm(device, &call->x, &call->norm, &call->y);
    case OP_attention:
      attention.q.tensor = &call->x;
      attention.k.tensor = given(&call->other);
      attention.v.tensor = given(&call->residual);
      return op_attention(device, &attention, &call->y);
    case OP_geglu:
      return op_geglu(device, &call->x, &call->y);
    case OP_concat:
      return op_concat(device, &call->x, &call->other, &call->y);
    case OP_upsample:
      return op_upsample(device, &call->x, &call->y);
    case OP_timestep_embedding:
      return op_timestep_embedding(device, call->rows, &call->y);
    default:
      return fail(BAD_INPUT, "op %d is not written down", call->op);
  }
}

/* ---- beginning and end ---- */

void recorder_start(struct device *device, struct recording *recording) {
  assert(now.recording == NULL);
  recording->count = 0;
  now.real = device->backend;
  now.recorded = *now.real;
  now.recording = recording;
#define RECORD(name) now.recorded.ops.name = record_##name
  RECORD(matmul);
  RECORD(conv2d);
  RECORD(upsample_conv);
  RECORD(group_norm);
  RECORD(layer_norm);
  RECORD(attention);
  RECORD(geglu);
  RECORD(concat);
  RECORD(upsample);
  RECORD(timestep_embedding);
#undef RECORD
  if (now.real->queues != NULL) {
    now.queues = *now.real->queues;
    now.queues.sequence = NULL;
    now.queues.forget = NULL;
    now.recorded.queues = &now.queues;
  }
  device->backend = &now.recorded;
}

void recorder_stop(struct device *device) {
  device->backend = now.real;
  now.recording = NULL;
}

static int kept_count(const struct recording *recording) {
  return recording->count < CALLS_MAX ? recording->count : CALLS_MAX;
}

/* The next timestep embedding from here, with which a U-Net call begins, or the end. */
static int next_unet(const struct recording *recording, int from) {
  while (from < kept_count(recording) && recording->call[from].op != OP_timestep_embedding) {
    from++;
  }
  return from;
}

/* Behind the last op of the network that begins here, which makes latents. */
static int behind_unet(const struct recording *recording, int from) {
  int last = from;
  for (int i = from; i < kept_count(recording); i++) {
    const struct call *call = &recording->call[i];
    last = i + 1;
    if (call->op == OP_conv2d && call->weight->outputs <= UNET_OUTPUTS_MAX) {
      break;
    }
  }
  return last;
}

static void keep(struct recording *recording, int first, int behind) {
  memmove(recording->call, recording->call + first,
          (size_t)(behind - first) * sizeof *recording->call);
  recording->count = behind - first;
}

bool recording_keep_unet(struct recording *recording) {
  int first = next_unet(recording, 0);
  if (first == kept_count(recording)) {
    return false;
  }
  keep(recording, first, behind_unet(recording, first));
  return true;
}

bool recording_keep_decode(struct recording *recording) {
  int last = next_unet(recording, 0), count = kept_count(recording);
  for (int next = last; next < count; next = next_unet(recording, last + 1)) {
    last = next;
  }
  if (last == count) {
    return false;
  }
  int first = behind_unet(recording, last);
  keep(recording, first, count);
  return first < count;
}

enum status recording_own_rows(struct recording *recording, struct device *device,
                               struct arena *arena) {
  struct tensor room;
  size_t bytes = (size_t)recording->row_count * sizeof recording->row[0];
  TRY(tensor_take(arena, ELEMENT_U8, TENSOR_SHAPE((int64_t)bytes), &room));
  TRY(device_put(device, recording->row, bytes, &room));
  for (int i = 0; i < kept_count(recording); i++) {
    struct call *call = &recording->call[i];
    call->rows = call->rows != NULL ? room.data : NULL;
    call->attention.rows = call->attention.rows != NULL ? room.data : NULL;
  }
  return OK;
}

double recording_operations(const struct recording *recording) {
  double sum = 0;
  for (int i = 0; i < recording->count && i < CALLS_MAX; i++) {
    sum += recording->call[i].operations;
  }
  return sum;
}
