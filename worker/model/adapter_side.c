/* adapter_side.c - the ranks of all adapters side by side: [down 1; down 2] and [up 1 | up 2]. */
#include "worker/model/adapter_side.h"

#include <string.h>

#include "worker/model/adapter_use.h"
#include "worker/model/model_inside.h"

#define ALIGNMENT 64
#define HOST_BYTES_MAX ((size_t)16 * 1024 * 1024)
#define ANY_BYTES ((size_t)1 << 44) /* bounded by the device */

/* ---- whether ---- */

/* These layers are bent by an activation before their sum is rounded: beside them something could
 * be added only afterwards, which would be other bits for rows without adapters. */
static bool is_bent(const struct module *module) {
  static const char *const names[] = {"time_embedding.", "add_embedding."};
  for (size_t i = 0; module->network == NETWORK_UNET && i < sizeof names / sizeof *names; i++) {
    if (strncmp(module->name, names[i], strlen(names[i])) == 0) {
      return true;
    }
  }
  return false;
}

static bool is_plain(const struct change *change, const struct module *module) {
  static const enum change_part others[] = {PART_MID, PART_DORA, PART_DIFF_BIAS};
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
    if (change->part[others[i]].data != NULL) {
      return false;
    }
  }
  return change->kind == CHANGE_LOW_RANK && module->kind == MODULE_LINEAR && !is_bent(module);
}

/* The ranks of all changes of a module; -1: one of them is no low rank that runs beside. */
static int64_t rank_of(const struct module_list *modules, const struct adapter_use *uses,
                       size_t count, int module) {
  const struct module *own = modules_at(modules, module);
  struct use_walk walk = {uses, count, .module = module};
  int64_t rank = 0;
  while (use_walk_next(&walk, own->network)) {
    if (!is_plain(walk.change, own)) {
      return -1;
    }
    rank += walk.change->rank;
  }
  return rank;
}

bool side_path_is_possible(const struct model *model, const struct adapter_use *uses,
                           size_t count) {
  for (size_t i = 0; i < modules_count(model->modules); i++) {
    int64_t rank = rank_of(model->modules, uses, count, (int)i);
    if (rank < 0 || rank > ADAPTER_RANK_MAX) {
      return false;
    }
  }
  return true;
}

/* ---- one block of memory: rows, table, values ---- */

static size_t aligned(size_t bytes) { return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT; }

static size_t rows_bytes(void) { return aligned(PROMPT_CHUNKS_MAX * sizeof(struct batch_row)); }

static size_t table_bytes(const struct module_list *modules) {
  return aligned(modules_count(modules) * sizeof(struct adapter_module));
}

static size_t module_bytes(const struct module *module, int64_t rank, size_t value) {
  return aligned((size_t)(rank * module->inputs) * value) +
         aligned((size_t)(rank * module->outputs) * value);
}

size_t side_path_bytes(const struct model *model, const struct adapter_use *uses, size_t count) {
  size_t value = element_bytes(device_element(model->device));
  size_t bytes = rows_bytes() + table_bytes(model->modules);
  for (size_t i = 0; i < modules_count(model->modules); i++) {
    int64_t rank = rank_of(model->modules, uses, count, (int)i);
    bytes += module_bytes(modules_at(model->modules, (int)i), rank, value);
  }
  return bytes;
}

/* The block being filled, a module at a time: what is put next is still in the caches. */
struct filling {
  const struct model *model;
  const struct adapter_use *uses;
  size_t count;
  struct arena *scratch;
  char *block; /* on the device */
  size_t at;
  enum element element;
  bool *touched;
};

/* Copies to the next piece of the block, and says where that is. */
static enum status put_piece(struct filling *filling, const void *from, size_t bytes,
                             const void **address) {
  struct tensor piece = {.data = filling->block + filling->at,
                         .element = ELEMENT_U8,
                         .rank = 1,
                         .shape = {(int64_t)bytes, 1, 1, 1}};
  filling->at += aligned(bytes);
  *address = piece.data;
  return device_put(filling->model->device, from, bytes, &piece);
}

/* Rows of one change's down below those of the changes before. */
static enum status fill_down(struct filling *filling, const struct change *change, int64_t inputs,
                             int64_t row, char *down) {
  const struct tensor *from = &change->part[PART_DOWN];
  size_t value = element_bytes(filling->element);
  char *to = down + (size_t)(row * inputs) * value;
  float *values = NULL;
  if (from->element == filling->element) {
    memcpy(to, from->data, (size_t)(change->rank * inputs) * value);
    return OK;
  }
  TRY(change_values(from, filling->scratch, &values));
  elements_from_f32(filling->element, values, change->rank * inputs, to);
  return OK;
}

/* Columns of one change's up, scaled, behind those of the changes before. */
static enum status fill_up(struct filling *filling, const struct use_walk *walk,
                           const struct module *module, int64_t column, int64_t ranks, float *up) {
  const struct change *change = walk->change;
  float scale = walk->weight * change->scale;
  float *values = NULL;
  TRY(change_values(&change->part[PART_UP], filling->scratch, &values));
  for (int64_t o = 0; o < module->outputs; o++) {
    for (int64_t r = 0; r < change->rank; r++) {
      up[o * ranks + column + r] = scale * values[o * change->rank + r];
    }
  }
  return OK;
}

