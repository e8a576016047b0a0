/* goldens.h - what diffusers has computed, by name (tests/model/make_*goldens.py). */
#ifndef DARKROOM_TESTS_UNIT_MODEL_GOLDENS_H
#define DARKROOM_TESTS_UNIT_MODEL_GOLDENS_H

#include "base/bytes.h"
#include "worker/model/safetensors.h"
/* cmocka.h, so behind the others */
#include <stdio.h>

#include "tests/unit/model/asserts.h"

#define TINY_GOLDENS "tests/model/goldens"
#define TINY_GOLDENS_BYTES_MAX ((size_t)4 * 1024 * 1024)
#define GOLDENS_ARENA_BYTES ((size_t)64 * 1024 * 1024)

struct goldens {
  struct bytes file;
  struct arena *arena;
  struct safetensors table;
};
static inline void goldens_open_file(struct goldens *goldens, const char *name) {
  char path[256];
  snprintf(path, sizeof path, TINY_GOLDENS "/%s", name);
  bytes_open(&goldens->file, TINY_GOLDENS_BYTES_MAX);
  assert_ok(bytes_read_file(&goldens->file, path));
  assert_ok(arena_open(NULL, GOLDENS_ARENA_BYTES, &goldens->arena));
  assert_ok(safetensors_read("goldens", goldens->file.data, goldens->file.length, goldens->arena,
                             &goldens->table));
}
static inline void goldens_open(struct goldens *goldens) {
  goldens_open_file(goldens, "tiny.safetensors");
}
static inline void goldens_close(struct goldens *goldens) {
  arena_close(&goldens->arena);
  bytes_close(&goldens->file);
}
static inline const void *golden(const struct goldens *goldens, const char *name) {
  const struct safetensors_entry *entry = safetensors_find(&goldens->table, name);
  if (entry == NULL) {
    fail_msg("no golden %s", name);
    return NULL;
  }
  return goldens->table.data + entry->begin;
}

#endif
