/* weights.c - a mapped safetensors file and a mark per tensor. */
#include "worker/model/weights.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/progress.h"
#include "base/text.h"
#include "worker/model/safetensors.h"

#define SHA256_BYTES 32
#define HASHED_BYTES ((size_t)4 << 20)    /* at a time */
#define ARENA_BYTES_MAX ((size_t)1 << 40) /* in fact bounded by header and file */

struct weights {
  const char *path;
  struct arena *arena; /* holds this struct, the table and unaligned tensors' copies */
  uint8_t *file;
  size_t file_bytes;
  struct safetensors table;
  bool *used; /* by index into the table */
};

#define REFUSE(...) fail_field(BAD_INPUT, "weights", __VA_ARGS__)

/* ---- the file ---- */

static enum status map_file(struct weights *weights) {
  int file = open(weights->path, O_RDONLY | O_CLOEXEC);
  if (file < 0) {
    return REFUSE("cannot open %s: %s", weights->path, strerror(errno));
  }
  struct stat info;
  if (fstat(file, &info) != 0 || !S_ISREG(info.st_mode) || info.st_size <= 0) {
    close(file);
    return REFUSE("%s is not a file with content", weights->path);
  }
  void *memory = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, file, 0);
  close(file);
  if (memory == MAP_FAILED) {
    return fail(EXHAUSTED, "cannot map %s: %s", weights->path, strerror(errno));
  }
  weights->file = memory;
  weights->file_bytes = (size_t)info.st_size;
  return OK;
}

/* A few GB from a slow disk take minutes: read in parts, each of them progress. */
static bool digest(const struct weights *weights, EVP_MD_CTX *context, uint8_t out[SHA256_BYTES]) {
  bool good = EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1;
  for (size_t at = 0; good && at < weights->file_bytes; at += HASHED_BYTES) {
    size_t left = weights->file_bytes - at;
    good = EVP_DigestUpdate(context, weights->file + at, left < HASHED_BYTES ? left : HASHED_BYTES);
    progress_count();
  }
  return good && EVP_DigestFinal_ex(context, out, NULL) == 1;
}

static enum status check_hash(const struct weights *weights, const char *expected) {
  uint8_t sum[SHA256_BYTES];
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  bool good = context != NULL && digest(weights, context, sum);
  EVP_MD_CTX_free(context);
  if (!good) {
    return fail(BROKEN, "libcrypto cannot compute a sha256");
  }
  char text[2 * SHA256_BYTES + 1];
  text_hex(sum, sizeof sum, text);
  if (strcmp(text, expected) != 0) {
    return REFUSE("%s: sha256 is %s, expected %s", weights->path, text, expected);
  }
  return OK;
}

static enum status fill(struct weights *weights, const char *expected_sha256) {
  TRY(map_file(weights));
  if (expected_sha256 != NULL) {
    TRY(check_hash(weights, expected_sha256));
  }
  TRY(safetensors_read(weights->path, weights->file, weights->file_bytes, weights->arena,
                       &weights->table));
  weights->used = arena_take_zeroed(weights->arena, weights->table.count + 1);
  return weights->used != NULL ? OK : EXHAUSTED;
}

enum status weights_open(const char *path, const char *expected_sha256, struct weights **out) {
  struct arena *arena = NULL;
  TRY(arena_open(NULL, ARENA_BYTES_MAX, &arena));
  struct weights *weights = arena_take_zeroed(arena, sizeof *weights);
  char *copy = weights != NULL ? arena_copy_text(arena, path, strlen(path)) : NULL;
  if (copy == NULL) {
    arena_close(&arena);
    return EXHAUSTED;
  }
  weights->arena = arena;
  weights->path = copy;
  enum status status = fill(weights, expected_sha256);
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
  struct arena *arena = (*pointer)->arena;
  if ((*pointer)->file != NULL) {
    munmap((*pointer)->file, (*pointer)->file_bytes);
  }
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

/* ---- taking ---- */

static bool shape_matches(const struct safetensors_entry *entry, int rank, const int64_t *shape) {
  if (entry->rank != rank) {
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

static enum status refuse_shape(const struct weights *weights,
                                const struct safetensors_entry *entry, int rank,
                                const int64_t *shape) {
  char found[96], wanted[96];
  shape_text(entry->rank, entry->shape, found, sizeof found);
  shape_text(rank, shape, wanted, sizeof wanted);
  return REFUSE("%s: \"%s\" has shape %s, the config asks for %s", weights->path, entry->name,
                found, wanted);
}

/* Writers pad the header so that tensors are aligned, but the format does not ask for it: then a
 * copy is made. */
static enum status aligned(struct weights *weights, const struct safetensors_entry *entry,
                           void **out) {
  const uint8_t *data = weights->table.data + entry->begin;
  if ((uintptr_t)data % ((size_t)entry->type->bits / 8) == 0) {
    *out = weights->file + (data - weights->file);
    return OK;
  }
  void *copy = arena_take(weights->arena, entry->end - entry->begin);
  if (copy == NULL) {
    return EXHAUSTED;
  }
  memcpy(copy, data, entry->end - entry->begin);
  *out = copy;
  return OK;
}

enum status weights_take(struct weights *weights, const char *name, int rank, const int64_t *shape,
                         struct tensor *out) {
  assert(rank <= TENSOR_RANK_MAX);
  const struct safetensors_entry *entry = safetensors_find(&weights->table, name);
  if (entry == NULL) {
    return REFUSE("%s: \"%s\" is missing", weights->path, name);
  }
  bool *used = &weights->used[entry - weights->table.entry];
  if (*used) {
    return REFUSE("%s: \"%s\" is asked for twice", weights->path, name);
  }
  if (!shape_matches(entry, rank, shape)) {
    return refuse_shape(weights, entry, rank, shape);
  }
  if (entry->type->element < 0) {
    return REFUSE("%s: \"%s\" is %s; F32, F16 and BF16 are implemented", weights->path, name,
                  entry->type->name);
  }
  struct tensor tensor = {
      .element = (enum element)entry->type->element, .rank = rank, .shape = {1, 1, 1, 1}};
  memcpy(tensor.shape, entry->shape, (size_t)rank * sizeof *shape);
  TRY(aligned(weights, entry, &tensor.data));
  *used = true;
  *out = tensor;
  return OK;
}

bool weights_has(const struct weights *weights, const char *name) {
  return safetensors_find(&weights->table, name) != NULL;
}

int weights_rank(const struct weights *weights, const char *name) {
  const struct safetensors_entry *entry = safetensors_find(&weights->table, name);
  return entry != NULL ? entry->rank : 0;
}

void weights_skip(struct weights *weights, const char *prefix) {
  size_t length = strlen(prefix);
  for (size_t i = 0; i < weights->table.count; i++) {
    if (strncmp(weights->table.entry[i].name, prefix, length) == 0) {
      weights->used[i] = true;
    }
  }
}

enum status weights_all_used(const struct weights *weights) {
  size_t left = 0;
  const char *first = NULL;
  for (size_t i = 0; i < weights->table.count; i++) {
    if (!weights->used[i]) {
      first = first == NULL ? weights->table.entry[i].name : first;
      left++;
    }
  }
  return left == 0 ? OK
                   : REFUSE("%s: %zu tensors are not used by this model, the first is \"%s\"",
                            weights->path, left, first);
}
