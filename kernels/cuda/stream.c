/* stream.c - a stream for each queue.
 *
 * The streams do not wait for the legacy stream of the process. Where the device must choose it
 * goes on with steps and copies before decodes: a decode is long, and the pictures of all who are
 * not done yet depend on steps.
 */
#include "kernels/cuda/cuda.h"

enum status cuda_streams_open(struct cuda *cuda) {
  int least = 0, greatest = 0; /* a smaller number goes first */
  TRY(CUDA(cuda, cudaDeviceGetStreamPriorityRange(&least, &greatest)));
  for (int i = 0; i < QUEUE_COUNT; i++) {
    int priority = i == QUEUE_DECODES || least == greatest ? least : least - 1;
    TRY(CUDA(cuda,
             cudaStreamCreateWithPriority(&cuda->stream[i], cudaStreamNonBlocking, priority)));
  }
  return OK;
}

void cuda_streams_settle(struct cuda *cuda) {
  for (int i = 0; i < QUEUE_COUNT; i++) {
    if (cuda->stream[i] != NULL) {
      (void)cudaStreamSynchronize(cuda->stream[i]);
    }
  }
}

void cuda_streams_close(struct cuda *cuda) {
  for (int i = 0; i < QUEUE_COUNT; i++) {
    if (cuda->stream[i] != NULL) {
      (void)cudaStreamDestroy(cuda->stream[i]);
    }
  }
}

enum status cuda_wait(struct device *device) {
  struct cuda *cuda = cuda_of(device);
  for (int i = 0; i < QUEUE_COUNT; i++) {
    TRY(CUDA(cuda, cudaStreamSynchronize(cuda->stream[i])));
  }
  return OK;
}
