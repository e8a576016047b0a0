/* ref.h - the functions of the ref row, and the few lines they share. Everything is f32 in host
 * memory. */
#ifndef DARKROOM_KERNELS_REF_REF_H
#define DARKROOM_KERNELS_REF_REF_H

#include "kernels/backend.h"

/* The kernel as [kh, kw, I, O], so that the innermost loop runs over outputs that lie side by side.
 */
struct ref_weight {
  struct weight head;
  size_t bytes;
  float *bias; /* NULL for none */
  float kernel[];
};

static inline float *values(const struct tensor *tensor) { return tensor->data; }
float ref_activation(float x, enum activation activation);

#define REF_FUNCTION(name, parameters) enum status ref_##name parameters;
OPS(REF_FUNCTION)
#undef REF_FUNCTION
void ref_weight_close(struct weight *weight);

#endif
