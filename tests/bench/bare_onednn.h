/* bare_onednn.h - the same convolution or product in oneDNN alone, every layout its own choice:
 * what ours is held to.
 *
 * As oneDNN's own benchmark would make it: bias and nothing else fused, images in NHWC, the whole
 * batch in one call.
 */
#ifndef DARKROOM_TESTS_BARE_ONEDNN_H
#define DARKROOM_TESTS_BARE_ONEDNN_H

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/bare_describe.h"

/* Gives an operand memory of its own, all zero: the speed does not depend on the values. */
static void give_memory(struct bare *bare, int index, int argument, dnnl_query_t what, int of) {
  const_layout lies = dnnl_primitive_desc_query_md(bare->description, what, of);
  bare_must(dnnl_memory_create(&bare->memories[index], lies, bare->engine, DNNL_MEMORY_ALLOCATE),
            "memory");
  void *data = NULL;
  bare_must(dnnl_memory_get_data_handle(bare->memories[index], &data), "memory");
  memset(data, 0, dnnl_memory_desc_get_size(lies));
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
  enum element type = device_element(device);
  omp_set_num_threads(device_threads(device));
  bare_must(dnnl_engine_create(&bare->engine, dnnl_cpu, 0), "an engine");
  bare_must(dnnl_stream_create(&bare->stream, bare->engine, dnnl_stream_default_flags), "a stream");
  (conv ? describe_conv : describe_matmul)(bare, c, batch, type, c->f32_out ? ELEMENT_F32 : type);
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
