/* library_load.h - NVIDIA's libraries as tables of functions, found while the program runs.
 *
 * A slot has the type that the library's own header gives the function, so the compiler checks
 * every call. The lists are the only place that names what is used. For kernels/cuda/library*.c.
 */
#ifndef DARKROOM_KERNELS_CUDA_LIBRARY_LOAD_H
#define DARKROOM_KERNELS_CUDA_LIBRARY_LOAD_H

#include <cublasLt.h>
#include <cudnn_graph.h>

#include "base/status.h"

#define CUBLASLT_FUNCTIONS(X)             \
  X(cublasLtCreate)                       \
  X(cublasLtDestroy)                      \
  X(cublasLtGetStatusString)              \
  X(cublasLtGetVersion)                   \
  X(cublasLtMatmul)                       \
  X(cublasLtMatmulAlgoCheck)              \
  X(cublasLtMatmulAlgoConfigGetAttribute) \
  X(cublasLtMatmulAlgoGetHeuristic)       \
  X(cublasLtMatmulDescCreate)             \
  X(cublasLtMatmulDescDestroy)            \
  X(cublasLtMatmulDescSetAttribute)       \
  X(cublasLtMatmulPreferenceCreate)       \
  X(cublasLtMatmulPreferenceDestroy)      \
  X(cublasLtMatmulPreferenceSetAttribute) \
  X(cublasLtMatrixLayoutCreate)           \
  X(cublasLtMatrixLayoutDestroy)

#define CUDNN_FUNCTIONS(X)         \
  X(cudnnBackendCreateDescriptor)  \
  X(cudnnBackendDestroyDescriptor) \
  X(cudnnBackendExecute)           \
  X(cudnnBackendFinalize)          \
  X(cudnnBackendGetAttribute)      \
  X(cudnnBackendSetAttribute)      \
  X(cudnnCreate)                   \
  X(cudnnDestroy)                  \
  X(cudnnGetErrorString)           \
  X(cudnnGetLastErrorString)       \
  X(cudnnGetVersion)               \
  X(cudnnSetStream)

#define LIBRARY_SLOT(name) __typeof__(&name) name;
struct cublaslt {
  CUBLASLT_FUNCTIONS(LIBRARY_SLOT)
};
struct cudnn {
  CUDNN_FUNCTIONS(LIBRARY_SLOT)
};
#undef LIBRARY_SLOT

/* Where they are looked for: the folders of DARKROOM_CUDA_LIBRARIES (separated by ':'; one that
 * holds Python's packages may be named as well: the wheels of the toolkit and of cuDNN keep
 * theirs below it), then wherever the loader looks, then /usr/local/cuda. A library once loaded
 * stays: what it registered with the process would outlive it. UNAVAILABLE with what was looked
 * for and where, or with the function that is missing. */
enum status library_load_cublaslt(struct cublaslt *out);
enum status library_load_cudnn(struct cudnn *out);

#endif
