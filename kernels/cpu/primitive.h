/* primitive.h - descriptions of oneDNN primitives, and its errors in our words. Only library.c and
 * weight.c need it. */
#ifndef DARKROOM_KERNELS_CPU_PRIMITIVE_H
#define DARKROOM_KERNELS_CPU_PRIMITIVE_H

#include "kernels/cpu/library.h"

/* OK, EXHAUSTED or BROKEN, with the reason recorded. */
enum status library_check(dnnl_status_t status, const char *what);

/* Describes the primitive for batch rows of a problem; layout NULL lets oneDNN choose the weight's.
 * The caller destroys. */
enum status primitive_describe(dnnl_engine_t engine, const struct problem *problem, int64_t batch,
                               const dnnl_memory_desc_t *layout, dnnl_primitive_desc_t *out);

/* The weight layout and the name of the code of a description. */
const dnnl_memory_desc_t *primitive_layout(const_dnnl_primitive_desc_t description);
const char *primitive_name(const_dnnl_primitive_desc_t description);

#endif
