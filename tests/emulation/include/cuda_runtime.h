/* cuda_runtime.h - the part of CUDA's runtime that darkroom uses, without a GPU: for C files
 * the functions that the host calls, for .cu files (compiled as C++17) what kernels use too.
 * tests/emulation/README.md says how it behaves.
 */
#ifndef DARKROOM_EMULATION_CUDA_RUNTIME_H
#define DARKROOM_EMULATION_CUDA_RUNTIME_H

#include "emulation/types.h"
/* types first */
#include "emulation/api.h"
#include "emulation/devices.h"
#include "emulation/graphs.h"
#ifdef __cplusplus
#include "emulation/launch.h"
#include "emulation/numbers.h"
#include "emulation/thread.h"
#include "emulation/warp.h"
#endif

#endif
