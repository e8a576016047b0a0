/* launch_types.h - the words that launch.h and its parts share. */
#ifndef DARKROOM_KERNELS_CUDA_LAUNCH_TYPES_H
#define DARKROOM_KERNELS_CUDA_LAUNCH_TYPES_H

/* As enum element of tensor.h has them (asserted in ops.c): that header is not C++. */
enum launch_element { LAUNCH_F32, LAUNCH_BF16, LAUNCH_F16 };
/* As enum activation of ops.h. */
enum launch_activation {
  LAUNCH_NONE,
  LAUNCH_SILU,
  LAUNCH_GELU,
  LAUNCH_QUICK_GELU,
  LAUNCH_RELU,
  LAUNCH_SOFT_CLAMP
};

#endif
