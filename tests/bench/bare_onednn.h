/* bare_onednn.h - the same convolution or product in oneDNN alone, every layout its own choice:
 * what ours is held to.
 *
 * As oneDNN's own benchmark would make it: bias and nothing else fused, images in NHWC, the whole
 * batch in one call.
 */
#ifndef DARKROOM_TESTS_BARE_ONEDNN_H
#define DARKROOM_TESTS_BARE_ONEDNN_H

#include <dnnl.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static dnnl_memory_desc_t describe(int rank, const dnnl_dims_t shape, dnnl_data_type_t type,
                                   dnnl_format_tag_t tag) {
  dnnl_memory_desc_t out;
  bare_must(dnnl_memory_desc_init_by_tag(&out, rank, shape, type, tag), "a memory descriptor");
  return out;
}

static void describe_conv(struct bare *bare, const struct op_case *c, int batch,
                          dnnl_data_type_t type, dnnl_data_type_t output) {
  bool same = c->pad_before == 0 && c->pad_after == 0;
  int stride = c->stride == 0 ? 1 : c->stride;
  int before = same ? c->kernel / 2 : c->pad_before, after = same ? c->kernel / 2 : c->pad_after;
  int height = (c->height + before + after - c->kernel) / stride + 1;
  int width = (c->width + before + after - c->kernel) / stride + 1;
  dnnl_memory_desc_t x =
      describe(4, (dnnl_dims_t){batch, c->inputs, c->height, c->width}, type, dnnl_nhwc);
  dnnl_memory_desc_t w = describe(4, (dnnl_dims_t){c->outputs, c->inputs, c->kernel, c->kernel},
                                  type, dnnl_format_tag_any);
  dnnl_memory_desc_t bias = describe(1, (dnnl_dims_t){c->outputs}, dnnl_f32, dnnl_x);
  dnnl_memory_desc_t y =
      describe(4, (dnnl_dims_t){batch, c->outputs, height, width}, output, dnnl_nhwc);
  dnnl_convolution_desc_t operation;
  bare_must(dnnl_convolution_forward_desc_init(
                &operation, dnnl_forward_inference, dnnl_convolution_direct, &x, &w, &bias, &y,
                (dnnl_dims_t){stride, stride}, (dnnl_dims_t){before, before},
                (dnnl_dims_t){after, after}),
            "a convolution");
  bare_must(dnnl_primitive_desc_create(&bare->description, &operation, NULL, bare->engine, NULL),
            "a convolution");
}

static void describe_matmul(struct bare *bare, const struct op_case *c, int batch,
                            dnnl_data_type_t type, dnnl_data_type_t output) {
  int64_t rows = (int64_t)batch * (c->height > 0 ? c->height : 1);
  dnnl_memory_desc_t x = describe(2, (dnnl_dims_t){rows, c->inputs}, type, dnnl_ab);
  dnnl_memory_desc_t w =
      describe(2, (dnnl_dims_t){c->inputs, c->outputs}, type, dnnl_format_tag_any);
  dnnl_memory_desc_t bias = describe(2, (dnnl_dims_t){1, c->outputs}, dnnl_f32, dnnl_ab);
  dnnl_memory_desc_t y = describe(2, (dnnl_dims_t){rows, c->outputs}, output, dnnl_ab);
  dnnl_matmul_desc_t operation;
  bare_must(dnnl_matmul_desc_init(&operation, &x, &w, &bias, &y), "a product");
  bare_must(dnnl_primitive_desc_create(&bare->description, &operation, NULL, bare->engine, NULL),
            "a product");
}

/* Gives an operand memory of its own, all zero: the speed does not depend on the values. */
static void give_memory(struct bare *bare, int index, int argument, dnnl_query_t what, int of) {
  const dnnl_memory_desc_t *layout = dnnl_primitive_desc_query_md(bare->description, what, of);
  bare_must(dnnl_memory_create(&bare->memories[index], layout, bare->engine, DNNL_MEMORY_ALLOCATE),
            "memory");
  void *data = NULL;
  bare_must(dnnl_memory_get_data_handle(bare->memories[index], &data), "memory");
  memset(data, 0, dnnl_memory_desc_get_size(layout));
  bare->arguments[index] = (dnnl_exec_arg_t){argument, bare->memories[index]};
}

/* NULL for an op that is neither, or a device that is not the cpu. Leaves the process when oneDNN
 * fails. */
static struct bare *bare_open(const struct device *device, const struct op_case *c, int batch) {
  bool conv = strcmp(c->op, "conv2d") == 0;
  if (strcmp(device_name(device), "cpu") != 0 || !(conv || strcmp(c->op, "matmul") == 0)) {
    return NULL;
  }
  struct bare *bare = calloc(1, sizeof *bare);
  if (bare == NULL) {
    exit(1);
  }
  dnnl_data_type_t type = device_element(device) == ELEMENT_BF16 ? dnnl_bf16 : dnnl_f32;
  omp_set_num_threads(device_threads(device));
  bare_must(dnnl_engine_create(&bare->engine, dnnl_cpu, 0), "an engine");
  bare_must(dnnl_stream_create(&bare->stream, bare->engine, dnnl_stream_default_flags), "a stream");
  (conv ? describe_conv : describe_matmul)(bare, c, batch, type, c->f32_out ? dnnl_f32 : type);
  bare_must(dnnl_primitive_create(&bare->primitive, bare->description), "a primitive");
  give_memory(bare, 0, DNNL_ARG_SRC, dnnl_query_src_md, 0);
  give_memory(bare, 1, DNNL_ARG_WEIGHTS, dnnl_query_weights_md, 0);
  give_memory(bare, 2, DNNL_ARG_BIAS, dnnl_query_weights_md, 1);
  give_memory(bare, 3, DNNL_ARG_DST, dnnl_query_dst_md, 0);
  return bare;
}

static void bare_execute(struct bare *bare) {
  bare_must(dnnl_primitive_execute(bare->primitive, bare->stream, OPERANDS, bare->arguments),
            "a run");
  bare_must(dnnl_stream_wait(bare->stream), "a run");
}

static void bare_close(struct bare **pointer) {
  struct bare *bare = *pointer;
  if (bare == NULL) {
    return;
  }
  for (int i = 0; i < OPERANDS; i++) {
    dnnl_memory_destroy(bare->memories[i]);
  }
  dnnl_primitive_destroy(bare->primitive);
  dnnl_primitive_desc_destroy(bare->description);
  dnnl_stream_destroy(bare->stream);
  dnnl_engine_destroy(bare->engine);
  free(bare);
  *pointer = NULL;
}

#endif
