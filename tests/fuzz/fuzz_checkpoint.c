/* fuzz_checkpoint.c - any keys in a single file: refused or taken, each tensor within the file, and
 * never two under one name.
 *
 * The input is a byte of choices and lines "KEY SIDE SIDE ...", of which a well-formed file is made
 * whose data is a hole: what safetensors.c would refuse anyway is fuzz_safetensors.c's.
 */
#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bytes.h"
#include "worker/model/checkpoint.h"
#include "worker/model/family_guess.h"
#include "worker/model/weights.h"

#define HEADER_BYTES_MAX ((size_t)1 << 20)
#define DATA_BYTES_MAX ((uint64_t)1 << 24)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One line to an entry; false when it is none. */
static bool add_line(char *line, uint64_t *at, struct bytes *header) {
  char *key = strsep(&line, " "), shape[128] = "";
  uint64_t values = 1;
  if (key[0] == '\0' || strpbrk(key, "\"\\") != NULL || strlen(key) > SAFETENSORS_NAME_BYTES_MAX) {
    return false;
  }
  for (const char *c = key; *c != '\0'; c++) {
    if (*c < ' ' || *c > '~') {
      return false;
    }
  }
  int rank = 0;
  for (char *side = NULL; rank < 4 && (side = strsep(&line, " ")) != NULL; rank++) {
    unsigned long length = strtoul(side, NULL, 10) % 4096;
    snprintf(shape + strlen(shape), sizeof shape - strlen(shape), "%s%lu", rank > 0 ? "," : "",
             length);
    values *= length;
    if (values > DATA_BYTES_MAX) {
      return false;
    }
  }
  if (*at + values * 2 > DATA_BYTES_MAX) {
    return false;
  }
  unsigned long long begin = *at, end = *at + values * 2;
  *at = end;
  return bytes_printf(header,
                      "%s\"%s\":{\"dtype\":\"F16\",\"shape\":[%s],\"data_offsets\":[%llu,%llu]}",
                      header->length > 1 ? "," : "", key, shape, begin, end) == OK;
}

/* A file in memory, by its place below /proc; -1 when there is none. */
static int write_file(char *lines) {
  struct bytes header;
  uint64_t data = 0;
  bytes_open(&header, HEADER_BYTES_MAX);
  bool good = bytes_append_text(&header, "{") == OK;
  for (char *line = NULL, *rest = lines; good && (line = strsep(&rest, "\n")) != NULL;) {
    add_line(line, &data, &header);
  }
  good = good && bytes_append_text(&header, "}") == OK;
  uint8_t length[8] = {0};
  for (int i = 0; i < 8; i++) {
    length[i] = (uint8_t)(header.length >> 8 * i);
  }
  int file = memfd_create("checkpoint", MFD_CLOEXEC);
  good = good && file >= 0 && write(file, length, 8) == 8 &&
         write(file, header.data, header.length) == (ssize_t)header.length &&
         ftruncate(file, (off_t)(8 + header.length + data)) == 0;
  bytes_close(&header);
  if (!good && file >= 0) {
    close(file);
  }
  return good ? file : -1;
}

static void take_all(struct weights *weights) {
  static const int64_t any[TENSOR_RANK_MAX] = {-1, -1, -1, -1};
  const char *before = NULL, *name = NULL;
  for (size_t i = 0; (name = weights_name(weights, i)) != NULL; i++) {
    struct tensor tensor;
    assert(before == NULL || strcmp(before, name) < 0);
    before = name;
    if (weights_rank(weights, name) <= TENSOR_RANK_MAX &&
        weights_take(weights, name, weights_rank(weights, name), any, &tensor) == OK) {
      size_t bytes = tensor_bytes(&tensor);
      uint8_t sum = 0;
      for (size_t k = 0; k < bytes; k += 512) {
        sum |= ((const uint8_t *)tensor.data)[k];
      }
      assert(sum == 0 && (bytes == 0 || ((const uint8_t *)tensor.data)[bytes - 1] == 0));
      assert(weights_take(weights, name, tensor.rank, any, &tensor) == BAD_INPUT);
    }
    weights_give_back(weights);
  }
  assert(weights_all_used(weights) == OK);
}

static void open_all(const struct model_source *source) {
  struct family family;
  struct checkpoint *files = NULL;
  (void)family_look(source, &family);
  if (checkpoint_open(source, &files) != OK) {
    return;
  }
  for (int network = NETWORK_VAE; network < NETWORKS; network++) {
    struct weights *weights = NULL;
    if (weights_open_network(files, (enum network)network, &weights) == OK) {
      take_all(weights);
    }
    weights_close(&weights);
  }
  (void)checkpoint_all_used(files);
  checkpoint_close(&files);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const char *const family[] = {NULL, "sd1", "sd2", "sdxl"};
  if (size < 1 || size > 1 << 16) {
    return 0;
  }
  char *lines = malloc(size);
  assert(lines != NULL);
  memcpy(lines, data + 1, size - 1);
  lines[size - 1] = '\0';
  int file = write_file(lines);
  free(lines);
  if (file < 0) {
    return 0;
  }
  char name[16];
  snprintf(name, sizeof name, "%d", file);
  struct model_source source = {.folder = "/proc/self/fd",
                                .file = name,
                                .averaged = (data[0] & 1) != 0,
                                .family = family[data[0] >> 1 & 3]};
  open_all(&source);
  close(file);
  return 0;
}
