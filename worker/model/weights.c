/* weights.c - a list of named tensors that lie in mapped files, and a mark on each. */
#include "worker/model/weights.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "worker/model/checkpoint.h"
#include "worker/model/key_rules.h"
#include "worker/model/mapped.h"

#define ARENA_BYTES_MAX ((size_t)1 << 40) /* in fact bounded by headers and files */

/* A tensor by the name that a network has for it: one of a file, or a part of one. */
struct entry {
  const char *name;
  const struct mapped *file;
  const struct safetensors_entry *from;
  int64_t shape[SAFETENSORS_RANK_MAX];
  uint64_t begin, end; /* within the file's data */
  bool turned;
  bool used, held; /* held: taken since the last weights_give_back */
};
struct weights {
  const char *path;
  struct arena *arena;  /* holds this struct and the list */
  struct arena *copies; /* of tensors that cannot be used where they lie */
  struct mapped own;    /* of weights_open */
  struct entry *entry;  /* sorted by name */
  size_t count;
  bool averaged; /* averaged copies in the place of what was trained */
};

#define REFUSE(...) fail_field(BAD_INPUT, "weights", __VA_ARGS__)

/* ---- opening ---- */

static int by_name(const void *a, const void *b) {
  const struct entry *x = a, *y = b;
  return strcmp(x->name, y->name);
}

/* What a file's tensor is called here is in the list's arena. */
static enum status add(struct weights *weights, const char *name, const struct entry *from) {
  struct entry entry = *from;
  entry.name = arena_copy_text(weights->arena, name, strlen(name));
  if (entry.name == NULL) {
    return EXHAUSTED;
  }
  weights->entry[weights->count++] = entry;
  return OK;
}

/* Queries, keys and values that lie on top of each other: '*' in the name is one of the three. */
static enum status add_thirds(struct weights *weights, const char *name, const struct entry *from) {
  static const char letters[3] = {'q', 'k', 'v'};
  uint64_t bytes = (from->end - from->begin) / 3;
  if (from->from->rank < 1 || from->shape[0] % 3 != 0 || from->from->type->bits % 8 != 0) {
    return REFUSE("%s: \"%s\" has three parts, but its first side is %lld", from->file->path,
                  from->from->name, from->from->rank < 1 ? 0 : (long long)from->shape[0]);
  }
  for (unsigned i = 0; i < 3; i++) {
    char part[SAFETENSORS_NAME_BYTES_MAX + 1];
    struct entry third = *from;
    snprintf(part, sizeof part, "%s", name);
    *strchr(part, '*') = letters[i];
    third.shape[0] /= 3;
    third.begin += i * bytes;
    third.end = third.begin + bytes;
    TRY(add(weights, part, &third));
  }
  return OK;
}

static enum status add_turned(struct weights *weights, const char *name, const struct entry *from) {
  struct entry turned = *from;
  if (from->from->rank != 2) {
    return REFUSE("%s: \"%s\" must have two sides", from->file->path, from->from->name);
  }
  turned.shape[0] = from->shape[1];
  turned.shape[1] = from->shape[0];
  turned.turned = true;
  return add(weights, name, &turned);
}

/* The averaged copy in the place of what was trained. */
static enum status averaged(const struct mapped *file, const struct safetensors_entry **entry) {
  char copy[SAFETENSORS_NAME_BYTES_MAX + 1];
  key_averaged((*entry)->name, copy);
  const struct safetensors_entry *found = safetensors_find(&file->table, copy);
  if (found == NULL) {
    return REFUSE("%s: no averaged copy of \"%s\" is in it (%s)", file->path, (*entry)->name, copy);
  }
  *entry = found;
  return OK;
}

/* A key that no rule knows keeps its own name, so that it is left over under it. */
static enum status add_key(struct weights *weights, const struct checkpoint_network *network,
                           const struct mapped *file, const struct safetensors_entry *from) {
  struct key_name name;
  const struct key_place *place = network->place;
  enum key_outcome outcome =
      key_translate(place->rules, &network->sizes, from->name + strlen(place->prefix), '.', &name);
  if (outcome == KEY_DROPPED) {
    return OK;
  }
  if (outcome == KEY_NAMED && weights->averaged) {
    TRY(averaged(file, &from));
  }
  struct entry entry = {.file = file, .from = from, .begin = from->begin, .end = from->end};
  memcpy(entry.shape, from->shape, sizeof entry.shape);
  if (outcome == KEY_UNKNOWN) {
    return add(weights, from->name, &entry);
  }
  if (name.form == KEY_THIRDS) {
    return add_thirds(weights, name.text, &entry);
  }
  return name.form == KEY_TURNED ? add_turned(weights, name.text, &entry)
                                 : add(weights, name.text, &entry);
}

