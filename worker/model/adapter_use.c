/* adapter_use.c - walking uses. A file's changes are sorted by module, so that a module's are found
 * by halving. */
#include "worker/model/adapter_use.h"

/* How much a use changes of a network. */
static float use_weight(const struct adapter_use *use, enum network network) {
  return network == NETWORK_UNET ? use->weight : use->text_weight;
}

/* The first change of that module or of one behind it. */
static int first_change(const struct adapter *adapter, int module) {
  int low = 0, high = adapter->count;
  while (low < high) {
    int middle = low + (high - low) / 2;
    if (adapter->change[middle].module < module) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

bool use_walk_next(struct use_walk *walk, enum network network) {
  for (; walk->use < walk->count; walk->use++, walk->change = NULL) {
    const struct adapter_use *use = &walk->uses[walk->use];
    const struct adapter *adapter = use->adapter;
    walk->weight = use_weight(use, network);
    walk->at = walk->change == NULL ? first_change(adapter, walk->module) : walk->at + 1;
    if (walk->weight != 0 && walk->at < adapter->count &&
        adapter->change[walk->at].module == walk->module) {
      walk->change = &adapter->change[walk->at];
      return true;
    }
  }
  return false;
}

bool use_changes_layer(const struct adapter_use *uses, size_t count,
                       const struct module_list *modules, int first) {
  const struct module *module = modules_at(modules, first);
  for (int i = first; i < first + module->parts; i++) {
    struct use_walk walk = {uses, count, .module = i};
    if (use_walk_next(&walk, module->network)) {
      return true;
    }
  }
  return false;
}

bool use_changes_network(const struct adapter_use *uses, size_t count,
                         const struct module_list *modules, enum network network) {
  for (size_t i = 0; i < count; i++) {
    for (int j = 0; j < uses[i].adapter->count && use_weight(&uses[i], network) != 0; j++) {
      if (modules_at(modules, uses[i].adapter->change[j].module)->network == network) {
        return true;
      }
    }
  }
  return false;
}
