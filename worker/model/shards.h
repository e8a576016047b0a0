/* shards.h - weights in several files: the index that says which there are.
 *
 * *.index.json: {"metadata": {...}, "weight_map": {"a tensor's name": "a file beside the index"}}
 */
#ifndef DARKROOM_WORKER_MODEL_SHARDS_H
#define DARKROOM_WORKER_MODEL_SHARDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/limits.h"
#include "base/status.h"
#include "worker/model/safetensors.h"

struct shards {
  json_t *map; /* owned */
  size_t count;
  const char *file[WEIGHT_FILES_MAX]; /* names without folders, sorted; they live in the map */
};

/* Whether a path is that of an index. */
bool shards_is_index(const char *path);

/* Reads an index. The caller closes. BAD_INPUT (field "weights") says what is wrong: no map, a file
 * elsewhere, more than WEIGHT_FILES_MAX files. */
enum status shards_read(const char *folder, const char *index, struct shards *out);
/* The same from memory; `name` is for messages. */
enum status shards_parse(const char *name, const char *text, size_t bytes, struct shards *out);
void shards_close(struct shards *shards);

/* Whether the file's tensors are those that the index says; name: the file's in the index.
 * BAD_INPUT names one that is not. */
enum status shards_check(const struct shards *shards, const char *name,
                         const struct safetensors *file);

#endif
