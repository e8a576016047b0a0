/* adapter_use.h - the adapters of a job, walked by what they change. */
#ifndef DARKROOM_WORKER_MODEL_ADAPTER_USE_H
#define DARKROOM_WORKER_MODEL_ADAPTER_USE_H

#include <stdbool.h>
#include <stddef.h>

#include "worker/model/adapter_change.h"

/* The changes of one module, one after another, those of weight 0 left out. Starts with {uses,
 * count, .module = number}. */
struct use_walk {
  const struct adapter_use *uses;
  size_t count;
  int module;
  size_t use; /* where it is */
  int at;
  const struct change *change; /* what it has found, and its weight */
  float weight;
};
bool use_walk_next(struct use_walk *walk, enum network network);

/* Whether anything is changed: of the layer that begins with this module, of the modules of a
 * network. */
bool use_changes_layer(const struct adapter_use *uses, size_t count,
                       const struct module_list *modules, int first);
bool use_changes_network(const struct adapter_use *uses, size_t count,
                         const struct module_list *modules, enum network network);

#endif
