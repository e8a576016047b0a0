/* backend.c - the cuda device: found, opened, told about, closed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/cuda.h"

enum { CAPABILITY_MIN = 80 }; /* 10 * major + minor: tensor cores with bf16, cp.async */

/* For tests and gpu-check, which judge both ways: all by our own kernels, no library looked for. */
#define OWN_VARIABLE "DARKROOM_CUDA_OWN"

static enum status check_capability(struct cuda *cuda) {
  struct cudaDeviceProp properties;
  TRY(CUDA(cuda, cudaGetDeviceProperties(&properties, cuda->ordinal)));
  if (10 * properties.major + properties.minor < CAPABILITY_MIN) {
    return fail(UNAVAILABLE, "%s: %.100s has compute capability %d.%d, %d.%d or newer is needed",
                cuda->head.name, properties.name, properties.major, properties.minor,
                CAPABILITY_MIN / 10, CAPABILITY_MIN % 10);
  }
  return OK;
}

/* The first call that the device itself answers. Others may hold it, or it may not be up yet: that
 * passes, unlike a device that is not there. */
static enum status wake(struct cuda *cuda) {
  cudaError_t error = cudaSetDevice(cuda->ordinal);
  if (error == cudaSuccess || error == cudaErrorMemoryAllocation) {
    return CUDA(cuda, error);
  }
  (void)cudaGetLastError();
  return fail(EXHAUSTED, "%s: %s", cuda->head.name, cudaGetErrorString(error));
}

static enum status open_library(struct cuda *cuda, enum determinism determinism) {
  const char *own = getenv(OWN_VARIABLE);
  cuda->own = own != NULL && strcmp(own, "1") == 0;
  return cuda->own ? OK : library_open(determinism, &cuda->library);
}

static void set_elements(struct cuda *cuda, bool force_f32) {
  enum element *element = cuda->head.element;
  element[PRECISION_FAST] = force_f32 ? ELEMENT_F32 : ELEMENT_F16;
  element[PRECISION_RANGE] = force_f32 ? ELEMENT_F32 : ELEMENT_BF16;
  element[PRECISION_EXACT] = ELEMENT_F32;
}

static enum status find(struct cuda *cuda, const char *which) {
  TRY(cuda_choose(which, &cuda->ordinal));
  TRY(check_capability(cuda));
  return wake(cuda);
}

static enum status open_parts(struct cuda *cuda, const struct device_settings *settings) {
  TRY(open_library(cuda, settings->determinism));
  TRY(cuda_streams_open(cuda));
  TRY(sequences_open(&cuda->sequences));
  return cuda_memory_open(cuda, settings->memory_max);
}

/* After an error most of these calls fail as well; the process is about to end then. */
static void cuda_close(struct device *device) {
  struct cuda *cuda = cuda_of(device);
  cuda_streams_settle(cuda);
  sequences_close(cuda);
  cuda_memory_close(cuda);
  cuda_streams_close(cuda);
  library_close(&cuda->library);
  (void)cudaGetLastError();
  free(cuda);
}

static enum status cuda_open(const struct device_settings *settings, const char *which,
                             struct device **out) {
  struct cuda *cuda = calloc(1, sizeof *cuda);
  if (cuda == NULL) {
    return fail(EXHAUSTED, "no memory for a device");
  }
  cuda->head.backend = &backend_cuda;
  cuda->head.threads = 1;
  which = which[0] != '\0' ? which : "0";
  snprintf(cuda->head.name, sizeof cuda->head.name, "cuda:%s", which);
  set_elements(cuda, settings->force_f32);
  enum status status = find(cuda, which);
  if (status != OK) {
    free(cuda); /* nothing was touched, and nothing shall be */
    return status;
  }
  status = open_parts(cuda, settings);
  if (status != OK) {
    cuda_close(&cuda->head);
    return status;
  }
  *out = &cuda->head;
  return OK;
}

/* The driver's own number where the kernel tells it, else the version of CUDA that it is for. */
static void driver_version(char *out, size_t bytes) {
  int version = 0;
  FILE *file = fopen("/sys/module/nvidia/version", "re");
  if (file != NULL) {
    bool read = fgets(out, (int)bytes, file) != NULL;
    (void)fclose(file);
    out[read ? strcspn(out, "\n") : 0] = '\0';
    if (out[0] != '\0') {
      return;
    }
  }
  (void)cudaDriverGetVersion(&version);
  snprintf(out, bytes, "CUDA %d.%d", version / 1000, version % 1000 / 10);
}

static enum status cuda_describe(struct device *device, struct device_info *out) {
  struct cuda *cuda = cuda_of(device);
  struct cudaDeviceProp properties;
  struct device_info info = {0};
  int runtime = 0;
  bool idle = false;
  TRY(cuda_ready(cuda, cudaStreamQuery(cuda_stream(cuda)), "cudaStreamQuery", &idle));
  TRY(CUDA(cuda, cudaGetDeviceProperties(&properties, cuda->ordinal)));
  TRY(CUDA(cuda, cudaRuntimeGetVersion(&runtime)));
  snprintf(info.model, sizeof info.model, "%.95s", properties.name);
  cuda_uuid(&properties, info.uuid, sizeof info.uuid);
  driver_version(info.driver, sizeof info.driver);
  snprintf(info.runtime, sizeof info.runtime, "CUDA %d.%d, %.40s", runtime / 1000,
           runtime % 1000 / 10, cuda->own ? "own kernels" : library_versions(cuda->library));
  info.capability = 10 * properties.major + properties.minor;
  info.memory_total = properties.totalGlobalMem;
  *out = info;
  return OK;
}

const struct backend backend_cuda = {
    .name = "cuda",
    .prepares = true,
    .queues = &cuda_queues,
    .open = cuda_open,
    .close = cuda_close,
    .take = cuda_take,
    .drop = cuda_drop,
    .put = cuda_put,
    .get = cuda_get,
    .wait = cuda_wait,
    .describe = cuda_describe,
    .weight_close = cuda_weight_close,
    .ops =
        {
#define CUDA_SLOT(name, parameters) .name = cuda_##name,
            OPS(CUDA_SLOT)
#undef CUDA_SLOT
        },
};
