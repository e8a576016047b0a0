/* primitive.c - from a problem to oneDNN's words: descriptors of memory, operation and what is
 * fused behind it. */
#include "kernels/cpu/primitive.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

/* ---- what is fused behind ---- */

#if DNNL_VERSION_MAJOR >= 3
static dnnl_status_t append_eltwise(dnnl_post_ops_t fused, dnnl_alg_kind_t kind, float alpha) {
  return dnnl_post_ops_append_eltwise(fused, kind, alpha, 0);
}
static dnnl_status_t append_sum(dnnl_post_ops_t fused) {
  return dnnl_post_ops_append_sum(fused, 1, 0, dnnl_data_type_undef);
}
#else
static dnnl_status_t append_eltwise(dnnl_post_ops_t fused, dnnl_alg_kind_t kind, float alpha) {
  return dnnl_post_ops_append_eltwise(fused, 1, kind, alpha, 0);
}
static dnnl_status_t append_sum(dnnl_post_ops_t fused) {
  return dnnl_post_ops_append_sum(fused, 1);
}
#endif

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
    status = append_sum(fused);
  }
  if (status == dnnl_success && p->activation != ACTIVATION_NONE) {
    status = append_eltwise(fused, functions[p->activation].kind, functions[p->activation].alpha);
  }
  if (status == dnnl_success && p->adds && !p->activates_last) {
    status = append_sum(fused);
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

/* ---- operands ---- */

/* The layouts of one operation's memory, in oneDNN's order of dimensions (logical NCHW, whatever
 * lies in memory). */
struct operands {
  layout x, y, bias, any; /* any: of the weight, where it is oneDNN's to choose */
  const_layout w;         /* which of them, or the caller's */
};

static enum status open_conv_operands(const struct problem *p, int64_t batch, struct operands *o) {
  const dnnl_dims_t x = {batch, p->inputs, p->height, p->width};
  const dnnl_dims_t y = {batch, p->outputs, p->out_height, p->out_width};
  const dnnl_dims_t w = {p->outputs, p->inputs, p->kernel_height, p->kernel_width};
  TRY(layout_open(4, x, p->input, dnnl_nhwc, &o->x));
  TRY(layout_open(4, y, p->output, dnnl_nhwc, &o->y));
  TRY(layout_open(1, (dnnl_dims_t){p->outputs}, ELEMENT_F32, dnnl_x, &o->bias));
  return layout_open(4, w, p->input, dnnl_format_tag_any, &o->any);
}

static enum status open_matmul_operands(const struct problem *p, int64_t batch,
                                        struct operands *o) {
  int64_t rows = batch * p->height;
  TRY(layout_open(2, (dnnl_dims_t){rows, p->inputs}, p->input, dnnl_ab, &o->x));
  TRY(layout_open(2, (dnnl_dims_t){rows, p->outputs}, p->output, dnnl_ab, &o->y));
  TRY(layout_open(2, (dnnl_dims_t){1, p->outputs}, ELEMENT_F32, dnnl_ab, &o->bias));
  return layout_open(2, (dnnl_dims_t){p->inputs, p->outputs}, p->input, dnnl_format_tag_any,
                     &o->any);
}

static void close_operands(struct operands *o) {
  layout_close(&o->x);
  layout_close(&o->y);
  layout_close(&o->bias);
  layout_close(&o->any);
}

/* ---- descriptions ---- */

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

#if DNNL_VERSION_MAJOR >= 3

/* The first code that will do; NULL when there is none. */
static dnnl_status_t choose_conv(const struct place *place, const struct problem *p,
                                 const struct operands *o, dnnl_primitive_desc_t *out) {
  const dnnl_dims_t strides = {p->stride, p->stride}, dilates = {0, 0};
  const dnnl_dims_t before = {p->pad_top, p->pad_left}, after = {p->pad_bottom, p->pad_right};
  dnnl_primitive_desc_t description = NULL;
  dnnl_status_t status = dnnl_convolution_forward_primitive_desc_create(
      &description, place->engine, dnnl_forward_inference, dnnl_convolution_direct, o->x, o->w,
      p->has_bias ? o->bias : NULL, o->y, strides, dilates, before, after, place->attributes);
  while (status == dnnl_success && depends_on_threads(p, description)) {
    status = dnnl_primitive_desc_next_impl(description);
  }
  if (status != dnnl_success) {
    dnnl_primitive_desc_destroy(description);
    return status;
  }
  *out = description;
  return dnnl_success;
}

static dnnl_status_t describe_matmul(const struct place *place, const struct problem *p,
                                     const struct operands *o, dnnl_primitive_desc_t *out) {
  return dnnl_matmul_primitive_desc_create(out, place->engine, o->x, o->w,
                                           p->has_bias ? o->bias : NULL, o->y, place->attributes);
}

#else

static dnnl_status_t first_code(const struct place *place, const struct problem *p,
                                const dnnl_convolution_desc_t *operation,
                                dnnl_primitive_desc_t *out) {
  dnnl_primitive_desc_iterator_t codes;
  dnnl_status_t status = dnnl_primitive_desc_iterator_create(&codes, operation, place->attributes,
                                                             place->engine, NULL);
  if (status != dnnl_success) {
    return status;
  }
  dnnl_primitive_desc_t description = dnnl_primitive_desc_iterator_fetch(codes);
  while (description != NULL && depends_on_threads(p, description)) {
    dnnl_primitive_desc_destroy(description);
    bool more = dnnl_primitive_desc_iterator_next(codes) == dnnl_success;
    description = more ? dnnl_primitive_desc_iterator_fetch(codes) : NULL;
  }
  dnnl_primitive_desc_iterator_destroy(codes);
  *out = description;
  return description != NULL ? dnnl_success : dnnl_unimplemented;
}

static dnnl_status_t choose_conv(const struct place *place, const struct problem *p,
                                 const struct operands *o, dnnl_primitive_desc_t *out) {
  const dnnl_dims_t strides = {p->stride, p->stride};
  const dnnl_dims_t before = {p->pad_top, p->pad_left}, after = {p->pad_bottom, p->pad_right};
  dnnl_convolution_desc_t operation;
  dnnl_status_t status = dnnl_convolution_forward_desc_init(
      &operation, dnnl_forward_inference, dnnl_convolution_direct, o->x, o->w,
      p->has_bias ? o->bias : NULL, o->y, strides, before, after);
  return status != dnnl_success ? status : first_code(place, p, &operation, out);
}

static dnnl_status_t describe_matmul(const struct place *place, const struct problem *p,
                                     const struct operands *o, dnnl_primitive_desc_t *out) {
  dnnl_matmul_desc_t operation;
  dnnl_status_t status =
      dnnl_matmul_desc_init(&operation, o->x, o->w, p->has_bias ? o->bias : NULL, o->y);
  return status != dnnl_success
             ? status
             : dnnl_primitive_desc_create(out, &operation, place->attributes, place->engine, NULL);
}

#endif

static enum status describe(const struct place *place, const struct problem *p, int64_t batch,
                            const_layout weights, dnnl_primitive_desc_t *out) {
  struct operands o = {0};
  bool conv = p->kind == PROBLEM_CONV;
  enum status status = conv ? open_conv_operands(p, batch, &o) : open_matmul_operands(p, batch, &o);
  if (status == OK) {
    o.w = weights != NULL ? weights : o.any;
    status = library_check((conv ? choose_conv : describe_matmul)(place, p, &o, out),
                           conv ? "a convolution" : "a product");
  }
  close_operands(&o);
  return status;
}

enum status primitive_describe(dnnl_engine_t engine, const struct problem *p, int64_t batch,
                               const_layout weights, dnnl_primitive_desc_t *out) {
  struct place place = {.engine = engine};
  TRY(library_check(dnnl_primitive_attr_create(&place.attributes), "attributes"));
  enum status status = describe_fusion(p, place.attributes);
  if (status == OK) {
    status = describe(&place, p, batch, weights, out);
  }
  dnnl_primitive_attr_destroy(place.attributes);
  return status;
}

const_layout primitive_layout(const_dnnl_primitive_desc_t description) {
  return dnnl_primitive_desc_query_md(description, dnnl_query_weights_md, 0);
}

const char *primitive_name(const_dnnl_primitive_desc_t description) {
  const char *name = "";
  dnnl_primitive_desc_query(description, dnnl_query_impl_info_str, 0, &name);
  return name;
}
