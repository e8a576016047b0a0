/* merged.c - base weights read again, changes added, the sum packed. */
#include "worker/model/merged.h"

#include <string.h>

#include "worker/model/adapter_use.h"
#include "worker/model/checkpoint.h"
#include "worker/model/loader.h"
#include "worker/model/model_inside.h"

#define HOST_BYTES_MAX ((size_t)64 * 1024 * 1024)
#define ANY_BYTES ((size_t)1 << 44) /* the device, and what a layer needs, have their own limits */

/* What a module has become; of modules packed side by side the first has it. */
struct merged_module {
  struct weight *weight, *doubling;
  struct norm norm; /* gamma's data NULL: none */
};

struct merged {
  struct arena *host;      /* this struct and its table */
  struct arena *on_device; /* norms */
  const struct module_list *modules;
  struct merged_module *module; /* by number */
};

/* What one layer is made from, on the heap until it is packed. */
struct sum {
  float *kernel, *bias; /* [parts O, I K], [parts O]; bias NULL: none */
};

struct merging {
  const struct model *model;
  const struct adapter_use *uses;
  size_t count;
  struct merged *merged;
  struct checkpoint *files;
  struct weights *weights;
  enum network network;
  struct change_room room;
};

/* ---- one module: base and changes ---- */

/* A tensor of the file in f32: [rows], [rows, inputs], or with the sides of a kernel behind. */
static enum status take_values(struct merging *merging, const char *name, int64_t rows,
                               int64_t inputs, int64_t side, float *out) {
  struct tensor tensor;
  int rank = weights_rank(merging->weights, name);
  const int64_t shape[4] = {rows, inputs, side, side};
  TRY(weights_take(merging->weights, name, rank == 4 || rank == 1 ? rank : 2, shape, &tensor));
  elements_to_f32(tensor.element, tensor.data, tensor_count(&tensor), out);
  weights_give_back(merging->weights);
  return OK;
}

/* A text encoder's names are listed below "text_model.", its file may not have that. */
static struct module_name file_name(const struct merging *merging, const struct module *module,
                                    const char *ending) {
  static const char prefix[] = "text_model.";
  struct module_name whole = name_of("%s.%s", module->name, ending);
  bool prefixed = strncmp(whole.text, prefix, strlen(prefix)) == 0;
  return prefixed && !weights_has(merging->weights, whole.text)
             ? name_of("%s", whole.text + strlen(prefix))
             : whole;
}

/* kernel and bias of one module, at their place among those side by side: the model's own, and all
 * changes. What a DoRA measures is the model's own. */
static enum status sum_module(struct merging *merging, int number, const struct sum *at) {
  const struct module *module = modules_at(merging->merged->modules, number);
  int64_t columns = change_columns(module), count = module->outputs * columns;
  float *delta = arena_take_zeroed(merging->room.scratch, (size_t)count * sizeof *delta);
  if (delta == NULL) {
    return EXHAUSTED;
  }
  TRY(take_values(merging, file_name(merging, module, "weight").text, module->outputs,
                  module->inputs, module->kind == MODULE_CONV ? 3 : 1, at->kernel));
  if (module->bias) {
    TRY(take_values(merging, file_name(merging, module, "bias").text, module->outputs, 1, 1,
                    at->bias));
  }
  struct use_walk walk = {merging->uses, merging->count, .module = number};
  while (use_walk_next(&walk, module->network)) {
    TRY(change_add(walk.change, module, walk.weight, at->kernel, &merging->room, delta));
    if (at->bias != NULL) {
      TRY(change_add_bias(walk.change, module, walk.weight, merging->room.scratch, at->bias));
    }
  }
  for (int64_t i = 0; i < count; i++) {
    at->kernel[i] += delta[i];
  }
  enum element element = device_element_for(merging->model->device, PRECISION_FAST);
  return change_fits(module->kind == MODULE_NORM ? ELEMENT_F32 : element, at->kernel, count)
             ? OK
             : fail_field(BAD_INPUT, "adapter", "%s: with the adapters its values are too large",
                          module->name);
}

/* ---- one layer: its modules side by side ---- */

