/* weights_look.c - a first look at weight files: are they there, are they safetensors, and what a
 * single file is taken for.
 */
#include "worker/weights_look.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "monitoring/log.h"
#include "store/files.h"
#include "worker/model/family_guess.h"
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

enum status weights_look(const char *path) {
  FILE *file = fopen(path, "rbe");
  if (file == NULL) {
    return fail_field(BAD_INPUT, "weights", "cannot open %s: %s", path, strerror(errno));
  }
  uint8_t head[LOOK_BYTES];
  size_t bytes = fread(head, 1, sizeof head, file);
  fclose(file);
  /* the length of a header may begin as a pickle does */
  if (looks_like_safetensors(head, bytes)) {
    return OK;
  }
  return looks_like_pickle(head, bytes)
             ? fail_field(BAD_INPUT, "weights", "%s is a pickle: only safetensors are loaded", path)
             : fail_field(BAD_INPUT, "weights", "%s is not safetensors", path);
}

/* A single file's family is found now, so that what is wrong with its keys, and what nobody has
 * said of it, is known before an engine reads it. */
static enum status look_inside(const struct models_row *row) {
  struct family family;
  TRY(family_look(&row->source, &family));
  if (family.prediction_assumed) {
    log_warning("prediction_assumed", log_text("model", row->id),
                log_text("family", family.row->name), log_text("prediction", "v_prediction"));
  }
  return OK;
}

/* A tiny decoder of a family that does not exist would be nobody's. */
static enum status look_at_family(const struct models_row *row) {
  const char *name = row->source.family;
  return row->kind != MODELS_TINY || name == NULL || family_find(name) != NULL
             ? OK
             : fail_field(BAD_INPUT, "family",
                          "[%s]: there is no family %s: sd1, sd2, sdxl, sdxl-refiner are", row->id,
                          name);
}

enum status models_table_check(const struct models_table *table) {
  for (size_t i = 0; i < table->count; i++) {
    for (size_t k = 0; k < table->row[i].source.hash_count; k++) {
      char path[FILE_PATH_MAX];
      TRY(file_join(path, table->row[i].source.folder, table->row[i].hashes[k].path));
      TRY(weights_look(path));
    }
    TRY(look_at_family(&table->row[i]));
    if (table->row[i].kind == MODELS_MODEL && table->row[i].source.file != NULL) {
      TRY(look_inside(&table->row[i]));
    }
  }
  return OK;
}
