/* fuzz_safetensors.c - any bytes as a weight file: refused or accepted, never read outside of. */
#include "worker/model/weights.h"

#include <assert.h>
#include <string.h>

#include "base/arena.h"
#include "worker/model/safetensors.h"

#define ARENA_BYTES ((size_t)64 * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What an accepted table promises to those who use it. */
static void check_table(const struct safetensors *table, const uint8_t *data, size_t size) {
  uint64_t covered = 0;
  for (size_t i = 0; i < table->count; i++) {
    const struct safetensors_entry *entry = &table->entry[i];
    assert(entry->begin < entry->end && entry->end <= table->data_bytes);
    assert(safetensors_find(table, entry->name) == entry);
    covered += entry->end - entry->begin;
  }
  assert(covered == table->data_bytes);
  assert(table->data + table->data_bytes == data + size);
}

/* The fuzzer rarely guesses the eight bytes of a length: the bytes are tried as a whole file, and
 * as a header alone with the length that they have. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct arena *arena = NULL;
  struct safetensors table;
  uint8_t file[8 + 4096] = {0};
  if (arena_open(NULL, ARENA_BYTES, &arena) != OK) {
    return 0;
  }
  if (safetensors_read("file", data, size, arena, &table) == OK) {
    check_table(&table, data, size);
  }
  size_t header = size < 2048 ? size : 2048;
  file[0] = (uint8_t)header;
  file[1] = (uint8_t)(header >> 8);
  memcpy(file + 8, data, header);
  for (size_t rest = 0; rest <= 64; rest += 8) {
    if (safetensors_read("file", file, 8 + header + rest, arena, &table) == OK) {
      check_table(&table, file, 8 + header + rest);
    }
  }
  arena_close(&arena);
  return 0;
}
