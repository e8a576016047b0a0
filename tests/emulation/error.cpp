/* error.cpp - what failed last, and what broke the device for good. */
#include "tests/emulation/machine.h"

namespace emulation {

static std::recursive_mutex door;
static cudaError_t broken_by = cudaSuccess;
static thread_local cudaError_t last_error = cudaSuccess;

Entry::Entry() : held(door) {}

cudaError_t outcome(cudaError_t error) {
  if (error != cudaSuccess && error != cudaErrorNotReady) {
    last_error = error;
  }
  return error;
}

cudaError_t broken() { return outcome(broken_by); }
void break_device(cudaError_t error) {
  if (broken_by == cudaSuccess) {
    broken_by = error;
  }
}

}  // namespace emulation

using namespace emulation;

/* What broke the device cannot be taken away by looking at it. */
cudaError_t cudaGetLastError(void) {
  Entry entry;
  cudaError_t error = broken() != cudaSuccess ? broken() : last_error;
  last_error = cudaSuccess;
  return error;
}
cudaError_t cudaPeekAtLastError(void) {
  Entry entry;
  return broken() != cudaSuccess ? broken() : last_error;
}

const char *cudaGetErrorName(cudaError_t error) {
  switch (error) {
#define EMULATION_NAME(name, value) \
  case name:                        \
    return #name;
    EMULATION_ERRORS(EMULATION_NAME)
#undef EMULATION_NAME
  }
  return "unrecognized error code";
}

const char *cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "no error";
    case cudaErrorMemoryAllocation:
      return "out of memory";
    case cudaErrorIllegalAddress:
      return "an illegal memory access was encountered";
    case cudaErrorInvalidValue:
      return "invalid argument";
    case cudaErrorNoDevice:
      return "no CUDA-capable device is detected";
    case cudaErrorInvalidDevice:
      return "invalid device ordinal";
    case cudaErrorNotReady:
      return "device not ready";
    default:
      return cudaGetErrorName(error);
  }
}
