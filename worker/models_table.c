/* models_table.c - reads the table line by line; every line either means something or is refused.
 */
#include "worker/models_table.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/text.h"
#include "proto/job.h"
#include "store/digest.h"
#include "worker/devices.h"
#include "worker/models_keys.h"

#define TABLE_BYTES_MAX ((size_t)1024 * 1024)
enum { HASH_LETTERS = SHA256_TEXT_MAX - 1 };

/* [id] */
static enum status read_head(struct reading *reading, char *text) {
  struct models_table *table = reading->table;
  size_t bytes = strlen(text);
  text[bytes - 1] = '\0';
  char *id = text_trim(text + 1);
  if (strlen(id) > JOB_MODEL_BYTES_MAX || !job_id_valid(id)) {
    return fail(BAD_INPUT, "%s:%d: a model id has letters, digits, '.', '_', '-': %s",
                reading->path, reading->line, id);
  }
  for (size_t i = 0; i < table->count; i++) {
    if (strcmp(table->row[i].id, id) == 0) {
      return fail(BAD_INPUT, "%s:%d: the model %s is there twice", reading->path, reading->line,
                  id);
    }
  }
  if (table->count == MODELS_ROWS_MAX) {
    return fail(BAD_INPUT, "%s:%d: more than %d rows", reading->path, reading->line,
                MODELS_ROWS_MAX);
  }
  struct models_row *row = &table->row[table->count];
  struct weight_hash *hashes = arena_take(table->arena, WEIGHT_FILES_MAX * sizeof *hashes);
  if (hashes == NULL) {
    return EXHAUSTED;
  }
  *row = (struct models_row){.devices = "*", .source.hashes = hashes, .hashes = hashes};
  TRY(models_keep(reading, id, &row->id));
  table->count++;
  return OK;
}

/* A weight file stays inside its model's folder. */
static bool relative(const char *path) {
  return path[0] != '\0' && path[0] != '/' && strstr(path, "..") == NULL;
}

/* sha256 FILE = HASH */
static enum status read_hash(struct reading *reading, struct models_row *row, char *file,
                             const char *value) {
  file = text_trim(file);
  size_t letters = strlen(value);
  if (letters != HASH_LETTERS || strspn(value, "0123456789abcdef") != HASH_LETTERS) {
    return fail(BAD_INPUT, "%s:%d: a sha256 has %d lower-case hex digits", reading->path,
                reading->line, HASH_LETTERS);
  }
  if (!relative(file) || row->source.hash_count == WEIGHT_FILES_MAX) {
    return fail(BAD_INPUT, "%s:%d: at most %d files, relative to the model's folder: %s",
                reading->path, reading->line, WEIGHT_FILES_MAX, file);
  }
  struct weight_hash *hash = &row->hashes[row->source.hash_count];
  TRY(models_keep(reading, file, &hash->path));
  TRY(models_keep(reading, value, &hash->sha256));
  row->source.hash_count++;
  return OK;
}

static enum status read_pair(struct reading *reading, char *text) {
  char *equals = strchr(text, '=');
  if (equals == NULL) {
    return fail(BAD_INPUT, "%s:%d: expected [model] or \"name = value\"", reading->path,
                reading->line);
  }
  if (reading->table->count == 0) {
    return fail(BAD_INPUT, "%s:%d: a [model] comes first", reading->path, reading->line);
  }
  struct models_row *row = &reading->table->row[reading->table->count - 1];
  *equals = '\0';
  char *name = text_trim(text);
  const char *value = text_trim(equals + 1);
  if (strncmp(name, "sha256", 6) == 0 && isspace((unsigned char)name[6])) {
    return read_hash(reading, row, name + 6, value);
  }
  return models_set_key(reading, row, name, value);
}

static enum status read_line(struct reading *reading, char *line) {
  line[strcspn(line, "#")] = '\0';
  char *text = text_trim(line);
  size_t bytes = strlen(text);
  if (bytes == 0) {
    return OK;
  }
  return text[0] == '[' && text[bytes - 1] == ']' ? read_head(reading, text)
                                                  : read_pair(reading, text);
}