static enum status list(struct weights *weights, const struct checkpoint_network *network) {
  size_t total = 0;
  const char *prefix = network->place->prefix;
  for (size_t i = 0; i < network->count; i++) {
    total += 3 * network->files[i]->table.count; /* each may be three */
  }
  weights->entry = arena_take(weights->arena, (total + 1) * sizeof *weights->entry);
  if (weights->entry == NULL) {
    return EXHAUSTED;
  }
  for (size_t i = 0; i < network->count; i++) {
    const struct mapped *file = network->files[i];
    for (size_t k = 0; k < file->table.count; k++) {
      if (strncmp(file->table.entry[k].name, prefix, strlen(prefix)) == 0) {
        TRY(add_key(weights, network, file, &file->table.entry[k]));
      }
    }
  }
  qsort(weights->entry, weights->count, sizeof *weights->entry, by_name);
  for (size_t i = 1; i < weights->count; i++) {
    const struct entry *one = &weights->entry[i - 1], *other = &weights->entry[i];
    if (strcmp(one->name, other->name) == 0) {
      return REFUSE("%s: \"%s\" is there twice: as \"%s\" and in %s as \"%s\"", one->file->path,
                    one->name, one->from->name, other->file->path, other->from->name);
    }
  }
  return OK;
}

static enum status new_weights(const char *path, struct weights **out) {
  struct arena *arena = NULL;
  TRY(arena_open(NULL, ARENA_BYTES_MAX, &arena));
  struct weights *weights = arena_take_zeroed(arena, sizeof *weights);
  if (weights == NULL || arena_keep_text(arena, path, &weights->path) != OK ||
      arena_open(NULL, ARENA_BYTES_MAX, &weights->copies) != OK) {
    arena_close(&arena);
    return EXHAUSTED;
  }
  weights->arena = arena;
  *out = weights;
  return OK;
}

static enum status fill_from_file(struct weights *weights, const char *expected_sha256) {
  TRY(mapped_open(weights->path, expected_sha256, weights->arena, &weights->own));
  static const struct key_place place = {.prefix = "", .rules = same_key_rules};
  const struct mapped *const files[] = {&weights->own};
  return list(weights, &(struct checkpoint_network){.files = files, .count = 1, .place = &place});
}

enum status weights_open(const char *path, const char *expected_sha256, struct weights **out) {
  struct weights *weights = NULL;
  TRY(new_weights(path, &weights));
  enum status status = fill_from_file(weights, expected_sha256);
  if (status != OK) {
    weights_close(&weights);
    return status;
  }
  *out = weights;
  return OK;
}

enum status weights_open_network(struct checkpoint *checkpoint, enum network network,
                                 struct weights **out) {
  struct checkpoint_network found;
  struct weights *weights = NULL;
  TRY(checkpoint_network(checkpoint, network, &found));
  TRY(new_weights(found.files[0]->path, &weights));
  weights->averaged = network == NETWORK_UNET && checkpoint_source(checkpoint)->averaged;
  enum status status = list(weights, &found);
  if (status != OK) {
    weights_close(&weights);
    return status;
  }
  *out = weights;
  return OK;
}

void weights_close(struct weights **pointer) {
  if (pointer == NULL || *pointer == NULL) {
    return;
  }
  struct weights *weights = *pointer;
  struct arena *arena = weights->arena;
  weights_give_back(weights);
  mapped_close(&weights->own);
  arena_close(&weights->copies);
  arena_close(&arena); /* the struct itself lies in it */
  *pointer = NULL;
}

enum status weights_check(const uint8_t *data, size_t bytes) {
  struct arena *arena = NULL;
  struct safetensors table;
  TRY(arena_open(NULL, ARENA_BYTES_MAX, &arena));
  enum status status = safetensors_read("file", data, bytes, arena, &table);
  arena_close(&arena);
  return status;
}

/* ---- by name ---- */

static struct entry *find(const struct weights *weights, const char *name) {
  const struct entry wanted = {.name = name};
  return bsearch(&wanted, weights->entry, weights->count, sizeof *weights->entry, by_name);
}

const char *weights_name(const struct weights *weights, size_t index) {
  return index < weights->count ? weights->entry[index].name : NULL;
}

bool weights_has(const struct weights *weights, const char *name) {
  return find(weights, name) != NULL;
}

int weights_rank(const struct weights *weights, const char *name) {
  const struct entry *entry = find(weights, name);
  return entry != NULL ? entry->from->rank : 0;
}

int64_t weights_side(const struct weights *weights, const char *name, int axis) {
  const struct entry *entry = find(weights, name);
  return entry != NULL && axis >= 0 && axis < entry->from->rank ? entry->shape[axis] : 0;
}

/* ---- taking ---- */

static bool shape_matches(const struct entry *entry, int rank, const int64_t *shape) {
  if (entry->from->rank != rank) {
    return false;
  }
  for (int i = 0; i < rank; i++) {
    if (shape[i] >= 0 && shape[i] != entry->shape[i]) {
      return false;
    }
  }
  return true;
}

