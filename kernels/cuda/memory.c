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

/* Of each queue, taken at birth, for whatever a single op wants beside its operands: the library's
 * workspace, a norm's partial sums, a weight on its way. Ops of one queue follow one another, so
 * they share it; it never moves, for the sequences that are kept know its address. cuBLASLt's
 * manual names 32 MiB for Hopper; cuDNN puts an image of one parity of a doubled picture there
 * before it spreads it, 72 MiB in the decoder's last doubling at 768x768. Steps and decodes have
 * the same, so that an algorithm suits a problem in both or in neither. */
static const size_t scratch_bytes[QUEUE_COUNT] = {[QUEUE_STEPS] = (size_t)80 << 20,
                                                  [QUEUE_DECODES] = (size_t)80 << 20,
                                                  [QUEUE_COPIES] = (size_t)8 << 20};

static size_t all_scratch_bytes(void) {
  size_t sum = 0;
  for (int i = 0; i < QUEUE_COUNT; i++) {
    sum += scratch_bytes[i];
  }
  return sum;
}

static enum status measure_reservation(struct cuda *cuda, size_t memory_max, size_t *out) {
  size_t free_bytes = 0, total = 0;
  TRY(CUDA(cuda, cudaMemGetInfo(&free_bytes, &total)));
  size_t margin = MARGIN_BYTES + total / MARGIN_SHARE;
  size_t bytes =
      memory_max != 0 ? memory_max : free_bytes - (margin < free_bytes ? margin : free_bytes);
  bytes = bytes / POOL_ALIGNMENT * POOL_ALIGNMENT;
  if (bytes > free_bytes || bytes < all_scratch_bytes()) {
    return fail(EXHAUSTED,
                "%s: %zu MiB wanted, at least %zu, of %zu MiB that are free of %zu (%zu are left "
                "to the driver)",
                cuda->head.name, bytes >> 20, all_scratch_bytes() >> 20, free_bytes >> 20,
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
    void *data = device_take(&cuda->head, scratch_bytes[i]);
    if (data == NULL) {
      return EXHAUSTED;
    }
    cuda->scratch[i] = (struct library_workspace){data, scratch_bytes[i]};
  }
  return staging_open(cuda, &cuda->staging);
}

void cuda_memory_close(struct cuda *cuda) {
  staging_close(&cuda->staging);
  for (int i = 0; i < QUEUE_COUNT; i++) {
    device_drop(&cuda->head, cuda->scratch[i].data, cuda->scratch[i].bytes);
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
