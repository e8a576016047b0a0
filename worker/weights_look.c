/* weights_look.c - a first look at weight files: are they there, are they safetensors, what do they
 * hash to.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/job.h"
#include "store/digest.h"
#include "store/files.h"
#include "worker/model/model.h"
#include "worker/model/weight_files.h"
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
    for (size_t k = 0; k < table->row[i].source.hash_count; k++) {
      char path[FILE_PATH_MAX];
      TRY(file_join(path, table->row[i].source.folder, table->row[i].hashes[k].path));
      TRY(look(path));
    }
  }
  return OK;
}

/* printing a row ------------------------------------------------------------------------------- */

/* One network: the line of the file that is loaded, and as comments what lies beside it and is not.
 */
struct part {
  const char *folder;
  char name[FILE_PATH_MAX]; /* of the chosen file, within the folder */
  const char *stem, *file;  /* what follows the last '/' */
  size_t within;            /* bytes of "unet/" */
};

static enum status choose(const char *folder, enum network network, struct part *out) {
  const char *stem = network_stems[network];
  struct part part = {.folder = folder};
  const struct model_source source = {.folder = folder};
  TRY(weight_file_choose(&source, network, part.name, sizeof part.name));
  part.within = (size_t)(strrchr(stem, '/') + 1 - stem);
  part.stem = stem + part.within;
  *out = part;
  out->file = out->name + part.within;
  return OK;
}

static enum status print_hash(const struct part *part, FILE *out) {
  char path[FILE_PATH_MAX];
  char hash[SHA256_TEXT_MAX];
  TRY(file_join(path, part->folder, part->name));
  TRY(look(path));
  TRY(digest_sha256_file(path, hash));
  fprintf(out, "sha256 %s = %s\n", part->name, hash);
  return OK;
}

static int not_hidden(const struct dirent *entry) { return entry->d_name[0] != '.'; }

static enum status print_left_out(const struct part *part, FILE *out) {
  char subfolder[FILE_PATH_MAX];
  char path[FILE_PATH_MAX];
  snprintf(subfolder, sizeof subfolder, "%.*s", (int)part->within, part->name);
  TRY(file_join(path, part->folder, subfolder));
  struct dirent **entries = NULL;
  int count = scandir(path, &entries, not_hidden, alphasort);
  for (int i = 0; i < count; i++) {
    const char *why = weight_file_left_out(entries[i]->d_name, part->stem, part->file);
    if (why != NULL) {
      fprintf(out, "# left out: %s%s: %s\n", subfolder, entries[i]->d_name, why);
    }
    free(entries[i]);
  }
  free(entries);
  return OK;
}

static enum status print_parts(const char *folder, FILE *out) {
  /* by name, as ls and sha256sum show them */
  static const enum network order[] = {NETWORK_TEXT, NETWORK_UNET, NETWORK_VAE};
  for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
    struct part part;
    TRY(choose(folder, order[i], &part));
    TRY(print_hash(&part, out));
    TRY(print_left_out(&part, out));
  }
  return OK;
}

/* "models/demo/" -> "demo"; a letter that a model's id may not have becomes '-'. */
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
  for (char *at = name; *at != '\0'; at++) {
    *at = isalnum((unsigned char)*at) || strchr("._-", *at) != NULL ? *at : '-';
  }
  if (name[0] == '\0' || !job_id_valid(name)) {
    snprintf(name, 128, "model");
  }
}

/* The table has no way to write some paths: '#' begins a comment there, and a line ends a value. */
static enum status check_path(const char *path) {
  size_t bytes = strlen(path);
  if (strpbrk(path, "#\r\n") != NULL || isspace((unsigned char)path[bytes - 1])) {
    return fail(BAD_INPUT,
                "%s: a path with '#', a line end or a space at its end cannot stand in the table",
                path);
  }
  return OK;
}

enum status models_print_row(const char *folder, FILE *out) {
  char name[128];
  char *absolute = realpath(folder, NULL);
  if (absolute == NULL) {
    return fail(BAD_INPUT, "cannot open %s: %s", folder, strerror(errno));
  }
  last_name(absolute, name);
  /* before the first word: what is printed must load */
  enum status status = check_path(absolute);
  status = status == OK ? model_look(&(struct model_source){.folder = absolute}) : status;
  if (status == OK) {
    fprintf(out, "[%s]\npath = %s\n", name, absolute);
    status = print_parts(absolute, out);
  }
  free(absolute);
  return status;
}
