/* keyring.c - rows of a keyring, read and printed by one table of fields. */
#include "proto/keyring.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "proto/job.h"

enum { TIME_BYTES = 24 };
#define TIME_FORMAT "%Y-%m-%dT%H:%M:%SZ"

/* ---- fields ---------------------------------------------------------------------------------- */

typedef struct keyring_row Row;

static enum status take_text(char *value, char *to, size_t room, const char *limit) {
  if (value[0] == '\0' || strlen(value) >= room) {
    return fail(BAD_INPUT, "%s", limit);
  }
  snprintf(to, room, "%s", value);
  return OK;
}

/* In the store "inputs" is the folder of everybody's files, beside the tenants' own. */
static enum status take_tenant(Row *row, char *value) {
  if (strcmp(value, "inputs") == 0) {
    return fail(BAD_INPUT, "a name that the store has for everybody's inputs");
  }
  return job_id_valid(value)
             ? take_text(value, row->tenant, sizeof row->tenant, "1..64 bytes")
             : fail(BAD_INPUT, "1..64 of A-Za-z0-9._-, the first a letter or digit");
}

static enum status take_roles(Row *row, char *value) { return roles_parse(value, &row->roles); }

/* "*": every name. */
static enum status take_worker(Row *row, char *value) {
  size_t bytes = strlen(value);
  row->worker_begins = bytes > 0 && value[bytes - 1] == '*';
  if (row->worker_begins) {
    value[bytes - 1] = '\0';
  }
  if (!(row->worker_begins && value[0] == '\0') && !job_id_valid(value)) {
    return fail(BAD_INPUT, "a worker's name, or how names begin and a * behind it");
  }
  snprintf(row->worker, sizeof row->worker, "%s", value);
  return OK;
}

static enum status take_models(Row *row, char *value) {
  return take_text(value, row->models, sizeof row->models, "1..511 bytes");
}

static enum status take_default_model(Row *row, char *value) {
  return take_text(value, row->default_model, sizeof row->default_model, "1..128 bytes");
}

static enum status take_until(Row *row, char *value) {
  struct tm utc = {0};
  const char *end = strptime(value, TIME_FORMAT, &utc);
  int64_t seconds = end != NULL && *end == '\0' ? (int64_t)timegm(&utc) : 0;
  if (seconds <= 0) {
    return fail(BAD_INPUT, "a time like 2026-11-28T05:00:00Z");
  }
  row->until_s = seconds;
  return OK;
}

static enum status take_number(uint32_t *to, const char *value) {
  char *end = NULL;
  unsigned long number = strtoul(value, &end, 10);
  if (value[0] < '0' || value[0] > '9' || *end != '\0' || number == 0 || number > KEY_LIMIT_MAX) {
    return fail(BAD_INPUT, "1..%d", KEY_LIMIT_MAX);
  }
  *to = (uint32_t)number;
  return OK;
}

static enum status take_messages(Row *row, char *value) {
  return take_number(&row->limits.messages, value);
}
static enum status take_kibibytes(Row *row, char *value) {
  return take_number(&row->limits.kibibytes, value);
}
static enum status take_watches(Row *row, char *value) {
  return take_number(&row->limits.watches, value);
}
static enum status take_connections(Row *row, char *value) {
  return take_number(&row->limits.connections, value);
}

static const struct field {
  const char *name;
  enum status (*take)(Row *row, char *value);
} fields[] = {
    {"tenant", take_tenant},
    {"roles", take_roles},
    {"worker", take_worker},
    {"models", take_models},
    {"default-model", take_default_model},
    {"until", take_until},
    {"messages", take_messages},
    {"kib", take_kibibytes},
    {"watches", take_watches},
    {"connections", take_connections},
};

/* ---- a row ----------------------------------------------------------------------------------- */

/* Whatever went wrong, the line is named, and the field where there is one. Each field once. */
static enum status take_field(Row *row, char *word, unsigned *seen) {
  char *value = strchr(word, '=');
  if (value == NULL) {
    return fail(BAD_INPUT, "\"%.32s\" is not FIELD=VALUE", word);
  }
  *value++ = '\0';
  for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
    if (strcmp(fields[i].name, word) != 0) {
      continue;
    }
    if ((*seen & 1U << i) != 0) {
      return fail(BAD_INPUT, "%s stands there twice", word);
    }
    *seen |= 1U << i;
    enum status status = fields[i].take(row, value);
    if (status != OK) {
      char why[128];
      snprintf(why, sizeof why, "%s", fail_reason());
      return fail(BAD_INPUT, "%s=%.32s: %s", word, value, why);
    }
    return OK;
  }
  return fail(BAD_INPUT, "there is no field %.32s", word);
}

