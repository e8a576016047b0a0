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
  return (struct weight){.device = device,
                         .outputs = shape[0],
                         .inputs = shape[1],
                         .kernel_height = shape[2],
                         .kernel_width = shape[3],
                         .element = source->element,
                         .doubling = source->doubling};
}

/* Sums the taps of a line of three that fall on the same pixel of x. */
static void fold_line(const float taps[3], int odd, float out[2]) {
  out[0] = odd ? taps[0] + taps[1] : taps[0];
  out[1] = odd ? taps[2] : taps[1] + taps[2];
}

static void fold_window(const float window[9], int row, int column, float out[4]) {
  float lines[3][2];
  for (int i = 0; i < 3; i++) {
    fold_line(window + 3 * i, column, lines[i]);
  }
  for (int j = 0; j < 2; j++) {
    float folded[2];
    fold_line((const float[3]){lines[0][j], lines[1][j], lines[2][j]}, row, folded);
    out[j] = folded[0];
    out[2 + j] = folded[1];
  }
}

void weight_doubled(const struct weight_source *source, int row, int column, float *out) {
  const struct tensor *kernel = &source->kernel;
  const char *from = kernel->data;
  size_t window_bytes = 9 * element_bytes(kernel->element);
  for (int64_t i = 0; i < kernel->shape[0] * kernel->shape[1]; i++) {
    float window[9];
    elements_to_f32(kernel->element, from + (size_t)i * window_bytes, 9, window);
    fold_window(window, row, column, out + 4 * i);
  }
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
