/* weights_look.c - a first look at weight files: are they there, are they safetensors, what do they
 * hash to.
 */
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "worker/media/digest.h"
#include "worker/media/files.h"
#include "worker/models_table.h"

enum { LOOK_BYTES = 9 };

/* By content, never by name: renaming a pickle must not help it. */
static bool looks_like_pickle(const uint8_t *head, size_t bytes) {
  bool zip = bytes >= 4 && memcmp(head, "PK\3\4", 4) == 0;
  bool pickle = bytes >= 2 && head[0] == 0x80 && head[1] >= 1 && head[1] <= 5;
  return zip || pickle;
}

static bool looks_like_safetensors(const uint8_t *head, size_t bytes) {
  uint64_t header = 0;
  for (size_t i = 0; i < 8 && i < bytes; i++) {
    header |= (uint64_t)head[i] << (8 * i);
  }
  return bytes == LOOK_BYTES && header >= 2 && header <= SAFETENSORS_HEADER_BYTES_MAX &&
         head[8] == '{';
}

static enum status look(const char *path) {
  FILE *file = fopen(path, "rbe");
  if (file == NULL) {
    return fail_field(BAD_INPUT, "weights", "cannot open %s: %s", path, strerror(errno));
  }
  uint8_t head[LOOK_BYTES];
  size_t bytes = fread(head, 1, sizeof head, file);
  fclose(file);
  if (looks_like_pickle(head, bytes)) {
    return fail_field(BAD_INPUT, "weights", "%s is a pickle: only safetensors are loaded", path);
  }
  return looks_like_safetensors(head, bytes)
             ? OK
             : fail_field(BAD_INPUT, "weights", "%s is not safetensors", path);
}

enum status models_table_check(const struct models_table *table) {
  for (size_t i = 0; i < table->count; i++) {
    for (size_t k = 0; k < table->row[i].hash_count; k++) {
      char path[FILE_PATH_MAX];
      TRY(file_join(path, table->row[i].folder, table->row[i].hashes[k].path));
      TRY(look(path));
    }
  }
  return OK;
}

/* printing a row ------------------------------------------------------------------------------- */

static const char *const parts[] = {"text_encoder", "unet", "vae"};

static bool ends_with(const char *text, const char *ending) {
  size_t bytes = strlen(text);
  size_t wanted = strlen(ending);
  return bytes >= wanted && strcmp(text + bytes - wanted, ending) == 0;
}

static int is_weights(const struct dirent *entry) {
  return ends_with(entry->d_name, ".safetensors");
}

static enum status print_hash(const char *folder, const char *part, const char *file, FILE *out) {
  char name[FILE_PATH_MAX];
  char path[FILE_PATH_MAX];
  TRY(file_join(name, part, file));
  TRY(file_join(path, folder, name));
  TRY(look(path));
  char hash[SHA256_TEXT_MAX];
  TRY(digest_sha256_file(path, hash));
  fprintf(out, "sha256 %s = %s\n", name, hash);
  return OK;
}

static enum status print_part(const char *folder, const char *part, int *seen, FILE *out) {
  char path[FILE_PATH_MAX];
  TRY(file_join(path, folder, part));
  struct dirent **entries = NULL;
  int count = scandir(path, &entries, is_weights, alphasort);
  enum status status = OK;
  for (int i = 0; i < count; i++) {
    status = status == OK ? print_hash(folder, part, entries[i]->d_name, out) : status;
    free(entries[i]);
  }
  free(entries);
  *seen += count > 0 ? count : 0;
  return status;
}

/* "models/demo/" -> "demo" */
static void last_name(const char *folder, char name[128]) {
  size_t end = strlen(folder);
  while (end > 1 && folder[end - 1] == '/') {
    end--;
  }
  size_t begin = end;
  while (begin > 0 && folder[begin - 1] != '/') {
    begin--;
  }
  snprintf(name, 128, "%.*s", (int)(end - begin), folder + begin);
}

enum status models_print_row(const char *folder, FILE *out) {
  char name[128];
  char *absolute = realpath(folder, NULL);
  if (absolute == NULL) {
    return fail(BAD_INPUT, "cannot open %s: %s", folder, strerror(errno));
  }
  last_name(absolute, name);
  fprintf(out, "[%s]\npath = %s\n", name, absolute);
  free(absolute);
  int seen = 0;
  for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
    TRY(print_part(folder, parts[i], &seen, out));
  }
  return seen > 0 ? OK
                  : fail(BAD_INPUT, "%s: no *.safetensors in text_encoder, unet or vae", folder);
}
