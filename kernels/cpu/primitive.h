/* primitive.h - descriptions of oneDNN primitives. Only library.c and weight.c need it. */
#ifndef DARKROOM_KERNELS_CPU_PRIMITIVE_H
#define DARKROOM_KERNELS_CPU_PRIMITIVE_H

#include "kernels/cpu/library.h"

/* Describes the primitive for batch rows of a problem; weights NULL lets oneDNN choose their
 * layout. The caller destroys. */
enum status primitive_describe(dnnl_engine_t engine, const struct problem *problem, int64_t batch,
                               const_layout weights, dnnl_primitive_desc_t *out);

/* The weight layout and the name of the code of a description. */
const_layout primitive_layout(const_dnnl_primitive_desc_t description);
const char *primitive_name(const_dnnl_primitive_desc_t description);

#endif
