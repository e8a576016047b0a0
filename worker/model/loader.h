/* loader.h - what loading a network needs, and how its parts are read by name and packed for the
 * device.
 *
 * Names are those of the modules: ".weight" and ".bias" are added here.
 */
#ifndef DARKROOM_WORKER_MODEL_LOADER_H
#define DARKROOM_WORKER_MODEL_LOADER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/limits.h"
#include "base/status.h"
#include "kernels/ops.h"
#include "worker/model/layer_name.h"
#include "worker/model/modules.h"
#include "worker/model/weights.h"

/* Packed weights are taken one by one and must be given back one by one: a list in the host arena.
 */
struct packed {
  struct weight *weight;
  struct packed *next;
};
/* Where a load stops and asks, so that it can go on beside other work of the device. */
struct loader_pauses {
  void *context;
  /* Between two layers: until it returns the device may be used by others. What it fails with ends
   * the load. */
  enum status (*between)(void *context);
  /* true: from now on files are read and the device is left alone, until false is said, which
   * returns when the device is the load's again. Said true before the load begins. */
  void (*beside)(void *context, bool reading);
};
struct loader {
  struct device *device;
  enum element element; /* that the network's activations will have */
  struct weights *file;
  struct arena
      *host; /* the model's structs; also readable by the host when the device's memory is not */
  struct arena *on_device; /* norms and tables */
  struct arena *scratch;   /* heap: tensors being joined or converted; empty between calls */
  struct packed *packed;
  struct module_list *modules; /* where what is loaded is listed for adapters; NULL: nowhere */
  enum network network;        /* as whose; NETWORK_NONE: not at all */
  bool dry;     /* nothing is read or packed: on_device has addresses only, weights are outlines */
  size_t bytes; /* that what was loaded takes of the device; of a dry one, about */
  const struct loader_pauses *pauses; /* NULL: none */
};

struct matrix_shape {
  int64_t outputs, inputs;
  bool bias;
};
/* A linear layer, or a 1x1 convolution, which in NHWC is the same. */
enum status load_matrix(struct loader *loader, const char *name, struct matrix_shape shape,
                        struct weight **out);
/* The same, and beside it once more without its bias; bare NULL: not wanted. */
enum status load_matrix_bare(struct loader *loader, const char *name, struct matrix_shape shape,
                             struct weight **out, struct weight **bare);
/* Several linear layers of one input as one matrix: their outputs lie side by side. parts ends with
 * NULL. */
enum status load_joined(struct loader *loader, const char *prefix, const char *const *parts,
                        struct matrix_shape each, struct weight **out);
/* A 3x3 convolution with bias. */
enum status load_conv(struct loader *loader, const char *name, int64_t outputs, int64_t inputs,
                      struct weight **out);
/* The same with as many outputs behind a growth of the picture: for op_upsample_conv and, where
 * it is not to exactly twice the size, plain; plain NULL: not wanted. */
enum status load_growing_conv(struct loader *loader, const char *name, int64_t channels,
                              struct weight **plain, struct weight **doubling);

/* A layer whose values the caller has made of what is in the file: the source is borrowed during
 * the call. What was taken of the file before may not be looked at afterwards. */
enum status load_given(struct loader *loader, struct weight_source *source, struct weight **out);

struct norm_shape {
  int64_t channels;
  int groups; /* 0: layer norm */
  float epsilon;
};
enum status load_norm(struct loader *loader, const char *name, struct norm_shape shape,
                      struct norm *out);
/* An embedding table [rows, columns], in the type of the activations. */
enum status load_table(struct loader *loader, const char *name, int64_t rows, int64_t columns,
                       struct tensor *out);

void packed_close(struct packed **list);

#endif
