/* weights.c - a list of named tensors that lie in mapped files, and a mark on each. */
#include "worker/model/weights.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "worker/model/checkpoint.h"
#include "worker/model/mapped.h"

#define ARENA_BYTES_MAX ((size_t)1 << 40) /* in fact bounded by headers and files */

/* A tensor by the name that a network has for it. */
struct entry {
  const char *name;
  const struct mapped *file;
  const struct safetensors_entry *from;
  bool used, held; /* held: taken since the last weights_give_back */
};
struct weights {
  const char *path;
  struct arena *arena;  /* holds this struct and the list */
  struct arena *copies; /* of tensors that cannot be used where they lie */
  struct mapped own;    /* of weights_open */
  struct entry *entry;  /* sorted by name */
  size_t count;
};

#define REFUSE(...) fail_field(BAD_INPUT, "weights", __VA_ARGS__)

/* ---- opening ---- */

static int by_name(const void *a, const void *b) {
  const struct entry *x = a, *y = b;
  return strcmp(x->name, y->name);
}

static enum status list(struct weights *weights, const struct mapped *const *files, size_t count) {
  size_t total = 0;
  for (size_t i = 0; i < count; i++) {
    total += files[i]->table.count;
  }
  weights->entry = arena_take(weights->arena, (total + 1) * sizeof *weights->entry);
  if (weights->entry == NULL) {
    return EXHAUSTED;
  }
  for (size_t i = 0; i < count; i++) {
    for (size_t k = 0; k < files[i]->table.count; k++) {
      const struct safetensors_entry *from = &files[i]->table.entry[k];
      weights->entry[weights->count++] =
          (struct entry){.name = from->name, .file = files[i], .from = from};
    }
  }
  qsort(weights->entry, weights->count, sizeof *weights->entry, by_name);
  for (size_t i = 1; i < weights->count; i++) {
    const struct entry *one = &weights->entry[i - 1], *other = &weights->entry[i];
    if (strcmp(one->name, other->name) == 0) {
      return REFUSE("\"%s\" is there twice: in %s and in %s", one->name, one->file->path,
                    other->file->path);
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
  const struct mapped *const files[] = {&weights->own};
  return list(weights, files, 1);
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
  const struct mapped *const *files = NULL;
  size_t count = 0;
  struct weights *weights = NULL;
  TRY(checkpoint_files(checkpoint, network, &files, &count));
  TRY(new_weights(files[0]->path, &weights));
  enum status status = list(weights, files, count);
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
  return entry != NULL && axis >= 0 && axis < entry->from->rank ? entry->from->shape[axis] : 0;
}

/* ---- taking ---- */

static bool shape_matches(const struct entry *entry, int rank, const int64_t *shape) {
  if (entry->from->rank != rank) {
    return false;
  }
  for (int i = 0; i < rank; i++) {
    if (shape[i] >= 0 && shape[i] != entry->from->shape[i]) {
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
  shape_text(entry->from->rank, entry->from->shape, found, sizeof found);
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

/* Writers pad the header so that tensors are aligned, but the format does not ask for it: then a
 * copy is made. */
static enum status aligned(struct weights *weights, const struct entry *entry, void **out) {
  const struct safetensors_entry *from = entry->from;
  uint8_t *data = entry->file->bytes + (entry->file->table.data - entry->file->bytes) + from->begin;
  if ((uintptr_t)data % ((size_t)from->type->bits / 8) == 0) {
    *out = data;
    return OK;
  }
  void *copy = arena_take(weights->copies, from->end - from->begin);
  if (copy == NULL) {
    return EXHAUSTED;
  }
  memcpy(copy, data, from->end - from->begin);
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
  memcpy(tensor.shape, entry->from->shape, (size_t)rank * sizeof *shape);
  TRY(aligned(weights, entry, &tensor.data));
  entry->used = true;
  entry->held = true;
  *out = tensor;
  return OK;
}

void weights_give_back(struct weights *weights) {
  for (size_t i = 0; i < weights->count; i++) {
    struct entry *entry = &weights->entry[i];
    if (entry->held) {
      mapped_give_back(entry->file, entry->file->table.data + entry->from->begin,
                       entry->from->end - entry->from->begin);
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