static void shape_text(int rank, const int64_t *shape, char *text, size_t max) {
  size_t at = (size_t)snprintf(text, max, "[");
  for (int i = 0; i < rank && at < max; i++) {
    at += (size_t)snprintf(text + at, max - at, i > 0 ? ", %lld" : "%lld", (long long)shape[i]);
  }
  if (at < max) {
    snprintf(text + at, max - at, "]");
  }
}

static enum status refuse_shape(const struct entry *entry, int rank, const int64_t *shape) {
  char found[96], wanted[96];
  shape_text(entry->from->rank, entry->shape, found, sizeof found);
  shape_text(rank, shape, wanted, sizeof wanted);
  return REFUSE("%s: \"%s\" has shape %s, the config asks for %s", entry->file->path, entry->name,
                found, wanted);
}

static enum status refuse_missing(const struct weights *weights, const char *name, int rank,
                                  const int64_t *shape) {
  char wanted[96];
  shape_text(rank, shape, wanted, sizeof wanted);
  return REFUSE("%s: \"%s\" is missing, its shape would be %s", weights->path, name, wanted);
}

static uint8_t *data_of(const struct entry *entry) {
  const struct mapped *file = entry->file;
  return file->bytes + (file->table.data - file->bytes) + entry->begin;
}

/* Column after column. */
static void turn(const struct entry *entry, size_t bytes, uint8_t *to) {
  size_t rows = (size_t)entry->shape[0], columns = (size_t)entry->shape[1];
  const uint8_t *from = data_of(entry);
  for (size_t r = 0; r < rows; r++) {
    for (size_t c = 0; c < columns; c++) {
      memcpy(to + (r * columns + c) * bytes, from + (c * rows + r) * bytes, bytes);
    }
  }
}

/* Writers pad the header so that tensors are aligned, but the format does not ask for it: then a
 * copy is made, as of one that is turned. */
static enum status place(struct weights *weights, const struct entry *entry, void **out) {
  size_t bytes = (size_t)entry->from->type->bits / 8;
  uint8_t *data = data_of(entry);
  if (!entry->turned && (uintptr_t)data % bytes == 0) {
    *out = data;
    return OK;
  }
  uint8_t *copy = arena_take(weights->copies, entry->end - entry->begin);
  if (copy == NULL) {
    return EXHAUSTED;
  }
  if (entry->turned) {
    turn(entry, bytes, copy);
  } else {
    memcpy(copy, data, entry->end - entry->begin);
  }
  *out = copy;
  return OK;
}

enum status weights_take(struct weights *weights, const char *name, int rank, const int64_t *shape,
                         struct tensor *out) {
  assert(rank <= TENSOR_RANK_MAX);
  struct entry *entry = find(weights, name);
  if (entry == NULL) {
    return refuse_missing(weights, name, rank, shape);
  }
  if (entry->used) {
    return REFUSE("%s: \"%s\" is asked for twice", entry->file->path, name);
  }
  if (!shape_matches(entry, rank, shape)) {
    return refuse_shape(entry, rank, shape);
  }
  if (entry->from->type->element < 0) {
    return REFUSE("%s: \"%s\" is %s; F32, F16 and BF16 are implemented", entry->file->path, name,
                  entry->from->type->name);
  }
  struct tensor tensor = {
      .element = (enum element)entry->from->type->element, .rank = rank, .shape = {1, 1, 1, 1}};
  memcpy(tensor.shape, entry->shape, (size_t)rank * sizeof *shape);
  TRY(place(weights, entry, &tensor.data));
  entry->used = true;
  entry->held = true;
  *out = tensor;
  return OK;
}

void weights_give_back(struct weights *weights) {
  for (size_t i = 0; i < weights->count; i++) {
    struct entry *entry = &weights->entry[i];
    if (entry->held) {
      mapped_give_back(entry->file, data_of(entry), entry->end - entry->begin);
      entry->held = false;
    }
  }
  arena_drop(weights->copies);
  arena_trim(weights->copies, 0);
}

void weights_skip(struct weights *weights, const char *prefix) {
  size_t length = strlen(prefix);
  for (size_t i = 0; i < weights->count; i++) {
    if (strncmp(weights->entry[i].name, prefix, length) == 0) {
      weights->entry[i].used = true;
    }
  }
}

enum status weights_all_used(const struct weights *weights) {
  size_t left = 0;
  const struct entry *first = NULL;
  for (size_t i = 0; i < weights->count; i++) {
    if (!weights->entry[i].used) {
      first = first == NULL ? &weights->entry[i] : first;
      left++;
    }
  }
  return left == 0 ? OK
                   : REFUSE("%s: %zu tensors are not used by this model, the first is \"%s\"",
                            first->file->path, left, first->name);
}
