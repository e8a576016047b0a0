/* lone.h - what a network that is opened by itself (a control net, a tiny decoder) owns: its
 * structs, its memory on the device, its packed weights.
 */
#ifndef DARKROOM_WORKER_MODEL_LONE_H
#define DARKROOM_WORKER_MODEL_LONE_H

#include <stddef.h>

#include "base/arena.h"
#include "base/status.h"
#include "worker/model/loader.h"
#include "worker/model/pass.h"
#include "worker/model/source.h"

struct lone {
  struct device *device;
  struct arena *host;      /* structs: the one that holds this, too */
  struct arena *on_device; /* norms and tables; everything else is packed weights */
  struct packed *packed;
  size_t bytes; /* on the device */
};

/* An empty one. The caller closes it: by a copy, where it lies in its own host arena. */
enum status lone_open(struct device *device, struct lone *out);
void lone_close(struct lone *lone);

struct lone_load {
  enum status (*load)(struct loader *loader, void *context);
  void *context;
};
/* Loads from the source's files, of whose tensors each must be used. Outcomes of model_open. */
enum status lone_load(struct lone *lone, const struct model_source *source, enum network kind,
                      const struct lone_load *load);

/* A pass in the device's fastest type. */
struct pass lone_pass(const struct lone *lone, struct arena *turn);
typedef enum status (*lone_dry_run)(const struct pass *pass, const void *context,
                                    const struct tensor *input);
/* Runs dry and gives the most it took. SIZE_MAX when even that fails, so that nothing is admitted.
 */
size_t lone_dry_bytes(const struct lone *lone, lone_dry_run run, const void *context,
                      const struct tensor *input);

#endif
