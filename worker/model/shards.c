/* shards.c - an index is untrusted as the files are: it says names, and each is checked. */
#include "worker/model/shards.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "worker/model/config.h"

#define INDEX_BYTES_MAX ((size_t)SAFETENSORS_HEADER_BYTES_MAX)
#define REFUSE(...) fail_field(BAD_INPUT, "weights", __VA_ARGS__)

bool shards_is_index(const char *path) {
  const char *last = strrchr(path, '/');
  const char *found = strstr(last != NULL ? last : path, ".index.");
  size_t bytes = strlen(path);
  return found != NULL && bytes > 5 && strcmp(path + bytes - 5, ".json") == 0;
}

/* A name beside the index. */
static bool is_plain(const char *name) {
  return name != NULL && name[0] != '\0' && name[0] != '.' && strchr(name, '/') == NULL;
}

static int by_text(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool is_listed(const struct shards *shards, const char *name) {
  for (size_t i = 0; i < shards->count; i++) {
    if (strcmp(shards->file[i], name) == 0) {
      return true;
    }
  }
  return false;
}

static enum status list_files(const char *name, struct shards *shards) {
  const char *tensor = NULL;
  json_t *value = NULL;
  json_object_foreach(shards->map, tensor, value) {
    const char *file = json_string_value(value);
    if (!is_plain(file)) {
      return REFUSE("%s: \"%.100s\" must be in a file beside the index", name, tensor);
    }
    if (is_listed(shards, file)) {
      continue;
    }
    if (shards->count == WEIGHT_FILES_MAX) {
      return REFUSE("%s: more than %d files", name, WEIGHT_FILES_MAX);
    }
    shards->file[shards->count++] = file;
  }
  qsort(shards->file, shards->count, sizeof *shards->file, by_text);
  return shards->count > 0 ? OK : REFUSE("%s: weight_map is empty", name);
}

enum status shards_parse(const char *name, const char *text, size_t bytes, struct shards *out) {
  static const struct json_rules rules = {.depth_max = 4, .huge_integers = true};
  json_t *root = NULL;
  if (config_json(name, text, bytes, rules, &root) != OK) {
    return REFUSE("%s", fail_reason());
  }
  struct shards shards = {.map = json_incref(json_object_get(root, "weight_map"))};
  json_decref(root);
  if (!json_is_object(shards.map) || json_object_size(shards.map) > SAFETENSORS_TENSORS_MAX) {
    shards_close(&shards);
    return REFUSE("%s: weight_map must be an object of at most %d names", name,
                  SAFETENSORS_TENSORS_MAX);
  }
  enum status status = list_files(name, &shards);
  if (status != OK) {
    shards_close(&shards);
    return status;
  }
  *out = shards;
  return OK;
}

enum status shards_read(const char *folder, const char *index, struct shards *out) {
  struct bytes content;
  bytes_open(&content, INDEX_BYTES_MAX);
  enum status status = config_file(folder, index, &content);
  if (status == OK) {
    status = shards_parse(index, bytes_text(&content), content.length, out);
  }
  bytes_close(&content);
  return status;
}

void shards_close(struct shards *shards) {
  json_decref(shards->map);
  *shards = (struct shards){0};
}

enum status shards_check(const struct shards *shards, const char *name,
                         const struct safetensors *file) {
  const char *tensor = NULL;
  json_t *value = NULL;
  for (size_t i = 0; i < file->count; i++) {
    const char *where = json_string_value(json_object_get(shards->map, file->entry[i].name));
    if (where == NULL || strcmp(where, name) != 0) {
      return REFUSE("%s: \"%s\" is in it, but the index says %s", name, file->entry[i].name,
                    where != NULL ? where : "nothing of it");
    }
  }
  json_object_foreach(shards->map, tensor, value) {
    if (strcmp(json_string_value(value), name) == 0 && safetensors_find(file, tensor) == NULL) {
      return REFUSE("%s: \"%.100s\" is missing, which the index says is in it", name, tensor);
    }
  }
  return OK;
}
