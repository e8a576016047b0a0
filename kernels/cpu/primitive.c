/* primitive.c - from a problem to oneDNN's words: descriptors of memory, operation and what is
 * fused behind it. */
#include "kernels/cpu/primitive.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

static const dnnl_data_type_t types[ELEMENT_COUNT] = {
    [ELEMENT_F32] = dnnl_f32, [ELEMENT_BF16] = dnnl_bf16, [ELEMENT_F16] = dnnl_f16,
    [ELEMENT_I32] = dnnl_s32, [ELEMENT_U8] = dnnl_u8,
};

enum status library_check(dnnl_status_t status, const char *what) {
  if (status == dnnl_success) {
    return OK;
  }
  if (status == dnnl_out_of_memory) {
    return fail(EXHAUSTED, "oneDNN: no memory for %s", what);
  }
  return fail(BROKEN, "oneDNN: %s failed (%d)", what, (int)status);
}

static enum status describe_tensor(dnnl_memory_desc_t *out, int rank, const dnnl_dims_t shape,
                                   enum element element, dnnl_format_tag_t tag) {
  return library_check(dnnl_memory_desc_init_by_tag(out, rank, shape, types[element], tag),
                       "a memory descriptor");
}

/* activation(x w + bias), then + y; or the other way round. */
static enum status describe_fusion(const struct problem *p, dnnl_primitive_attr_t attributes) {
  static const struct {
    dnnl_alg_kind_t kind;
    float alpha;
  } functions[ACTIVATION_COUNT] = {
      [ACTIVATION_SILU] = {dnnl_eltwise_swish, 1},
      [ACTIVATION_GELU] = {dnnl_eltwise_gelu_erf, 0},
      [ACTIVATION_QUICK_GELU] = {dnnl_eltwise_swish, 1.702f},
      [ACTIVATION_RELU] = {dnnl_eltwise_relu, 0},
  };
  dnnl_post_ops_t fused;
  TRY(library_check(dnnl_post_ops_create(&fused), "post-ops"));
  dnnl_status_t status = dnnl_success;
  if (p->adds && p->activates_last) {
    status = dnnl_post_ops_append_sum(fused, 1);
  }
  if (status == dnnl_success && p->activation != ACTIVATION_NONE) {
    status = dnnl_post_ops_append_eltwise(fused, 1, functions[p->activation].kind,
                                          functions[p->activation].alpha, 0);
  }
  if (status == dnnl_success && p->adds && !p->activates_last) {
    status = dnnl_post_ops_append_sum(fused, 1);
  }
  if (status == dnnl_success) {
    status = dnnl_primitive_attr_set_post_ops(attributes, fused);
  }
  if (status == dnnl_success) {
    status = dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user);
  }
  dnnl_post_ops_destroy(fused);
  return library_check(status, "post-ops");
}

/* The descriptors of one operation's memory, in oneDNN's order of dimensions (logical NCHW,
 * whatever lies in memory). */
struct operands {
  dnnl_memory_desc_t x, w, bias, y;
};

static enum status describe_conv_operands(const struct problem *p, int64_t batch,
                                          const dnnl_memory_desc_t *layout, struct operands *out) {
  const dnnl_dims_t x = {batch, p->inputs, p->height, p->width};
  const dnnl_dims_t y = {batch, p->outputs, p->out_height, p->out_width};
  const dnnl_dims_t w = {p->outputs, p->inputs, p->kernel_height, p->kernel_width};
  TRY(describe_tensor(&out->x, 4, x, p->input, dnnl_nhwc));
  TRY(describe_tensor(&out->y, 4, y, p->output, dnnl_nhwc));
  TRY(describe_tensor(&out->bias, 1, (dnnl_dims_t){p->outputs}, ELEMENT_F32, dnnl_x));
  if (layout == NULL) {
    return describe_tensor(&out->w, 4, w, p->input, dnnl_format_tag_any);
  }
  out->w = *layout;
  return OK;
}

static enum status describe_matmul_operands(const struct problem *p, int64_t batch,
                                            const dnnl_memory_desc_t *layout,
                                            struct operands *out) {
  TRY(describe_tensor(&out->x, 2, (dnnl_dims_t){batch * p->height, p->inputs}, p->input, dnnl_ab));
  TRY(describe_tensor(&out->y, 2, (dnnl_dims_t){batch * p->height, p->outputs}, p->output,
                      dnnl_ab));
  TRY(describe_tensor(&out->bias, 2, (dnnl_dims_t){1, p->outputs}, ELEMENT_F32, dnnl_ab));
  if (layout == NULL) {
    return describe_tensor(&out->w, 2, (dnnl_dims_t){p->inputs, p->outputs}, p->input,
                           dnnl_format_tag_any);
  }
  out->w = *layout;
  return OK;
}

