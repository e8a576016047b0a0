/* cuda.h - the cuda device and what its files share.
 *
 * An error of CUDA or of a library is one of two kinds. Memory that is not there is EXHAUSTED: the
 * caller can ask for less. Anything else is BROKEN, and stays so: whatever is called from then on
 * says what broke first, for after it nothing on the device can be trusted.
 */
#ifndef DARKROOM_KERNELS_CUDA_CUDA_H
#define DARKROOM_KERNELS_CUDA_CUDA_H

#include <cuda_runtime.h>

#include "base/limits.h"
#include "kernels/backend.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/library.h"

struct pool;
struct staging;
struct sequences;

struct cuda {
  struct device head;
  int ordinal;             /* the runtime's number of the device */
  bool own;                /* our own kernels serve all: nothing is asked of the libraries */
  bool capturing;          /* a sequence is being captured: what fails then is only the capture */
  char broken[256];        /* what broke first; "" while all is well */
  struct library *library; /* NULL with `own` */
  cudaStream_t stream[QUEUE_COUNT];
  enum queue queue;  /* in use */
  void *reservation; /* all memory of the device that will ever be used */
  size_t reserved;
  struct pool *pool;                             /* within the reservation */
  struct library_workspace scratch[QUEUE_COUNT]; /* beside an op's operands (memory.c) */
  struct staging *staging;
  struct sequences *sequences;
};

/* The device behind the common head, made the calling thread's own. */
struct cuda *cuda_of(struct device *device);
static inline cudaStream_t cuda_stream(const struct cuda *cuda) {
  return cuda->stream[cuda->queue];
}

/* CUDA(cuda, cudaFunction(...)): the call made, its error as a status. */
#define CUDA(cuda, call) cuda_outcome((cuda), (call), #call)
enum status cuda_outcome(struct cuda *cuda, cudaError_t error, const char *call);
/* The same for a call that may also answer that work is still under way. */
enum status cuda_ready(struct cuda *cuda, cudaError_t error, const char *call, bool *ready);
/* A library's status, UNAVAILABLE included, with BROKEN remembered. */
enum status cuda_library_outcome(struct cuda *cuda, enum status status);

/* The runtime's number of the device that `which` names ("" is 0); makes the first call of CUDA in
 * the process. UNAVAILABLE with what is there instead. (choice.c) */
enum status cuda_choose(const char *which, int *ordinal);
/* "GPU-..." or "MIG-..." */
void cuda_uuid(const struct cudaDeviceProp *properties, char *out, size_t bytes);

/* ---- memory.c ---- */
enum status cuda_memory_open(struct cuda *cuda, size_t memory_max);
void cuda_memory_close(struct cuda *cuda);
void *cuda_take(struct device *device, size_t bytes);
void cuda_drop(struct device *device, void *block, size_t bytes);
enum status cuda_put(struct device *device, void *to, const void *host, size_t bytes);
enum status cuda_get(struct device *device, void *host, const void *from, size_t bytes);

/* ---- staging.c: a ring of pinned memory through which all puts go ---- */
enum status staging_open(struct cuda *cuda, struct staging **out);
void staging_close(struct staging **staging);
/* Queues a copy of the host's bytes, which have been read when it returns. Waits only when the ring
 * is full of copies that have not run. */
enum status staging_put(struct cuda *cuda, void *to, const void *host, size_t bytes);

/* ---- stream.c and queue.c ---- */
enum status cuda_streams_open(struct cuda *cuda);
void cuda_streams_settle(struct cuda *cuda); /* waits, whatever comes of it */
void cuda_streams_close(struct cuda *cuda);
enum status cuda_wait(struct device *device);
extern const struct queues cuda_queues;

/* ---- sequence.c ---- */
enum status sequences_open(struct sequences **out);
void sequences_close(struct cuda *cuda);
enum status cuda_sequence(struct device *device, const struct sequence *sequence);
void cuda_forget(struct device *device);

/* ---- weight.c ---- */

/* The kernel as [O, kh, kw, I]; of a doubling one, four [O, 2, 2, I], parity 0,0 first, which begin
 * weight_parity_bytes apart. */
struct cuda_weight {
  struct weight head;
  void *kernel;
  float *bias;        /* NULL for none */
  void *bias_rounded; /* behind it: the same in the weight's element, which a library can fuse */
  size_t kernel_bytes, bias_bytes;
};
static inline const struct cuda_weight *weight_of(const struct weight *weight) {
  return (const struct cuda_weight *)weight;
}
size_t weight_parity_bytes(const struct weight *weight);
void cuda_weight_close(struct weight *weight);

#define CUDA_FUNCTION(name, parameters) enum status cuda_##name parameters;
OPS(CUDA_FUNCTION)
#undef CUDA_FUNCTION

#endif
