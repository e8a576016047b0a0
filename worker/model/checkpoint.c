/* checkpoint.c - which files a source has, each opened once. */
#include "worker/model/checkpoint.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "worker/model/config.h"
#include "worker/model/weight_files.h"

#define ARENA_BYTES_MAX ((size_t)1 << 32)

struct checkpoint {
  struct arena *arena; /* holds this struct, paths and tables */
  const struct model_source *source;
  struct mapped file[WEIGHT_FILES_MAX];
  const char *name[WEIGHT_FILES_MAX]; /* within the folder */
  size_t count;
  const struct mapped *of_network[WEIGHT_FILES_MAX]; /* what was asked for last */
  bool hash_used[WEIGHT_FILES_MAX];
};

#define REFUSE(...) fail_field(BAD_INPUT, "weights", __VA_ARGS__)

enum status checkpoint_open(const struct model_source *source, struct checkpoint **out) {
  if (source->hash_count > WEIGHT_FILES_MAX) {
    return REFUSE("%s: %zu sha256 sums are given, at most %d", source->folder, source->hash_count,
                  WEIGHT_FILES_MAX);
  }
  struct arena *arena = NULL;
  TRY(arena_open(NULL, ARENA_BYTES_MAX, &arena));
  struct checkpoint *checkpoint = arena_take_zeroed(arena, sizeof *checkpoint);
  if (checkpoint == NULL) {
    arena_close(&arena);
    return EXHAUSTED;
  }
  checkpoint->arena = arena;
  checkpoint->source = source;
  *out = checkpoint;
  return OK;
}

void checkpoint_close(struct checkpoint **pointer) {
  if (pointer == NULL || *pointer == NULL) {
    return;
  }
  struct checkpoint *checkpoint = *pointer;
  struct arena *arena = checkpoint->arena;
  for (size_t i = 0; i < checkpoint->count; i++) {
    mapped_close(&checkpoint->file[i]);
  }
  arena_close(&arena); /* the struct itself lies in it */
  *pointer = NULL;
}

const struct model_source *checkpoint_source(const struct checkpoint *checkpoint) {
  return checkpoint->source;
}

/* ---- files ---- */

static enum status find_hash(struct checkpoint *checkpoint, const char *name, const char **out) {
  const struct model_source *source = checkpoint->source;
  const char *sha256 = NULL;
  for (size_t i = 0; i < source->hash_count && sha256 == NULL; i++) {
    if (strcmp(source->hashes[i].path, name) == 0) {
      sha256 = source->hashes[i].sha256;
      checkpoint->hash_used[i] = true;
    }
  }
  if (sha256 == NULL && source->hash_count > 0) {
    return REFUSE("%s/%s: no sha256 is given for it", source->folder, name);
  }
  *out = sha256;
  return OK;
}

static const struct mapped *find_file(const struct checkpoint *checkpoint, const char *name) {
  for (size_t i = 0; i < checkpoint->count; i++) {
    if (strcmp(checkpoint->name[i], name) == 0) {
      return &checkpoint->file[i];
    }
  }
  return NULL;
}

static enum status open_file(struct checkpoint *checkpoint, const char *name,
                             const struct mapped **out) {
  char path[CONFIG_PATH_MAX];
  const char *sha256 = NULL;
  const struct mapped *open = find_file(checkpoint, name);
  if (open != NULL) {
    *out = open;
    return OK;
  }
  if (snprintf(path, sizeof path, "%s/%s", checkpoint->source->folder, name) >= (int)sizeof path) {
    return REFUSE("path too long: %s", name);
  }
  if (checkpoint->count == WEIGHT_FILES_MAX) {
    return REFUSE("%s: more than %d files", checkpoint->source->folder, WEIGHT_FILES_MAX);
  }
  TRY(find_hash(checkpoint, name, &sha256));
  size_t at = checkpoint->count;
  TRY(arena_keep_text(checkpoint->arena, name, &checkpoint->name[at]));
  TRY(mapped_open(path, sha256, checkpoint->arena, &checkpoint->file[at]));
  checkpoint->count++;
  *out = &checkpoint->file[at];
  return OK;
}

enum status checkpoint_files(struct checkpoint *checkpoint, enum network network,
                             const struct mapped *const **out, size_t *count) {
  char name[CONFIG_PATH_MAX];
  TRY(weight_file_choose(checkpoint->source, network, name, sizeof name));
  TRY(open_file(checkpoint, name, &checkpoint->of_network[0]));
  *out = checkpoint->of_network;
  *count = 1;
  return OK;
}

enum status checkpoint_all_used(const struct checkpoint *checkpoint) {
  const struct model_source *source = checkpoint->source;
  for (size_t i = 0; i < source->hash_count; i++) {
    if (!checkpoint->hash_used[i]) {
      return REFUSE("%s/%s: a sha256 is given for it, but it is not loaded", source->folder,
                    source->hashes[i].path);
    }
  }
  return OK;
}