/* Where a description is made. */
struct place {
  dnnl_engine_t engine;
  dnnl_primitive_attr_t attributes;
};

/* On AVX-512 oneDNN's first choice for f32 chooses where it cuts the sum over inputs by the number
 * of threads, and so would the bits: the code after it cuts by shape alone (README.md). */
static bool depends_on_threads(const struct problem *p, const_dnnl_primitive_desc_t description) {
  return p->input == ELEMENT_F32 && strncmp(primitive_name(description), "brgconv", 7) == 0;
}

static enum status choose_conv(const struct place *place, const struct problem *p,
                               const dnnl_convolution_desc_t *operation,
                               dnnl_primitive_desc_t *out) {
  dnnl_primitive_desc_iterator_t codes;
  TRY(library_check(dnnl_primitive_desc_iterator_create(&codes, operation, place->attributes,
                                                        place->engine, NULL),
                    "a convolution"));
  dnnl_primitive_desc_t description = dnnl_primitive_desc_iterator_fetch(codes);
  while (description != NULL && depends_on_threads(p, description)) {
    dnnl_primitive_desc_destroy(description);
    bool more = dnnl_primitive_desc_iterator_next(codes) == dnnl_success;
    description = more ? dnnl_primitive_desc_iterator_fetch(codes) : NULL;
  }
  dnnl_primitive_desc_iterator_destroy(codes);
  if (description == NULL) {
    return fail(BROKEN, "oneDNN has no code for a convolution");
  }
  *out = description;
  return OK;
}

static enum status describe_conv(const struct place *place, const struct problem *p, int64_t batch,
                                 const dnnl_memory_desc_t *layout, dnnl_primitive_desc_t *out) {
  struct operands o;
  TRY(describe_conv_operands(p, batch, layout, &o));
  const dnnl_dims_t strides = {p->stride, p->stride};
  const dnnl_dims_t before = {p->pad_top, p->pad_left}, after = {p->pad_bottom, p->pad_right};
  dnnl_convolution_desc_t operation;
  TRY(library_check(dnnl_convolution_forward_desc_init(
                        &operation, dnnl_forward_inference, dnnl_convolution_direct, &o.x, &o.w,
                        p->has_bias ? &o.bias : NULL, &o.y, strides, before, after),
                    "a convolution"));
  return choose_conv(place, p, &operation, out);
}

static enum status describe_matmul(const struct place *place, const struct problem *p,
                                   int64_t batch, const dnnl_memory_desc_t *layout,
                                   dnnl_primitive_desc_t *out) {
  struct operands o;
  TRY(describe_matmul_operands(p, batch, layout, &o));
  dnnl_matmul_desc_t operation;
  TRY(library_check(
      dnnl_matmul_desc_init(&operation, &o.x, &o.w, p->has_bias ? &o.bias : NULL, &o.y),
      "a product"));
  return library_check(
      dnnl_primitive_desc_create(out, &operation, place->attributes, place->engine, NULL),
      "a product");
}

enum status primitive_describe(dnnl_engine_t engine, const struct problem *p, int64_t batch,
                               const dnnl_memory_desc_t *layout, dnnl_primitive_desc_t *out) {
  struct place place = {.engine = engine};
  TRY(library_check(dnnl_primitive_attr_create(&place.attributes), "attributes"));
  enum status status = describe_fusion(p, place.attributes);
  if (status == OK) {
    status = p->kind == PROBLEM_CONV ? describe_conv(&place, p, batch, layout, out)
                                     : describe_matmul(&place, p, batch, layout, out);
  }
  dnnl_primitive_attr_destroy(place.attributes);
  return status;
}

const dnnl_memory_desc_t *primitive_layout(const_dnnl_primitive_desc_t description) {
  return dnnl_primitive_desc_query_md(description, dnnl_query_weights_md, 0);
}

const char *primitive_name(const_dnnl_primitive_desc_t description) {
  const char *name = "";
  dnnl_primitive_desc_query(description, dnnl_query_impl_info_str, 0, &name);
  return name;
}
