/* device.h - a backend opened: its memory, its row of ops.
 *
 * "ref" is the plainest loops in f32 and judges the others; "cpu" is oneDNN and our own vector
 * code, bf16 where the processor has it; "cuda:N" is a GPU (queue.h says how it works behind its
 * caller). A device is used by one thread at a time.
 */
#ifndef DARKROOM_KERNELS_DEVICE_H
#define DARKROOM_KERNELS_DEVICE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/status.h"
#include "kernels/tensor.h"

#define DEVICE_NAME_BYTES_MAX 64

struct device;

/* How far results may depend on how work is divided. */
enum determinism {
  DETERMINISM_STRICT, /* ops.h's promise: a row's bits never depend on its batch mates */
  DETERMINISM_FAST /* cuda: the fastest algorithm for each batch size; the last bits may differ */
};

/* What a part of a model asks of the numbers that it is held in. */
enum precision {
  PRECISION_FAST,  /* the device's fastest type */
  PRECISION_RANGE, /* the fastest with the range of f32, for parts that overflow f16 */
  PRECISION_EXACT  /* f32 */
};
#define PRECISION_COUNT 3

struct device_settings {
  int threads;       /* cpu: 0 = all cores this process may use */
  bool force_f32;    /* hold all activations in f32 even where 16 bits are fast */
  size_t memory_max; /* bytes the device may use; 0 = no limit of ours, cuda: what is free */
  enum determinism determinism;
};

/* Which piece of hardware it is; texts are empty and numbers 0 where nothing is known. */
struct device_info {
  char model[96];   /* "NVIDIA H100 80GB HBM3" */
  char uuid[64];    /* "GPU-..." or "MIG-..." */
  char driver[32];  /* "580.159.04" */
  char runtime[64]; /* versions of the libraries that decide its bits */
  int capability;   /* 10 * major + minor: 90 */
  size_t memory_total;
};

/* Opens a device by name: "ref", "cpu", "cuda:N" with a number in the order of the PCI bus, or
 * "cuda:GPU-..." and "cuda:MIG-..." with the beginning of a UUID. BAD_INPUT for an unknown name
 * (with the list), UNAVAILABLE for one that this build or machine does not have, EXHAUSTED for one
 * that others hold or that is not up yet, BROKEN if a slot of its ops is empty. The caller closes
 * it after everything taken from it. */
enum status device_open(const char *name, const struct device_settings *settings,
                        struct device **out);
void device_close(struct device **device);
/* Whether this program has the backend that the name asks for: the outcomes of device_open, as far
 * as they can be told without opening anything. */
enum status device_built(const char *name);

/* First in main of a program that will open "cpu": makes threads that wait for one another sleep
 * after some 50 us. libgomp would let them spin for milliseconds, and with other load on the cores
 * every op then costs a time slice or two (measured: a convolution 100 times slower). It reads its
 * environment before main, so the program starts itself anew, once; who has set GOMP_SPINCOUNT or
 * OMP_WAIT_POLICY keeps it. */
void device_calm_threads(char *const *arguments);

const char *device_name(const struct device *device);
/* The type that a part of a model with this wish is held in: always f32 for ref; bf16 or f32 for
 * cpu; f16, bf16 and f32 for cuda. */
enum element device_element_for(const struct device *device, enum precision precision);
/* device_element_for(device, PRECISION_FAST) */
enum element device_element(const struct device *device);
enum determinism device_determinism(const struct device *device);
/* Whether the first call of an op with new shapes pays for what is made once. */
bool device_prepares(const struct device *device);
/* BROKEN if the device does not answer. */
enum status device_describe(struct device *device, struct device_info *out);
int device_threads(const struct device *device);
/* Bytes now taken from the device and the most that ever were, arenas and packed weights together.
 */
size_t device_memory_used(const struct device *device);
size_t device_memory_peak(const struct device *device);
/* All that it could ever give, 0 where that is not known (the host's memory has other users). */
size_t device_memory_total(const struct device *device);

/* An arena whose memory lies on the device; arena_close gives it back. Its memory is not readable
 * by the host unless the device is the host: use device_put and device_get. */
enum status device_arena(struct device *device, size_t max, struct arena **out);

/* The same with all of it taken at once, as one block: what it was opened for is there. EXHAUSTED
 * when it is not. */
enum status device_block(struct device *device, size_t bytes, struct arena **out);

/* Copies host bytes in or out; `bytes` must equal tensor_bytes. put queues behind what was queued
 * before and has read the host's bytes when it returns; get waits until they are there. */
enum status device_put(struct device *device, const void *host, size_t bytes,
                       const struct tensor *to);
enum status device_get(struct device *device, const struct tensor *from, void *host, size_t bytes);

/* Waits for all work; BROKEN if any of it failed. */
enum status device_wait(struct device *device);

#endif
