/* layout.c - layouts, by the version of oneDNN that is built against. */
#include "kernels/cpu/layout.h"

#include <assert.h>
#include <stdlib.h>
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

#if DNNL_VERSION_MAJOR >= 3

enum status layout_open(int rank, const dnnl_dims_t shape, enum element element,
                        dnnl_format_tag_t tag, layout *out) {
  return library_check(dnnl_memory_desc_create_with_tag(out, rank, shape, types[element], tag),
                       "a memory descriptor");
}

enum status layout_copy(const_layout from, layout *out) {
  return library_check(dnnl_memory_desc_clone(out, from), "a memory descriptor");
}

void layout_close(layout *pointer) {
  if (*pointer != NULL) {
    (void)dnnl_memory_desc_destroy(*pointer);
    *pointer = NULL;
  }
}

struct blocking layout_blocking(const_layout of) {
  struct blocking out = {0};
  dnnl_format_kind_t kind = dnnl_format_kind_undef;
  const dnnl_dims_t *shape = NULL, *strides = NULL, *sizes = NULL, *dimensions = NULL;
  dnnl_status_t status = dnnl_memory_desc_query(of, dnnl_query_format_kind, &kind);
  status = status ? status : dnnl_memory_desc_query(of, dnnl_query_ndims_s32, &out.rank);
  status = status ? status : dnnl_memory_desc_query(of, dnnl_query_dims, &shape);
  status = status ? status : dnnl_memory_desc_query(of, dnnl_query_strides, &strides);
  status = status ? status : dnnl_memory_desc_query(of, dnnl_query_inner_nblks_s32, &out.blocks);
  status = status ? status : dnnl_memory_desc_query(of, dnnl_query_inner_blks, &sizes);
  status = status ? status : dnnl_memory_desc_query(of, dnnl_query_inner_idxs, &dimensions);
  assert(status == dnnl_success && kind == dnnl_blocked);
  out.shape = *shape;
  out.strides = *strides;
  out.sizes = *sizes;
  out.dimensions = *dimensions;
  return out;
}

dnnl_status_t layout_point(dnnl_memory_t memory, const void *data, dnnl_stream_t stream) {
  (void)stream;
  return dnnl_memory_set_data_handle(memory, (void *)(uintptr_t)data);
}

#else

enum status layout_copy(const_layout from, layout *out) {
  layout copy = malloc(sizeof *copy);
  if (copy == NULL) {
    return fail(EXHAUSTED, "no memory for a memory descriptor");
  }
  memcpy(copy, from, sizeof *copy);
  *out = copy;
  return OK;
}

enum status layout_open(int rank, const dnnl_dims_t shape, enum element element,
                        dnnl_format_tag_t tag, layout *out) {
  dnnl_memory_desc_t made;
  TRY(library_check(dnnl_memory_desc_init_by_tag(&made, rank, shape, types[element], tag),
                    "a memory descriptor"));
  return layout_copy(&made, out);
}

void layout_close(layout *pointer) {
  free(*pointer);
  *pointer = NULL;
}

struct blocking layout_blocking(const_layout of) {
  const dnnl_blocking_desc_t *blocks = &of->format_desc.blocking;
  assert(of->format_kind == dnnl_blocked);
  return (struct blocking){.rank = of->ndims,
                           .blocks = blocks->inner_nblks,
                           .shape = of->dims,
                           .strides = blocks->strides,
                           .sizes = blocks->inner_blks,
                           .dimensions = blocks->inner_idxs};
}

/* Not set_data_handle alone, which would look for padding to fill. */
dnnl_status_t layout_point(dnnl_memory_t memory, const void *data, dnnl_stream_t stream) {
  return dnnl_memory_set_data_handle_v2(memory, (void *)(uintptr_t)data, stream);
}

#endif
