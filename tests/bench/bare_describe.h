/* bare_describe.h - a case's convolution or product in the words of oneDNN 2 or 3, as kernels/cpu
 * speaks them. Part of bare_onednn.h. */
#ifndef DARKROOM_TESTS_BARE_DESCRIBE_H
#define DARKROOM_TESTS_BARE_DESCRIBE_H

#include <dnnl.h>
#include <stdio.h>
#include <stdlib.h>

#include "kernels/cpu/layout.h"
#include "tests/cases/cases.h"

enum { OPERANDS = 4 };

struct bare {
  dnnl_engine_t engine;
  dnnl_stream_t stream;
  dnnl_primitive_desc_t description;
  dnnl_primitive_t primitive;
  dnnl_memory_t memories[OPERANDS];
  dnnl_exec_arg_t arguments[OPERANDS];
};

static void bare_must(dnnl_status_t status, const char *what) {
  if (status != dnnl_success) {
    fprintf(stderr, "bare oneDNN: %s failed (%d)\n", what, (int)status);
    exit(1);
  }
}

static layout describe(int rank, const dnnl_dims_t shape, enum element element,
                       dnnl_format_tag_t tag) {
  layout out = NULL;
  bare_must(layout_open(rank, shape, element, tag, &out) == OK ? dnnl_success : dnnl_out_of_memory,
            "a memory descriptor");
  return out;
}

/* What a convolution or product is described by. */
struct described {
  layout x, w, bias, y;
  int64_t stride, before, after; /* of a convolution */
};

#if DNNL_VERSION_MAJOR >= 3
static dnnl_status_t create_conv(struct bare *bare, const struct described *d) {
  const dnnl_dims_t strides = {d->stride, d->stride}, before = {d->before, d->before},
                    after = {d->after, d->after}, dilates = {0, 0};
  return dnnl_convolution_forward_primitive_desc_create(
      &bare->description, bare->engine, dnnl_forward_inference, dnnl_convolution_direct, d->x, d->w,
      d->bias, d->y, strides, dilates, before, after, NULL);
}
static dnnl_status_t create_matmul(struct bare *bare, const struct described *d) {
  return dnnl_matmul_primitive_desc_create(&bare->description, bare->engine, d->x, d->w, d->bias,
                                           d->y, NULL);
}
#else
static dnnl_status_t create_conv(struct bare *bare, const struct described *d) {
  const dnnl_dims_t strides = {d->stride, d->stride}, before = {d->before, d->before},
                    after = {d->after, d->after};
  dnnl_convolution_desc_t operation;
  dnnl_status_t status = dnnl_convolution_forward_desc_init(&operation, dnnl_forward_inference,
                                                            dnnl_convolution_direct, d->x, d->w,
                                                            d->bias, d->y, strides, before, after);
  return status != dnnl_success
             ? status
             : dnnl_primitive_desc_create(&bare->description, &operation, NULL, bare->engine, NULL);
}
static dnnl_status_t create_matmul(struct bare *bare, const struct described *d) {
  dnnl_matmul_desc_t operation;
  dnnl_status_t status = dnnl_matmul_desc_init(&operation, d->x, d->w, d->bias, d->y);
  return status != dnnl_success
             ? status
             : dnnl_primitive_desc_create(&bare->description, &operation, NULL, bare->engine, NULL);
}
#endif

static void close_described(struct described *d) {
  layout_close(&d->x);
  layout_close(&d->w);
  layout_close(&d->bias);
  layout_close(&d->y);
}

static void describe_conv(struct bare *bare, const struct op_case *c, int batch, enum element type,
                          enum element output) {
  bool same = c->pad_before == 0 && c->pad_after == 0;
  struct described d = {.stride = c->stride == 0 ? 1 : c->stride,
                        .before = same ? c->kernel / 2 : c->pad_before,
                        .after = same ? c->kernel / 2 : c->pad_after};
  int64_t height = (c->height + d.before + d.after - c->kernel) / d.stride + 1;
  int64_t width = (c->width + d.before + d.after - c->kernel) / d.stride + 1;
  d.x = describe(4, (dnnl_dims_t){batch, c->inputs, c->height, c->width}, type, dnnl_nhwc);
  d.w = describe(4, (dnnl_dims_t){c->outputs, c->inputs, c->kernel, c->kernel}, type,
                 dnnl_format_tag_any);
  d.bias = describe(1, (dnnl_dims_t){c->outputs}, ELEMENT_F32, dnnl_x);
  d.y = describe(4, (dnnl_dims_t){batch, c->outputs, height, width}, output, dnnl_nhwc);
  bare_must(create_conv(bare, &d), "a convolution");
  close_described(&d);
}

static void describe_matmul(struct bare *bare, const struct op_case *c, int batch,
                            enum element type, enum element output) {
  int64_t rows = (int64_t)batch * (c->height > 0 ? c->height : 1);
  struct described d = {
      .x = describe(2, (dnnl_dims_t){rows, c->inputs}, type, dnnl_ab),
      .w = describe(2, (dnnl_dims_t){c->inputs, c->outputs}, type, dnnl_format_tag_any),
      .bias = describe(2, (dnnl_dims_t){1, c->outputs}, ELEMENT_F32, dnnl_ab),
      .y = describe(2, (dnnl_dims_t){rows, c->outputs}, output, dnnl_ab)};
  bare_must(create_matmul(bare, &d), "a product");
  close_described(&d);
}

#endif
