/* backend.h - what a backend is made of. For device.c, ops.c and the backends themselves; nobody
 * above includes it.
 *
 * A new op: a row in OPS here, its contract in ops.h, its check in ops.c, one function per backend,
 * cases in tests/cases.
 */
#ifndef DARKROOM_KERNELS_BACKEND_H
#define DARKROOM_KERNELS_BACKEND_H

#include "kernels/device.h"
#include "kernels/ops.h"
#include "kernels/tensor.h"

/* Every slot of a backend's row: X(name, parameters). All return enum status. */
#define OPS(X)                                                                                    \
  X(pack, (struct device *, const struct weight_source *, struct weight **))                      \
  X(matmul, (struct device *, const struct tensor *x, const struct weight *,                      \
             const struct matmul_options *, const struct tensor *y))                              \
  X(conv2d, (struct device *, const struct tensor *x, const struct weight *,                      \
             const struct conv_options *, const struct tensor *y))                                \
  X(group_norm, (struct device *, const struct tensor *x, const struct norm *, bool silu,         \
                 const struct tensor *y))                                                         \
  X(layer_norm,                                                                                   \
    (struct device *, const struct tensor *x, const struct norm *, const struct tensor *y))       \
  X(attention, (struct device *, const struct attention *, const struct tensor *y))               \
  X(geglu, (struct device *, const struct tensor *x, const struct tensor *y))                     \
  X(concat,                                                                                       \
    (struct device *, const struct tensor *a, const struct tensor *b, const struct tensor *y))    \
  X(upsample, (struct device *, const struct tensor *x, const struct tensor *y))                  \
  X(timestep_embedding, (struct device *, const float *timesteps, const struct tensor *y))        \
  X(embed, (struct device *, const struct tensor *table, const struct tensor *positions,          \
            const int32_t *ids, const struct tensor *y))                                          \
  X(gather, (struct device *, const struct tensor *const *rows, const float *scales,              \
             const struct tensor *y))                                                             \
  X(advance,                                                                                      \
    (struct device *, const struct advance *samples, int count, const struct tensor *prediction)) \
  X(pixels, (struct device *, const struct tensor *x, const struct tensor *y))                    \
  X(measure, (struct device *, const struct tensor *x, struct measure *out))

struct ops {
#define OPS_SLOT(name, parameters) enum status(*name) parameters;
  OPS(OPS_SLOT)
#undef OPS_SLOT
};
enum {
#define OPS_INDEX(name, parameters) OP_##name,
  OPS(OPS_INDEX)
#undef OPS_INDEX
      OPS_COUNT
};
_Static_assert(sizeof(struct ops) == OPS_COUNT * sizeof(void (*)(void)),
               "slots are plain pointers, one after another");

/* A kind of device. open gets what stands behind the colon of "cuda:1" (0 without), allocates the
 * backend's own struct with a struct device first and fills element and threads; device.c fills the
 * rest. take returns NULL when there is no more. */
struct backend {
  const char *name;
  enum status (*open)(const struct device_settings *settings, int index, struct device **out);
  void (*close)(struct device *device);
  void *(*take)(struct device *device, size_t bytes);
  void (*drop)(struct device *device, void *block, size_t bytes);
  enum status (*put)(struct device *device, void *to, const void *host, size_t bytes);
  enum status (*get)(struct device *device, void *host, const void *from, size_t bytes);
  enum status (*wait)(struct device *device);
  void (*weight_close)(struct weight *weight);
  struct ops ops;
};
extern const struct backend backend_ref;
extern const struct backend backend_cpu;

/* The common head of every backend's device. */
struct device {
  const struct backend *backend;
  char name[16];
  enum element element;
  int threads;
  size_t memory_max; /* 0 = no limit */
  size_t memory_used;
  size_t memory_peak;
};

/* The common head of every backend's weight. A matrix has kernel_height = kernel_width = 1. */
struct weight {
  struct device *device;
  int64_t outputs, inputs;
  int64_t kernel_height, kernel_width;
};
struct weight weight_head(struct device *device, const struct weight_source *source);

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
