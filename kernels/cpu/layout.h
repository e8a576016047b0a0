/* layout.h - how a tensor lies in memory, in oneDNN's words. Version 2 has it as a struct, version
 * 3 as a handle; here it is a pointer either way, opened, copied and closed by us. */
#ifndef DARKROOM_KERNELS_CPU_LAYOUT_H
#define DARKROOM_KERNELS_CPU_LAYOUT_H

#include <dnnl.h>

#include "kernels/backend.h"

#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t layout;
typedef const_dnnl_memory_desc_t const_layout;
#else
typedef dnnl_memory_desc_t *layout;
typedef const dnnl_memory_desc_t *const_layout;
#endif

/* OK, EXHAUSTED or BROKEN, with the reason recorded. */
enum status library_check(dnnl_status_t status, const char *what);

enum status layout_open(int rank, const dnnl_dims_t shape, enum element element,
                        dnnl_format_tag_t tag, layout *out);
enum status layout_copy(const_layout from, layout *out);
void layout_close(layout *pointer); /* may be NULL */

/* A blocked layout taken apart: position p of dimension d lies strides[d] * (p / its blocks) on,
 * within `blocks` inner blocks, the last of which is innermost. Borrowed. */
struct blocking {
  int rank, blocks;
  const dnnl_dim_t *shape, *strides;    /* [rank] */
  const dnnl_dim_t *sizes, *dimensions; /* [blocks] */
};
struct blocking layout_blocking(const_layout of);

/* Lets a memory object mean other bytes. */
dnnl_status_t layout_point(dnnl_memory_t memory, const void *data, dnnl_stream_t stream);

#endif