static enum status check_row(const Row *row) {
  if (row->roles == ROLE_NONE) {
    return fail(BAD_INPUT, "roles is missing: submit, work, operate, metrics");
  }
  bool works = (row->roles & ROLE_WORK) != 0;
  bool owns = row->worker[0] != '\0' || row->worker_begins;
  return works == owns
             ? OK
             : fail(BAD_INPUT, "worker and the role work go together: worker=NAME, NAME*");
}

static enum status take_row(char *line, Row *out) {
  char *name = strsep(&line, " \t");
  char *key = NULL;
  while (line != NULL && (key = strsep(&line, " \t")) != NULL && key[0] == '\0') {
  }
  if (!job_id_valid(name)) {
    return fail(BAD_INPUT, "a row begins with a name, 1..64 of A-Za-z0-9._-");
  }
  if (key == NULL || !key_valid(key)) {
    return fail(BAD_INPUT, "behind the name stands a public key, 40 letters of Z85");
  }
  Row row = {.tenant = KEYRING_TENANT_STANDARD};
  unsigned seen = 0;
  snprintf(row.name, sizeof row.name, "%s", name);
  snprintf(row.key, sizeof row.key, "%s", key);
  for (char *word; line != NULL && (word = strsep(&line, " \t")) != NULL;) {
    TRY(word[0] == '\0' ? OK : take_field(&row, word, &seen));
  }
  TRY(check_row(&row));
  *out = row;
  return OK;
}

/* ---- all rows -------------------------------------------------------------------------------- */

static int by_key(const void *a, const void *b) {
  return strcmp(((const Row *)a)->key, ((const Row *)b)->key);
}

static int by_name(const void *a, const void *b) {
  return strcmp(((const Row *)a)->name, ((const Row *)b)->name);
}

static enum status refuse_line(unsigned line, const char *why) {
  return fail(BAD_INPUT, "line %u: %s", line, why);
}

static bool same_but_key(const Row *a, const Row *b) {
  return strcmp(a->tenant, b->tenant) == 0 && a->roles == b->roles &&
         strcmp(a->worker, b->worker) == 0 && a->worker_begins == b->worker_begins;
}

/* Sorts them by name, then by key, which is how they are found. */
static enum status check_rows(struct keyring *keyring) {
  Row *row = keyring->row;
  if (row == NULL) {
    return OK; /* an empty one */
  }
  qsort(row, keyring->count, sizeof *row, by_name);
  for (size_t i = 1; i < keyring->count; i++) {
    bool same = by_name(&row[i], &row[i - 1]) == 0;
    if (same && i >= 2 && by_name(&row[i], &row[i - 2]) == 0) {
      return refuse_line(row[i].line, "a third row of this name: two are one key's change");
    }
    if (same && !same_but_key(&row[i], &row[i - 1])) {
      return refuse_line(row[i].line,
                         "another row of this name has other roles, or another tenant "
                         "or worker");
    }
  }
  qsort(row, keyring->count, sizeof *row, by_key);
  for (size_t i = 1; i < keyring->count; i++) {
    if (by_key(&row[i], &row[i - 1]) == 0) {
      return refuse_line(row[i].line, "another row has this key");
    }
  }
  return OK;
}

static enum status add_row(struct keyring *keyring, const Row *row) {
  if (keyring->count == KEYRING_ROWS_MAX) {
    return fail(BAD_INPUT, "more than %d rows", KEYRING_ROWS_MAX);
  }
  bool full = (keyring->count & (keyring->count - 1)) == 0; /* it grows by doubling */
  size_t room = keyring->count == 0 ? 1 : 2 * keyring->count;
  Row *rows = full ? realloc(keyring->row, room * sizeof *rows) : keyring->row;
  if (rows == NULL) {
    return fail(EXHAUSTED, "no memory for %zu keys", room);
  }
  keyring->row = rows;
  rows[keyring->count++] = *row;
  return OK;
}

