/* choice.c - which of the machine's devices a name means.
 *
 * The runtime numbers devices as it likes, unless the environment asks for the order of the PCI
 * bus, which is nvidia-smi's; and a MIG instance is not even seen unless the environment names it.
 * The environment is read at the first call of a process, so that is made here. Who opens a second
 * device in one process can choose among those that the first choice left.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "kernels/cuda/cuda.h"

static bool is_uuid(const char *which) {
  return strncmp(which, "GPU-", 4) == 0 || strncmp(which, "MIG-", 4) == 0;
}

/* "MIG-GPU-.../1/0" is how drivers before 470 named an instance; none tells it as its UUID. */
static bool is_old_name(const char *which) { return strncmp(which, "MIG-GPU-", 8) == 0; }

void cuda_uuid(const struct cudaDeviceProp *properties, char *out, size_t bytes) {
  const unsigned char *b = (const unsigned char *)properties->uuid.bytes;
  const char *kind = strstr(properties->name, " MIG ") != NULL ? "MIG" : "GPU";
  snprintf(out, bytes, "%s-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
           kind, b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12],
           b[13], b[14], b[15]);
}

/* Once a process: later nobody would read it. pthread_once hands nothing over, hence the variable.
 */
static pthread_once_t first_call = PTHREAD_ONCE_INIT;
static _Thread_local const char *first_which;

static void set_environment(void) {
  (void)setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID", 1);
  if (is_uuid(first_which)) {
    (void)setenv("CUDA_VISIBLE_DEVICES", first_which, 1);
  }
}

static enum status count_devices(const char *which, int *out) {
  int driver = 0, count = 0;
  (void)cudaDriverGetVersion(&driver);
  if (driver == 0) {
    return fail(UNAVAILABLE, "cuda:%s: no NVIDIA driver is installed here (libcuda.so.1)", which);
  }
  cudaError_t error = cudaGetDeviceCount(&count);
  (void)cudaGetLastError();
  if (error == cudaErrorInsufficientDriver) {
    return fail(UNAVAILABLE, "cuda:%s: the NVIDIA driver is for CUDA %d.%d, %d.%d is needed", which,
                driver / 1000, driver % 1000 / 10, CUDART_VERSION / 1000,
                CUDART_VERSION % 1000 / 10);
  }
  if (error == cudaErrorNoDevice || (error == cudaSuccess && count == 0)) {
    const char *visible = getenv("CUDA_VISIBLE_DEVICES");
    return fail(UNAVAILABLE, "cuda:%s: no such device%s%.100s", which,
                visible != NULL ? " among CUDA_VISIBLE_DEVICES=" : ": CUDA sees none here",
                visible != NULL ? visible : "");
  }
  if (error != cudaSuccess) {
    return fail(EXHAUSTED, "cuda:%s: cudaGetDeviceCount: %s", which, cudaGetErrorString(error));
  }
  *out = count;
  return OK;
}

static enum status find_uuid(const char *which, int count, int *ordinal) {
  int found = -1;
  for (int i = 0; i < count; i++) {
    struct cudaDeviceProp properties;
    char uuid[64];
    if (cudaGetDeviceProperties(&properties, i) != cudaSuccess) {
      (void)cudaGetLastError();
      continue;
    }
    cuda_uuid(&properties, uuid, sizeof uuid);
    if (strncasecmp(uuid, which, strlen(which)) == 0) {
      if (found >= 0) {
        return fail(BAD_INPUT, "cuda:%s: several devices have UUIDs that begin so", which);
      }
      found = i;
    }
  }
  if (found < 0) {
    return fail(UNAVAILABLE, "cuda:%s: none of %d devices that CUDA sees has this UUID", which,
                count);
  }
  *ordinal = found;
  return OK;
}

enum status cuda_choose(const char *which, int *ordinal) {
  int count = 0;
  first_which = which;
  (void)pthread_once(&first_call, set_environment);
  TRY(count_devices(which, &count));
  if (is_old_name(which)) {
    *ordinal = 0; /* all that CUDA_VISIBLE_DEVICES left */
    return count == 1 ? OK : fail(UNAVAILABLE, "cuda:%s: not the first device opened here", which);
  }
  if (is_uuid(which)) {
    return find_uuid(which, count, ordinal);
  }
  int number = (int)strtol(which, NULL, 10); /* device.c has checked it; "" is 0 */
  if (number >= count) {
    return fail(UNAVAILABLE, "cuda:%s: CUDA sees %d device%s here, the last is cuda:%d", which,
                count, count == 1 ? "" : "s", count - 1);
  }
  *ordinal = number;
  return OK;
}
