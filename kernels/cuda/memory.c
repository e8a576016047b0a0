/* memory.c - one reservation of the device's memory, out of which everything is taken: cudaMalloc
 * may wait for all work, and a step must not meet a neighbour who was faster. */
#include <assert.h>

#include "kernels/cuda/cuda.h"
#include "kernels/cuda/pool.h"

/* What is left to the driver when no limit is given: kernels are loaded when they are first used
 * (cuDNN's are some hundred MiB), and kept graphs live outside our reservation. */
#define MARGIN_BYTES ((size_t)256 << 20)
#define MARGIN_SHARE 32 /* and one part in so many of the whole */
_Static_assert(MARGIN_BYTES >= (size_t)SEQUENCES_MAX << 22, "4 MiB for each graph that is kept");

static enum status measure_reservation(struct cuda *cuda, size_t memory_max, size_t *out) {
  size_t free_bytes = 0, total = 0;
  TRY(CUDA(cuda, cudaMemGetInfo(&free_bytes, &total)));
  size_t margin = MARGIN_BYTES + total / MARGIN_SHARE;
  size_t bytes =
      memory_max != 0 ? memory_max : free_bytes - (margin < free_bytes ? margin : free_bytes);
  bytes = bytes / POOL_ALIGNMENT * POOL_ALIGNMENT;
  if (bytes > free_bytes || bytes < QUEUE_COUNT * SCRATCH_BYTES) {
    return fail(EXHAUSTED,
                "%s: %zu MiB wanted, at least %zu, of %zu MiB that are free of %zu (%zu are left "
                "to the driver)",
                cuda->head.name, bytes >> 20, QUEUE_COUNT * SCRATCH_BYTES >> 20, free_bytes >> 20,
                total >> 20, memory_max != 0 ? (size_t)0 : margin >> 20);
  }
  *out = bytes;
  return OK;
}

enum status cuda_memory_open(struct cuda *cuda, size_t memory_max) {
  size_t bytes = 0;
  TRY(measure_reservation(cuda, memory_max, &bytes));
  TRY(CUDA(cuda, cudaMalloc(&cuda->reservation, bytes)));
  cuda->reserved = bytes;
  cuda->head.memory_total = bytes;
  TRY(pool_open(bytes, &cuda->pool));
  for (int i = 0; i < QUEUE_COUNT; i++) {
    cuda->scratch[i] = device_take(&cuda->head, SCRATCH_BYTES);
    if (cuda->scratch[i] == NULL) {
      return EXHAUSTED;
    }
  }
  return staging_open(cuda, &cuda->staging);
}

void cuda_memory_close(struct cuda *cuda) {
  staging_close(&cuda->staging);
  for (int i = 0; i < QUEUE_COUNT; i++) {
    device_drop(&cuda->head, cuda->scratch[i], SCRATCH_BYTES);
  }
  pool_close(&cuda->pool);
  if (cuda->reservation != NULL) {
    (void)cudaFree(cuda->reservation);
  }
}

void *cuda_take(struct device *device, size_t bytes) {
  struct cuda *cuda = cuda_of(device);
  size_t offset = 0;
  assert(!cuda->capturing); /* a sequence takes nothing: its addresses must live as long as it */
  return pool_take(cuda->pool, bytes, &offset) == OK ? (char *)cuda->reservation + offset : NULL;
}

void cuda_drop(struct device *device, void *block, size_t bytes) {
  struct cuda *cuda = cuda_of(device);
  pool_drop(cuda->pool, (size_t)((char *)block - (char *)cuda->reservation), bytes);
}

enum status cuda_put(struct device *device, void *to, const void *host, size_t bytes) {
  return staging_put(cuda_of(device), to, host, bytes);
}

enum status cuda_get(struct device *device, void *host, const void *from, size_t bytes) {
  struct cuda *cuda = cuda_of(device);
  TRY(CUDA(cuda, cudaMemcpyAsync(host, from, bytes, cudaMemcpyDeviceToHost, cuda_stream(cuda))));
  return CUDA(cuda, cudaStreamSynchronize(cuda_stream(cuda)));
}