static enum status take_lines(char *text, struct keyring *keyring) {
  unsigned number = 0;
  for (char *line; (line = strsep(&text, "\n")) != NULL;) {
    number++;
    line = text_trim(line);
    if (line[0] == '\0' || line[0] == '#') {
      continue;
    }
    Row row;
    enum status status = take_row(line, &row);
    if (status != OK) {
      char why[256];
      snprintf(why, sizeof why, "%s", fail_reason());
      return refuse_line(number, why);
    }
    row.line = number;
    TRY(add_row(keyring, &row));
  }
  return check_rows(keyring);
}

enum status keyring_parse(char *text, struct keyring *out) {
  struct keyring keyring = {0};
  enum status status = take_lines(text, &keyring);
  if (status != OK) {
    keyring_close(&keyring);
    return status;
  }
  *out = keyring;
  return OK;
}

enum status keyring_read(const char *path, struct keyring *out) {
  struct bytes text;
  bytes_open(&text, KEYRING_BYTES_MAX);
  enum status status = bytes_read_text_file(&text, path);
  char none[1] = "";
  status = status == OK ? keyring_parse(text.length > 0 ? (char *)text.data : none, out) : status;
  bytes_close(&text);
  return status;
}

void keyring_close(struct keyring *keyring) {
  free(keyring->row);
  *keyring = (struct keyring){0};
}

/* ---- printing -------------------------------------------------------------------------------- */

static void time_text(int64_t seconds, char text[TIME_BYTES]) {
  time_t time = (time_t)seconds;
  struct tm utc;
  text[0] = '\0';
  if (gmtime_r(&time, &utc) != NULL) {
    (void)strftime(text, TIME_BYTES, TIME_FORMAT, &utc);
  }
}

static enum status print_limits(const struct key_limits *limits, struct bytes *out) {
  const struct {
    const char *name;
    uint32_t value;
  } rows[] = {{"messages", limits->messages},
              {"kib", limits->kibibytes},
              {"watches", limits->watches},
              {"connections", limits->connections}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    TRY(rows[i].value != 0 ? bytes_printf(out, " %s=%u", rows[i].name, rows[i].value) : OK);
  }
  return OK;
}

enum status keyring_print(const Row *row, struct bytes *out) {
  char roles[ROLES_TEXT_BYTES];
  TRY(bytes_printf(out, "%s %s tenant=%s roles=%s", row->name, row->key, row->tenant,
                   roles_text(row->roles, ",", roles)));
  if ((row->roles & ROLE_WORK) != 0) {
    TRY(bytes_printf(out, " worker=%s%s", row->worker, row->worker_begins ? "*" : ""));
  }
  TRY(row->models[0] != '\0' ? bytes_printf(out, " models=%s", row->models) : OK);
  TRY(row->default_model[0] != '\0' ? bytes_printf(out, " default-model=%s", row->default_model)
                                    : OK);
  TRY(print_limits(&row->limits, out));
  if (row->until_s != 0) {
    char until[TIME_BYTES];
    time_text(row->until_s, until);
    TRY(bytes_printf(out, " until=%s", until));
  }
  return bytes_append_text(out, "\n");
}

/* ---- what a row gives ------------------------------------------------------------------------ */

bool keyring_same(const Row *a, const Row *b) {
  return strcmp(a->name, b->name) == 0 && strcmp(a->key, b->key) == 0 && same_but_key(a, b) &&
         strcmp(a->models, b->models) == 0 && strcmp(a->default_model, b->default_model) == 0 &&
         a->limits.messages == b->limits.messages && a->limits.kibibytes == b->limits.kibibytes &&
         a->limits.watches == b->limits.watches && a->limits.connections == b->limits.connections;
}

bool keyring_owns_worker(const Row *row, const char *worker) {
  return row->worker_begins ? strncmp(worker, row->worker, strlen(row->worker)) == 0
                            : strcmp(worker, row->worker) == 0;
}

bool keyring_has_model(const Row *row, const char *model) {
  size_t bytes = strlen(model);
  const char *at = row->models;
  if (at[0] == '\0') {
    return true;
  }
  while (at != NULL) {
    const char *end = strchr(at, ',');
    size_t length = end != NULL ? (size_t)(end - at) : strlen(at);
    if (length == bytes && memcmp(at, model, bytes) == 0) {
      return true;
    }
    at = end != NULL ? end + 1 : NULL;
  }
  return false;
}
