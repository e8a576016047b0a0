/* fuzz_embedding.c - any bytes as a file of textual inversion, and as a header with its length: for
 * one text encoder, and for two. */
#include <assert.h>
#include <string.h>

#include "worker/model/embedding_file.h"

#define ARENA_BYTES ((size_t)64 * 1024 * 1024)
#define WIDTH 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_as(const uint8_t *data, size_t size, const char *token) {
  static const struct embedding_target targets[] = {
      {"sd1", 1, {NETWORK_TEXT}, {WIDTH}},
      {"sdxl", 2, {NETWORK_TEXT, NETWORK_TEXT_2}, {WIDTH, WIDTH + 2}}};
  struct embedding_source source = {.name = "file", .token = token, .data = data, .bytes = size};
  for (size_t i = 0; i < 2; i++) {
    struct embedding_vectors read;
    struct arena *arena = NULL;
    if (arena_open(NULL, ARENA_BYTES, &arena) != OK) {
      return;
    }
    if (embedding_read(&targets[i], &source, arena, &read) == OK) {
      assert(read.vectors >= 1 && read.vectors <= EMBEDDING_VECTORS_MAX);
      assert(strlen(read.token) >= 1 && strlen(read.token) <= EMBEDDING_TOKEN_BYTES_MAX);
      for (int j = 0; j < targets[i].encoders; j++) {
        volatile float last = read.value[j][(int64_t)read.vectors * targets[i].width[j] - 1];
        (void)last;
      }
    }
    arena_close(&arena);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  uint8_t file[8 + 4096] = {0};
  size_t header = size < 2048 ? size : 2048;
  read_as(data, size, "word");
  read_as(data, size, NULL);
  file[0] = (uint8_t)header;
  file[1] = (uint8_t)(header >> 8);
  memcpy(file + 8, data, header);
  for (size_t rest = 0; rest <= 160; rest += 8) {
    read_as(file, 8 + header + rest, NULL);
  }
  return 0;
}
