/* backend.h - what a backend is made of. For device.c, ops.c and the backends themselves; nobody
 * above includes it.
 *
 * A new op: a row in OPS (op_table.h), its contract in ops.h, its check in ops.c, one function per
 * backend, cases in tests/cases.
 */
#ifndef DARKROOM_KERNELS_BACKEND_H
#define DARKROOM_KERNELS_BACKEND_H

#include "kernels/device.h"
#include "kernels/op_table.h"
#include "kernels/queue.h"
#include "kernels/tensor.h"

/* The common head of every event; all there is of one whose device has no queues. */
struct event {
  struct device *device;
};

/* What a device has that runs behind its caller: every function of queue.h, after whose names these
 * are. sequence and forget may be NULL: nothing is worth keeping. */
struct queues {
  void (*use)(struct device *device, enum queue queue);
  enum status (*event_open)(struct device *device, struct event **out);
  void (*event_close)(struct event *event);
  enum status (*event_record)(struct event *event);
  enum status (*event_follow)(struct event *event);
  enum status (*event_poll)(struct event *event, bool *passed);
  enum status (*event_wait)(struct event *event);
  enum status (*pin)(struct device *device, size_t bytes, void **out);
  void (*unpin)(struct device *device, void *block, size_t bytes);
  enum status (*receive)(struct device *device, const void *from, void *host, size_t bytes);
  enum status (*sequence)(struct device *device, const struct sequence *sequence);
  void (*forget)(struct device *device);
};

/* A kind of device. open gets what stands behind the colon of "cuda:1" ("" without), allocates the
 * backend's own struct with a struct device first and fills elements, threads and memory_total;
 * device.c fills the rest. take returns NULL when there is no more. put has read the host's bytes
 * when it returns; get waits for them. queues NULL: all work is done when the call returns. */
struct backend {
  const char *name;
  bool prepares; /* makes things once for each shape that ops meet, in its first call */
  const struct queues *queues;
  enum status (*open)(const struct device_settings *settings, const char *which,
                      struct device **out);
  void (*close)(struct device *device);
  void *(*take)(struct device *device, size_t bytes);
  void (*drop)(struct device *device, void *block, size_t bytes);
  enum status (*put)(struct device *device, void *to, const void *host, size_t bytes);
  enum status (*get)(struct device *device, void *host, const void *from, size_t bytes);
  enum status (*wait)(struct device *device);
  enum status (*describe)(struct device *device, struct device_info *out); /* NULL: a host's */
  void (*weight_close)(struct weight *weight);
  struct ops ops;
};
extern const struct backend backend_ref;
extern const struct backend backend_cpu;
extern const struct backend backend_cuda; /* in builds with CUDA=1, and over the emulation */

/* The common head of every backend's device. */
struct device {
  const struct backend *backend;
  char name[DEVICE_NAME_BYTES_MAX];
  enum element element[PRECISION_COUNT]; /* what it holds a part of a model in */
  int threads;
  enum determinism determinism;
  size_t memory_max;   /* 0 = no limit */
  size_t memory_total; /* all it could give, 0 = not known */
  size_t memory_used;
  size_t memory_peak;
};

/* The common head of every backend's weight. A matrix has kernel_height = kernel_width = 1. */
struct weight {
  struct device *device;
  int64_t outputs, inputs;
  int64_t kernel_height, kernel_width;
  enum element element; /* of the activations that it meets */
  bool doubling;
};
struct weight weight_head(struct device *device, const struct weight_source *source);

/* The 3x3 kernels of a doubling weight for the pixels of one parity of the doubled picture, row and
 * column 0 or 1: sums in f32, out [O, I, 2, 2]. Even pixels see their own pixel of x and the one
 * before, odd ones their own and the one behind:
 *   even: w0 | w1 + w2     odd: w0 + w1 | w2     along each axis */
void weight_doubled(const struct weight_source *source, int row, int column, float *out);

/* Device memory within the device's maximum, counted; NULL after fail() when there is no more. */
void *device_take(struct device *device, size_t bytes);
void device_drop(struct device *device, void *block, size_t bytes);

/* Memory that the host reads: take, drop, put, get and wait of a backend that lives there. */
void *host_take(struct device *device, size_t bytes);
void host_drop(struct device *device, void *block, size_t bytes);
enum status host_put(struct device *device, void *to, const void *host, size_t bytes);
enum status host_get(struct device *device, void *host, const void *from, size_t bytes);
enum status host_wait(struct device *device);

#endif
