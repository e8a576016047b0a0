/* merged_bytes.c - what weights of their own take, before they are made. */
#include "worker/model/adapter_use.h"
#include "worker/model/merged.h"
#include "worker/model/model_inside.h"

/* What packing may add to a weight: lanes that are filled up, sizes rounded up. */
#define PACKED_EXTRA 4
#define PACKED_BYTES_MIN ((size_t)64 * 1024)
#define ALIGNMENT 64 /* the arena's */

static size_t values_of(const struct module *module) {
  return (size_t)(module->parts * module->outputs * change_columns(module));
}

static size_t layer_bytes(const struct module *module, size_t value) {
  size_t values = values_of(module);
  size_t kernels = module->doubling != NULL ? 3 : 1; /* the doubled one has 16/9 of the values */
  size_t bytes = kernels * (values * value + values * value / PACKED_EXTRA);
  return bytes + PACKED_BYTES_MIN;
}

size_t merged_bytes(const struct model *model, const struct adapter_use *uses, size_t count) {
  size_t value = element_bytes(device_element(model->device)), bytes = 0;
  for (size_t i = 0; i < modules_count(model->modules); i++) {
    const struct module *module = modules_at(model->modules, (int)i);
    if (module->part == 0 && use_changes_layer(uses, count, model->modules, (int)i)) {
      bytes += layer_bytes(module, module->kind == MODULE_NORM ? 2 * sizeof(float) : value);
    }
  }
  return bytes;
}

/* Of all changes of a layer's modules that which takes most: one is added after another. */
static size_t changes_scratch(const struct model *model, const struct adapter_use *uses,
                              size_t count, int first) {
  const struct module *module = modules_at(model->modules, first);
  size_t most = 0;
  for (int i = first; i < first + module->parts; i++) {
    struct use_walk walk = {uses, count, .module = i};
    while (use_walk_next(&walk, module->network)) {
      size_t bytes = change_scratch_bytes(walk.change, modules_at(model->modules, i));
      most = bytes > most ? bytes : most;
    }
  }
  return most;
}

/* The sum, and what is added to it, of all modules side by side; a bias. */
static size_t sums_scratch(const struct module *module) {
  size_t rows = (size_t)(module->parts * module->outputs);
  size_t places = 2 + (size_t)module->parts;
  return (2 * values_of(module) + rows) * sizeof(float) + places * ALIGNMENT;
}

size_t merged_scratch_bytes(const struct model *model, const struct adapter_use *uses,
                            size_t count) {
  size_t most = ALIGNMENT;
  for (size_t i = 0; i < modules_count(model->modules); i++) {
    const struct module *module = modules_at(model->modules, (int)i);
    if (module->part == 0 && use_changes_layer(uses, count, model->modules, (int)i)) {
      size_t bytes = sums_scratch(module) + changes_scratch(model, uses, count, (int)i);
      most = bytes > most ? bytes : most;
    }
  }
  return most / ALIGNMENT * ALIGNMENT + ALIGNMENT;
}