static enum status fill_module(struct filling *filling, int number, int64_t rank,
                               struct adapter_module *out) {
  const struct module *module = modules_at(filling->model->modules, number);
  struct use_walk walk = {filling->uses, filling->count, .module = number};
  struct adapter_module entry = {.rank = (int32_t)rank};
  size_t value = element_bytes(filling->element);
  int64_t downs = rank * module->inputs, ups = rank * module->outputs, row = 0;
  char *down = arena_take(filling->scratch, (size_t)downs * value);
  char *up = arena_take(filling->scratch, (size_t)ups * value);
  float *wide = arena_take(filling->scratch, (size_t)ups * sizeof *wide);
  if (down == NULL || up == NULL || wide == NULL) {
    return EXHAUSTED;
  }
  while (use_walk_next(&walk, module->network)) {
    TRY(fill_down(filling, walk.change, module->inputs, row, down));
    TRY(fill_up(filling, &walk, module, row, rank, wide));
    row += walk.change->rank;
  }
  if (!change_fits(filling->element, wide, ups)) {
    return fail_field(BAD_INPUT, "adapter", "%s: the adapters' scaled values are too large",
                      module->name);
  }
  elements_from_f32(filling->element, wide, ups, up);
  TRY(put_piece(filling, down, (size_t)downs * value, &entry.down));
  TRY(put_piece(filling, up, (size_t)ups * value, &entry.up));
  arena_drop(filling->scratch);
  *out = entry;
  return OK;
}

/* What stands before the values: rows for prompts, and the table. */
struct head {
  char *image;
  size_t bytes;
};

static enum status fill(struct filling *filling, const struct head *head) {
  struct batch_row *rows = (struct batch_row *)head->image;
  struct adapter_module *table = (struct adapter_module *)(head->image + rows_bytes());
  const struct module_list *modules = filling->model->modules;
  const void *address = NULL;
  for (int i = 0; i < PROMPT_CHUNKS_MAX; i++) {
    rows[i].adapters = (const struct adapter_module *)(filling->block + rows_bytes());
  }
  filling->at = head->bytes;
  for (size_t i = 0; i < modules_count(modules); i++) {
    int64_t rank = rank_of(modules, filling->uses, filling->count, (int)i);
    filling->touched[i] = rank > 0;
    if (rank > 0) {
      TRY(fill_module(filling, (int)i, rank, &table[i]));
    }
  }
  filling->at = 0;
  return put_piece(filling, head->image, head->bytes, &address);
}

/* ---- opening ---- */

static bool changes_anything(const struct model *model, const struct adapter_use *uses,
                             size_t count) {
  for (int network = NETWORK_UNET; network <= NETWORK_TEXT_2; network++) {
    if (use_changes_network(uses, count, model->modules, (enum network)network)) {
      return true;
    }
  }
  return false;
}

static enum status put(struct filling *filling, struct side_path *side, size_t bytes) {
  struct tensor block;
  const struct module_list *modules = filling->model->modules;
  struct head head = {.bytes = rows_bytes() + table_bytes(modules)};
  head.image = arena_take_zeroed(side->host, head.bytes);
  filling->touched = arena_take_zeroed(side->host, modules_count(modules) + 1);
  if (head.image == NULL || filling->touched == NULL) {
    return EXHAUSTED;
  }
  TRY(tensor_take(side->on_device, ELEMENT_U8, TENSOR_SHAPE((int64_t)bytes), &block));
  filling->block = block.data;
  TRY(fill(filling, &head));
  side->rows = block.data;
  side->table = (const struct adapter_module *)((char *)block.data + rows_bytes());
  side->touched = filling->touched;
  return OK;
}

static enum status open_side(struct model *model, const struct adapter_use *uses, size_t count,
                             struct side_path *side) {
  size_t bytes = side_path_bytes(model, uses, count);
  struct filling filling = {.model = model, .uses = uses, .count = count};
  filling.element = device_element(model->device);
  TRY(arena_open(NULL, HOST_BYTES_MAX, &side->host));
  TRY(device_block(model->device, bytes, &side->on_device));
  TRY(arena_open(NULL, ANY_BYTES, &filling.scratch));
  enum status status = put(&filling, side, bytes);
  arena_close(&filling.scratch);
  return status;
}

enum status side_path_open(struct model *model, const struct adapter_use *uses, size_t count,
                           struct side_path *out) {
  struct side_path side = {0};
  if (changes_anything(model, uses, count)) {
    enum status status = open_side(model, uses, count, &side);
    if (status != OK) {
      side_path_close(&side);
      return status;
    }
  }
  *out = side;
  return OK;
}

void side_path_close(struct side_path *side) {
  arena_close(&side->on_device);
  arena_close(&side->host);
  *side = (struct side_path){0};
}