static int by_path(const void *left, const void *right) {
  return strcmp(((const struct weight_hash *)left)->path,
                ((const struct weight_hash *)right)->path);
}

/* `sha256sum FILE... | sha256sum`, files in the order of their paths: anybody can compute it. */
static enum status hash_of_hashes(struct models_table *table, struct models_row *row) {
  struct bytes lines;
  bytes_open(&lines, TABLE_BYTES_MAX);
  qsort(row->hashes, row->source.hash_count, sizeof row->hashes[0], by_path);
  enum status status = OK;
  for (size_t i = 0; i < row->source.hash_count && status == OK; i++) {
    status = bytes_printf(&lines, "%s  %s\n", row->hashes[i].sha256, row->hashes[i].path);
  }
  char text[SHA256_TEXT_MAX];
  status = status == OK ? digest_sha256_text(lines.data, lines.length, text) : status;
  bytes_close(&lines);
  TRY(status);
  row->sha256 = arena_copy_text(table->arena, text, HASH_LETTERS);
  return row->sha256 != NULL ? OK : EXHAUSTED;
}

static enum status row_whole(struct models_table *table, const char *path, struct models_row *row) {
  if (row->source.folder == NULL || row->source.hash_count == 0) {
    return fail(BAD_INPUT, "%s: [%s] has no %s (darkroom-worker --print-hashes PATH prints a row)",
                path, row->id, row->source.folder == NULL ? "path" : "sha256");
  }
  TRY(models_check_keys(path, row));
  return hash_of_hashes(table, row);
}

static enum status rows_whole(struct models_table *table, const char *path) {
  size_t models = 0;
  for (size_t i = 0; i < table->count; i++) {
    TRY(row_whole(table, path, &table->row[i]));
    models += table->row[i].kind == MODELS_MODEL;
  }
  if (models < 1 || models > MODELS_MAX) {
    return fail(BAD_INPUT, models < 1 ? "%s: no model in it" : "%s: more than %d models", path,
                MODELS_MAX);
  }
  return OK;
}

static enum status read_lines(struct reading *reading, char *text) {
  while (text != NULL) {
    reading->line++;
    TRY(read_line(reading, strsep(&text, "\n")));
  }
  return rows_whole(reading->table, reading->path);
}

enum status models_table_read(const char *path, struct models_table *out) {
  struct models_table table = {0};
  TRY(arena_open(NULL, 4 * TABLE_BYTES_MAX, &table.arena));
  struct reading reading = {.table = &table, .path = path};
  const char *slash = strrchr(path, '/');
  snprintf(reading.folder, sizeof reading.folder, "%.*s",
           slash == NULL ? 1 : (int)(slash - path + 1), slash == NULL ? "." : path);
  struct bytes text;
  bytes_open(&text, TABLE_BYTES_MAX);
  enum status status = bytes_read_text_file(&text, path);
  if (status == OK) {
    static char nothing[1] = "";
    status = read_lines(&reading, text.data != NULL ? (char *)text.data : nothing);
  }
  bytes_close(&text);
  if (status != OK) {
    models_table_close(&table);
    return status;
  }
  *out = table;
  return OK;
}

void models_table_close(struct models_table *table) { arena_close(&table->arena); }

const struct models_row *models_table_standard(const struct models_table *table) {
  const struct models_row *model = NULL;
  size_t models = 0;
  for (size_t i = 0; i < table->count; i++) {
    if (table->row[i].standard) {
      return &table->row[i];
    }
    if (table->row[i].kind == MODELS_MODEL) {
      model = &table->row[i];
      models++;
    }
  }
  return models == 1 ? model : NULL;
}

bool models_row_on(const struct models_row *row, const char *name, const char *open) {
  for (const char *item = row->devices;;) {
    item += strspn(item, " ");
    size_t bytes = strcspn(item, ", ");
    if (bytes > 0 && device_is_meant(item, bytes, name, open)) {
      return true;
    }
    item += strcspn(item, ",");
    if (*item == '\0') {
      return false;
    }
    item++;
  }
}
