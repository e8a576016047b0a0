/* backend.c - the ground that backends stand on: memory counted against the device's limit, and
 * what any device does whose memory is the host's. */
#include "kernels/backend.h"

#include <stdlib.h>
#include <string.h>

void *device_take(struct device *device, size_t bytes) {
  if (device->memory_max != 0 && bytes > device->memory_max - device->memory_used) {
    (void)fail(EXHAUSTED, "device %s: %zu bytes wanted, %zu of %zu in use", device->name, bytes,
               device->memory_used, device->memory_max);
    return NULL;
  }
  void *block = device->backend->take(device, bytes);
  if (block == NULL) {
    (void)fail(EXHAUSTED, "device %s: no memory for %zu bytes, %zu in use", device->name, bytes,
               device->memory_used);
    return NULL;
  }
  device->memory_used += bytes;
  if (device->memory_used > device->memory_peak) {
    device->memory_peak = device->memory_used;
  }
  return block;
}

void device_drop(struct device *device, void *block, size_t bytes) {
  if (block != NULL) {
    device->memory_used -= bytes;
    device->backend->drop(device, block, bytes);
  }
}

struct weight weight_head(struct device *device, const struct weight_source *source) {
  const int64_t *shape = source->kernel.shape;
  return (struct weight){device, shape[0], shape[1], shape[2], shape[3]};
}

void *host_take(struct device *device, size_t bytes) {
  (void)device;
  return aligned_alloc(64, (bytes + 63) / 64 * 64);
}

void host_drop(struct device *device, void *block, size_t bytes) {
  (void)device;
  (void)bytes;
  free(block);
}

enum status host_put(struct device *device, void *to, const void *host, size_t bytes) {
  (void)device;
  memcpy(to, host, bytes);
  return OK;
}

enum status host_get(struct device *device, void *host, const void *from, size_t bytes) {
  (void)device;
  memcpy(host, from, bytes);
  return OK;
}

enum status host_wait(struct device *device) {
  (void)device;
  return OK;
}
