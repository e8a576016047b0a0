/* op_clock.h - a clock around every op of a device: what each took, by its name and by its shapes.
 */
#ifndef DARKROOM_TESTS_BENCH_OP_CLOCK_H
#define DARKROOM_TESTS_BENCH_OP_CLOCK_H

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "tests/bench/networks.h"

#define OP_SHAPES_MAX 512

/* An op on tensors of some shapes. */
struct op_shape {
  char text[96];
  int op, calls;
  int64_t ns, processor_ns; /* of all calls; the second counts every thread */
  double work;              /* multiplications and additions of one call; 0 = not counted */
};

static struct {
  const struct backend *real;
  struct backend timed;
  struct op_shape shapes[OP_SHAPES_MAX];
  int count;
} op_clock;

static void op_clock_add(const struct op_shape *shape) {
  for (int i = 0; i < op_clock.count; i++) {
    struct op_shape *known = &op_clock.shapes[i];
    if (known->op == shape->op && strcmp(known->text, shape->text) == 0) {
      known->ns += shape->ns;
      known->processor_ns += shape->processor_ns;
      known->calls++;
      return;
    }
  }
  if (op_clock.count < OP_SHAPES_MAX) {
    op_clock.shapes[op_clock.count] = *shape;
    op_clock.shapes[op_clock.count++].calls = 1;
  }
}

static void op_clock_text(struct op_shape *out, const struct tensor *y) {
  size_t at = strlen(out->text);
  for (int i = 0; i < y->rank; i++) {
    at += (size_t)snprintf(out->text + at, sizeof out->text - at, "%s%lld", i > 0 ? "x" : "",
                           (long long)y->shape[i]);
  }
}

static void describe_weight(struct op_shape *out, const struct weight *w, const struct tensor *y) {
  int64_t cells = tensor_count(y) / w->outputs;
  int64_t window = w->doubling ? 4 : w->kernel_height * w->kernel_width;
  out->work = 2.0 * (double)(cells * w->outputs * w->inputs * window);
  snprintf(out->text, sizeof out->text, "%lldx%lld_%lld_", (long long)w->kernel_height,
           (long long)w->kernel_width, (long long)w->inputs);
  op_clock_text(out, y);
}

static void describe_attention(struct op_shape *out, const struct attention *a,
                               const struct tensor *y) {
  int64_t keys = a->k.tensor != NULL ? a->k.tensor->shape[1] : 77;
  snprintf(out->text, sizeof out->text, "keys%lld_heads%lld_", (long long)keys,
           (long long)a->heads);
  out->work = 4.0 * (double)(tensor_count(y) * keys);
  op_clock_text(out, y);
}

static void describe_plain(struct op_shape *out, const struct tensor *y) { op_clock_text(out, y); }

#define TIMED(name, parameters, arguments, describes)       \
  static enum status timed_##name parameters {              \
    struct op_shape shape = {.op = OP_##name};              \
    int64_t start = clock_ns(), begin = processor_ns();     \
    enum status status = op_clock.real->ops.name arguments; \
    shape.ns = clock_ns() - start;                          \
    shape.processor_ns = processor_ns() - begin;            \
    describes;                                              \
    op_clock_add(&shape);                                   \
    return status;                                          \
  }
TIMED(matmul,
      (struct device * d, const struct tensor *x, const struct weight *w,
       const struct matmul_options *o, const struct tensor *y),
      (d, x, w, o, y), describe_weight(&shape, w, y))
TIMED(conv2d,
      (struct device * d, const struct tensor *x, const struct weight *w,
       const struct conv_options *o, const struct tensor *y),
      (d, x, w, o, y), describe_weight(&shape, w, y))
TIMED(upsample_conv,
      (struct device * d, const struct tensor *x, const struct weight *w, const struct tensor *y),
      (d, x, w, y), describe_weight(&shape, w, y))
TIMED(attention, (struct device * d, const struct attention *a, const struct tensor *y), (d, a, y),
      describe_attention(&shape, a, y))
TIMED(group_norm,
      (struct device * d, const struct tensor *x, const struct norm *n, bool s,
       const struct tensor *y),
      (d, x, n, s, y), describe_plain(&shape, y))
TIMED(layer_norm,
      (struct device * d, const struct tensor *x, const struct norm *n, const struct tensor *y),
      (d, x, n, y), describe_plain(&shape, y))
TIMED(geglu, (struct device * d, const struct tensor *x, const struct tensor *y), (d, x, y),
      describe_plain(&shape, y))
TIMED(concat,
      (struct device * d, const struct tensor *a, const struct tensor *b, const struct tensor *y),
      (d, a, b, y), describe_plain(&shape, y))
TIMED(upsample, (struct device * d, const struct tensor *x, const struct tensor *y), (d, x, y),
      describe_plain(&shape, y))
TIMED(timestep_embedding, (struct device * d, const struct batch_row *rows, const struct tensor *y),
      (d, rows, y), describe_plain(&shape, y))

static void op_clock_start(struct device *device) {
  op_clock.real = device->backend;
  op_clock.timed = *op_clock.real;
  struct backend *timed = &op_clock.timed;
  timed->ops.matmul = timed_matmul;
  timed->ops.conv2d = timed_conv2d;
  timed->ops.upsample_conv = timed_upsample_conv;
  timed->ops.attention = timed_attention;
  timed->ops.group_norm = timed_group_norm;
  timed->ops.layer_norm = timed_layer_norm;
  timed->ops.geglu = timed_geglu;
  timed->ops.concat = timed_concat;
  timed->ops.upsample = timed_upsample;
  timed->ops.timestep_embedding = timed_timestep_embedding;
  device->backend = timed;
}

static void op_clock_stop(struct device *device) { device->backend = op_clock.real; }

static void op_clock_clear(void) { op_clock.count = 0; }

#endif