static bool has_bias(const struct merging *merging, int first, int parts) {
  for (int i = first; i < first + parts; i++) {
    const struct module *module = modules_at(merging->merged->modules, i);
    struct use_walk walk = {merging->uses, merging->count, .module = i};
    if (module->bias) {
      return true;
    }
    while (use_walk_next(&walk, module->network)) {
      if (walk.change->part[PART_DIFF_BIAS].data != NULL) {
        return true;
      }
    }
  }
  return false;
}

static enum status sum_layer(struct merging *merging, int first, struct sum *out) {
  const struct module *module = modules_at(merging->merged->modules, first);
  size_t rows = (size_t)(module->parts * module->outputs);
  size_t values = rows * (size_t)change_columns(module);
  struct sum sum = {arena_take(merging->room.scratch, values * sizeof(float)), NULL};
  if (has_bias(merging, first, module->parts)) {
    sum.bias = arena_take_zeroed(merging->room.scratch, rows * sizeof(float));
  }
  if (sum.kernel == NULL || (sum.bias == NULL && has_bias(merging, first, module->parts))) {
    return EXHAUSTED;
  }
  for (int part = 0; part < module->parts; part++) {
    int64_t row = part * module->outputs;
    struct sum at = {sum.kernel + row * change_columns(module),
                     sum.bias != NULL ? sum.bias + row : NULL};
    TRY(sum_module(merging, first + part, &at));
  }
  *out = sum;
  return OK;
}

static enum status put_values(struct merging *merging, const float *values, int64_t count,
                              struct tensor *out) {
  TRY(tensor_take(merging->merged->on_device, ELEMENT_F32, TENSOR_SHAPE(count), out));
  return device_put(merging->model->device, values, tensor_bytes(out), out);
}

static enum status keep_norm(struct merging *merging, const struct module *module,
                             const struct sum *sum, struct merged_module *out) {
  struct norm norm = {.epsilon = module->epsilon, .groups = module->groups};
  TRY(put_values(merging, sum->kernel, module->outputs, &norm.gamma));
  TRY(put_values(merging, sum->bias, module->outputs, &norm.beta));
  out->norm = norm;
  return OK;
}

static struct tensor f32_tensor(float *data, int rank, const int64_t *shape) {
  struct tensor tensor = {.element = ELEMENT_F32, .rank = rank, .shape = {1, 1, 1, 1}};
  tensor.data = data;
  memcpy(tensor.shape, shape, (size_t)rank * sizeof *shape);
  return tensor;
}

/* A layer that grows has two weights, of which either may not be wanted. */
static enum status keep_weights(struct merging *merging, const struct module *module,
                                const struct sum *sum, struct merged_module *out) {
  struct device *device = merging->model->device;
  int64_t rows = module->parts * module->outputs;
  struct weight_source source = {
      .kernel = module->kind == MODULE_CONV
                    ? f32_tensor(sum->kernel, TENSOR_SHAPE(rows, module->inputs, 3, 3))
                    : f32_tensor(sum->kernel, TENSOR_SHAPE(rows, module->inputs)),
      .element = device_element_for(device, PRECISION_FAST)};
  if (sum->bias != NULL) {
    source.bias = f32_tensor(sum->bias, TENSOR_SHAPE(rows));
  }
  if (module->held != NULL) {
    TRY(weight_pack(device, &source, &out->weight));
  }
  if (module->doubling == NULL) {
    return OK;
  }
  source.doubling = true;
  return weight_pack(device, &source, &out->doubling);
}

static enum status merge_layer(struct merging *merging, int first) {
  const struct module *module = modules_at(merging->merged->modules, first);
  struct sum sum;
  TRY(sum_layer(merging, first, &sum));
  TRY(module->kind == MODULE_NORM
          ? keep_norm(merging, module, &sum, &merging->merged->module[first])
          : keep_weights(merging, module, &sum, &merging->merged->module[first]));
  arena_drop(merging->room.scratch);
  const struct loader_pauses *pauses = merging->room.pauses;
  return pauses != NULL ? pauses->between(pauses->context) : OK;
}

/* ---- all ---- */

static enum status merge_layers(struct merging *merging) {
  const struct module_list *modules = merging->merged->modules;
  for (size_t i = 0; i < modules_count(modules); i++) {
    const struct module *module = modules_at(modules, (int)i);
    if (module->network == merging->network && module->part == 0 &&
        use_changes_layer(merging->uses, merging->count, modules, (int)i)) {
      TRY(merge_layer(merging, (int)i));
    }
  }
  return OK;
}

