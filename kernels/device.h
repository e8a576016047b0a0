/* device.h - a backend opened: its memory, its order of work, its row of ops.
 *
 * "ref" is the plainest loops in f32 and judges the others; "cpu" is oneDNN and our own vector
 * code, bf16 where the processor has it; "cuda:N" is a GPU. A device is used by one thread at a
 * time.
 */
#ifndef DARKROOM_KERNELS_DEVICE_H
#define DARKROOM_KERNELS_DEVICE_H

#include <stddef.h>

#include "base/arena.h"
#include "base/status.h"
#include "kernels/tensor.h"

struct device;

struct device_settings {
  int threads;       /* cpu: 0 = all cores this process may use */
  bool force_f32;    /* cpu: hold activations in f32 even where bf16 is fast */
  size_t memory_max; /* bytes the device may use, 0 = no limit of ours */
};

/* Opens a device by name. BAD_INPUT for an unknown name (with the list), UNAVAILABLE for one that
 * this build or machine does not have, BROKEN if a slot of its ops is empty. The caller closes it
 * after everything taken from it. */
enum status device_open(const char *name, const struct device_settings *settings,
                        struct device **out);
void device_close(struct device **device);

/* First in main of a program that will open "cpu": makes threads that wait for one another sleep
 * after some 50 us. libgomp would let them spin for milliseconds, and with other load on the cores
 * every op then costs a time slice or two (measured: a convolution 100 times slower). It reads its
 * environment before main, so the program starts itself anew, once; who has set GOMP_SPINCOUNT or
 * OMP_WAIT_POLICY keeps it. */
void device_calm_threads(char *const *arguments);

const char *device_name(const struct device *device);
/* The type that activations and weights are held in: f32 for ref, bf16 or f32 for cpu. */
enum element device_element(const struct device *device);
int device_threads(const struct device *device);
/* Bytes now taken from the device and the most that ever were, arenas and packed weights together.
 */
size_t device_memory_used(const struct device *device);
size_t device_memory_peak(const struct device *device);

/* An arena whose memory lies on the device; arena_close gives it back. Its memory is not readable
 * by the host unless the device is the host: use device_put and device_get. */
enum status device_arena(struct device *device, size_t max, struct arena **out);

/* Copies host bytes in or out; `bytes` must equal tensor_bytes. Waits until the copy is done. */
enum status device_put(struct device *device, const void *host, size_t bytes,
                       const struct tensor *to);
enum status device_get(struct device *device, const struct tensor *from, void *host, size_t bytes);

/* Waits for all work; BROKEN if any of it failed. */
enum status device_wait(struct device *device);

#endif
