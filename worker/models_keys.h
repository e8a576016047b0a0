/* models_keys.h - the keys that a row of models.conf may have. */
#ifndef DARKROOM_WORKER_MODELS_KEYS_H
#define DARKROOM_WORKER_MODELS_KEYS_H

#include "base/status.h"
#include "store/files.h"
#include "worker/models_table.h"

/* The table being read, and where. */
struct reading {
  struct models_table *table;
  const char *path;
  char folder[FILE_PATH_MAX]; /* of the table */
  int line;
};

/* A copy in the table's arena. EXHAUSTED. */
enum status models_keep(struct reading *reading, const char *text, const char **out);

/* name = value. BAD_INPUT with the line. */
enum status models_set_key(struct reading *reading, struct models_row *row, const char *name,
                           const char *value);

/* Whether a whole row has only keys that mean something for what it is. BAD_INPUT. */
enum status models_check_keys(const char *path, const struct models_row *row);

#endif
