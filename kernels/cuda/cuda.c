/* cuda.c - errors of CUDA as statuses, and the thread's device. */
#include "kernels/cuda/cuda.h"

#include <stdio.h>
#include <string.h>

/* The runtime keeps a current device a thread, and a launch goes to that one. */
struct cuda *cuda_of(struct device *device) {
  static _Thread_local int current = -1;
  struct cuda *cuda = (struct cuda *)device;
  if (current != cuda->ordinal && CUDA(cuda, cudaSetDevice(cuda->ordinal)) == OK) {
    current = cuda->ordinal;
  }
  return cuda;
}

static enum status broken(const struct cuda *cuda) { return fail(BROKEN, "%s", cuda->broken); }

enum status cuda_outcome(struct cuda *cuda, cudaError_t error, const char *call) {
  if (cuda->broken[0] != '\0') {
    return broken(cuda);
  }
  if (error == cudaSuccess) {
    return OK;
  }
  (void)cudaGetLastError(); /* else the next launch would find it again */
  int name = (int)strcspn(call, "(");
  const char *device = cuda->head.name, *text = cudaGetErrorString(error);
  if (error == cudaErrorMemoryAllocation) {
    return fail(EXHAUSTED, "%s: %.*s: %s", device, name, call, text);
  }
  if (cuda->capturing) {
    return fail(UNAVAILABLE, "%s: %.*s: %s", device, name, call, text);
  }
  snprintf(cuda->broken, sizeof cuda->broken, "%s: %.*s, or work before it: %s (%s)", device, name,
           call, text, cudaGetErrorName(error));
  return broken(cuda);
}

enum status cuda_library_outcome(struct cuda *cuda, enum status status) {
  if (cuda->broken[0] != '\0') {
    return broken(cuda);
  }
  if (status != BROKEN || cuda->capturing) {
    return status;
  }
  snprintf(cuda->broken, sizeof cuda->broken, "%s: %.180s", cuda->head.name, fail_reason());
  return broken(cuda);
}

enum status cuda_ready(struct cuda *cuda, cudaError_t error, const char *call, bool *ready) {
  bool waiting = error == cudaErrorNotReady;
  if (waiting) {
    (void)cudaGetLastError(); /* no error, but kept like one */
  }
  TRY(cuda_outcome(cuda, waiting ? cudaSuccess : error, call));
  *ready = !waiting;
  return OK;
}