static enum status merge_network(struct merging *merging, enum network network) {
  merging->network = network;
  TRY(weights_open_network(merging->files, network, &merging->weights));
  enum status status = merge_layers(merging);
  weights_close(&merging->weights);
  return status;
}

static enum status merge_networks(struct merging *merging) {
  for (int network = NETWORK_UNET; network <= NETWORK_TEXT_2; network++) {
    if (use_changes_network(merging->uses, merging->count, merging->merged->modules,
                            (enum network)network)) {
      TRY(merge_network(merging, (enum network)network));
    }
  }
  return OK;
}

/* One block, so that it takes no more than was said. */
static enum status take_scratch(struct merging *merging) {
  size_t bytes = merged_scratch_bytes(merging->model, merging->uses, merging->count);
  TRY(arena_open(NULL, bytes, &merging->room.scratch));
  if (arena_take(merging->room.scratch, bytes) == NULL) {
    return EXHAUSTED;
  }
  arena_drop(merging->room.scratch);
  return OK;
}

static enum status merge(struct merging *merging) {
  struct merged *merged = merging->merged;
  size_t count = modules_count(merged->modules);
  merged->module = arena_take_zeroed(merged->host, count * sizeof *merged->module);
  if (merged->module == NULL) {
    return EXHAUSTED;
  }
  TRY(device_arena(merging->model->device, ANY_BYTES, &merged->on_device));
  TRY(take_scratch(merging));
  return merge_networks(merging);
}

/* While files are read and hashed, which takes seconds, the device is left alone. */
static enum status with_files(struct merging *merging) {
  const struct loader_pauses *pauses = merging->room.pauses;
  enum status status = checkpoint_open(&merging->model->source, &merging->files);
  if (pauses != NULL) {
    pauses->beside(pauses->context, false);
  }
  status = status == OK ? merge(merging) : status;
  checkpoint_close(&merging->files);
  arena_close(&merging->room.scratch);
  return status;
}

enum status merged_open(const struct model *model, const struct adapter_use *uses, size_t count,
                        const struct loader_pauses *pauses, struct merged **out) {
  struct arena *host = NULL;
  TRY(arena_open(NULL, HOST_BYTES_MAX, &host));
  struct merged *merged = arena_take_zeroed(host, sizeof *merged);
  if (merged == NULL) {
    arena_close(&host);
    return EXHAUSTED;
  }
  *merged = (struct merged){.host = host, .modules = model->modules};
  struct merging merging = {
      .model = model, .uses = uses, .count = count, .merged = merged, .room.pauses = pauses};
  enum status status = with_files(&merging);
  if (status != OK) {
    merged_close(&merged);
    return status;
  }
  *out = merged;
  return OK;
}

void merged_close(struct merged **pointer) {
  if (pointer == NULL || *pointer == NULL) {
    return;
  }
  struct merged *merged = *pointer;
  struct arena *host = merged->host;
  for (size_t i = 0; merged->module != NULL && i < modules_count(merged->modules); i++) {
    weight_close(&merged->module[i].weight);
    weight_close(&merged->module[i].doubling);
  }
  arena_close(&merged->on_device);
  arena_close(&host); /* the struct itself lies in it */
  *pointer = NULL;
}

/* ---- what stands for what ---- */

static const struct merged_module *find(const struct merged *merged, const void *held) {
  int module = merged != NULL ? modules_holding(merged->modules, held) : -1;
  return module >= 0 ? &merged->module[module] : NULL;
}

const struct weight *merged_weight(const struct merged *merged, const struct weight *own) {
  const struct merged_module *found = find(merged, own);
  if (found == NULL) {
    return own;
  }
  const struct module *module = modules_at(merged->modules, modules_holding(merged->modules, own));
  const struct weight *weight = module->doubling == own ? found->doubling : found->weight;
  return weight != NULL ? weight : own;
}

const struct norm *merged_norm(const struct merged *merged, const struct norm *own) {
  const struct merged_module *found = find(merged, own->gamma.data);
  return found != NULL && found->norm.gamma.data != NULL ? &found->norm : own;
}
