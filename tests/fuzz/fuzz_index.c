/* fuzz_index.c - any bytes as the index of weights in several files: what is accepted names files
 * beside it, each once.
 */
#include <assert.h>
#include <string.h>

#include "worker/model/shards.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const struct safetensors_type type = {"F32", 32, 0};
  static struct safetensors_entry entries[] = {{.name = "a", .type = &type},
                                               {.name = "b", .type = &type}};
  const struct safetensors table = {.count = 2, .entry = entries};
  struct shards shards;
  if (shards_parse("i", (const char *)data, size, &shards) != OK) {
    return 0;
  }
  assert(shards.count >= 1 && shards.count <= WEIGHT_FILES_MAX);
  for (size_t i = 0; i < shards.count; i++) {
    assert(strchr(shards.file[i], '/') == NULL && shards.file[i][0] != '.');
    assert(i == 0 || strcmp(shards.file[i - 1], shards.file[i]) < 0);
    if (shards_check(&shards, shards.file[i], &table) == OK) {
      assert(json_object_get(shards.map, "a") != NULL && json_object_get(shards.map, "b") != NULL);
    }
  }
  shards_close(&shards);
  return 0;
}
