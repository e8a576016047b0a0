/* keys.c - darkroom keys: key files made, rows of a keyring added, shown, changed, taken out. Asks
 * no broker: one that has the keyring sees the new file within a second or two. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/whole_file.h"
#include "cli/keyring_file.h"
#include "cli/verbs.h"
#include "proto/job.h"

enum { KEY_MODE = 0600 };

/* ---- what is given --------------------------------------------------------------------------- */

static enum status need(const char *what, const char *given) {
  return given != NULL ? OK : fail_field(BAD_INPUT, what, "--%s is missing", what);
}

static enum status check_name(const struct call *call) {
  if (call->more == NULL || !job_id_valid(call->more)) {
    return fail(BAD_INPUT,
                "keys %s NAME: the name is 1..64 of A-Za-z0-9._-, a letter or digit "
                "first",
                call->argument);
  }
  return OK;
}

/* --output, or NAME.key here. */
static enum status key_path(const struct call *call, char path[KEY_PATH_BYTES_MAX]) {
  const char *output = call->options->output;
  int bytes = output != NULL ? snprintf(path, KEY_PATH_BYTES_MAX, "%s", output)
                             : snprintf(path, KEY_PATH_BYTES_MAX, "%s.key", call->more);
  return bytes < KEY_PATH_BYTES_MAX ? OK : fail(BAD_INPUT, "--output: a path too long");
}

/* A key in letters, or a file that has one: the broker's own, of which the public half is taken. */
static enum status read_server_key(const struct call *call, struct key_pair *pair) {
  const char *given = call->options->server_key;
  struct key_pair server;
  if (given == NULL) {
    return OK;
  }
  if (!key_valid(given)) {
    TRY(keys_read("server-key", given, false, &server));
    given = server.public_key;
  }
  snprintf(pair->server_key, sizeof pair->server_key, "%s", given);
  return OK;
}

/* ---- files ----------------------------------------------------------------------------------- */

static enum status write_pair(const struct key_pair *pair, const char *path, bool replace) {
  struct bytes text;
  bytes_open(&text, KEY_PATH_BYTES_MAX);
  enum status status = keys_text(pair, &text);
  status =
      status == OK ? whole_file_write(path, text.data, text.length, KEY_MODE, replace) : status;
  bytes_close(&text);
  return status;
}

/* The row of a new key, from the words of --may, by the parser that brokers have. */
static enum status make_row(const struct call *call, const char *key, struct keyring_row *out) {
  char text[2 * KEYRING_MODELS_BYTES_MAX + 1024];
  struct keyring one;
  int bytes = snprintf(text, sizeof text, "%s %s %s", call->more, key, call->options->may);
  if (bytes >= (int)sizeof text || strpbrk(call->options->may, "\r\n") != NULL) {
    return fail_field(BAD_INPUT, "may", "--may: one line, and a shorter one");
  }
  enum status status = keyring_parse(text, &one);
  if (status != OK) {
    char why[256];
    snprintf(why, sizeof why, "%s", fail_reason());
    const char *reason = strncmp(why, "line 1: ", 8) == 0 ? why + 8 : why;
    return fail_field(status, "may", "--may: %s", reason);
  }
  *out = one.row[0];
  keyring_close(&one);
  return OK;
}

/* ---- generate -------------------------------------------------------------------------------- */

/* The key's file comes first: a row without it would be a key that nobody has. */
static enum status add(const struct call *call, const struct key_pair *pair, const char *path) {
  struct keyring_file file;
  struct keyring_row row;
  const struct keyring_row *found[2];
  TRY(need("may", call->options->may));
  TRY(make_row(call, pair->public_key, &row));
  TRY(keyring_file_open(call->options->keyring, &file));
  enum status status = OK;
  if (keyring_file_find(&file, call->more, found) > 0) {
    status =
        fail(BAD_INPUT, "%s has a key already: keys rotate %s changes it", call->more, call->more);
  }
  status = status == OK ? write_pair(pair, path, false) : status;
  if (status == OK && (status = keyring_file_write(&file, NULL, &row, 1)) != OK) {
    (void)unlink(path);
  }
  keyring_file_close(&file);
  return status;
}

static enum status generate(const struct call *call) {
  char path[KEY_PATH_BYTES_MAX];
  struct key_pair pair;
  TRY(check_name(call));
  TRY(key_path(call, path));
  TRY(keys_make(&pair));
  snprintf(pair.name, sizeof pair.name, "%s", call->more);
  TRY(read_server_key(call, &pair));
  TRY(call->options->keyring != NULL ? add(call, &pair, path) : write_pair(&pair, path, false));
  printf("%s\n", pair.public_key);
  return OK;
}

/* ---- list, revoke ---------------------------------------------------------------------------- */

static int by_line(const void *a, const void *b) {
  unsigned left = ((const struct keyring_row *)a)->line;
  unsigned right = ((const struct keyring_row *)b)->line;
  return (left > right) - (left < right);
}

/* As the rows are written: what is shown can be put into a keyring. */
static enum status list(const struct call *call) {
  struct keyring_file file;
  struct bytes text;
  TRY(need("keyring", call->options->keyring));
  TRY(keyring_file_open(call->options->keyring, &file));
  bytes_open(&text, KEYRING_BYTES_MAX);
  if (file.rows.count > 0) {
    qsort(file.rows.row, file.rows.count, sizeof *file.rows.row, by_line);
  }
  enum status status = OK;
  for (size_t i = 0; i < file.rows.count && status == OK; i++) {
    status = keyring_print(&file.rows.row[i], &text);
  }
  if (status == OK) {
    fputs(bytes_text(&text), stdout);
  }
  bytes_close(&text);
  keyring_file_close(&file);
  return status;
}

static enum status take_out(const struct call *call) {
  struct keyring_file file;
  const struct keyring_row *found[2];
  TRY(need("keyring", call->options->keyring));
  TRY(check_name(call));
  TRY(keyring_file_open(call->options->keyring, &file));
  size_t count = keyring_file_find(&file, call->more, found);
  enum status status =
      count > 0 ? keyring_file_write(&file, call->more, NULL, 0)
                : fail(BAD_INPUT, "there is no key %s in %s", call->more, call->options->keyring);
  keyring_file_close(&file);
  if (status == OK) {
    printf("%s: %zu %s revoked\n", call->more, count, count == 1 ? "key" : "keys");
  }
  return status;
}

/* ---- rotate ---------------------------------------------------------------------------------- */

/* The row that goes on; a second one must be at its end. */
static enum status find_present(const struct keyring_file *file, const char *name, int64_t now_s,
                                struct keyring_row *out) {
  const struct keyring_row *found[2];
  size_t count = keyring_file_find(file, name, found);
  const struct keyring_row *present = NULL;
  for (size_t i = 0; i < count; i++) {
    if (found[i]->until_s != 0 && found[i]->until_s <= now_s) {
      continue;
    }
    if (present != NULL) {
      return fail(BAD_INPUT,
                  "%s has two keys already: the older one's end (until, keys list) comes "
                  "first",
                  name);
    }
    present = found[i];
  }
  if (present == NULL) {
    return fail(BAD_INPUT, "there is no key %s in %s", name, file->path);
  }
  *out = *present;
  return OK;
}

/* A new pair in place of the old one in its file; in the keyring both, the old one with its end.
 * The keyring comes first: a key that is in nobody's hands yet opens nothing, a key that no broker
 * knows would lock its holder out. */
static enum status exchange(const struct call *call, struct keyring_file *file, const char *path) {
  int64_t now_s = clock_wall_ms() / 1000;
  struct keyring_row rows[2];
  struct key_pair old, pair;
  TRY(find_present(file, call->more, now_s, &rows[0]));
  TRY(keys_read("output", path, true, &old));
  if (strcmp(old.public_key, rows[0].key) != 0) {
    return fail(BAD_INPUT, "%s is not the key that %s has in %s", path, call->more, file->path);
  }
  TRY(keys_make(&pair));
  snprintf(pair.name, sizeof pair.name, "%s", call->more);
  snprintf(pair.server_key, sizeof pair.server_key, "%s", old.server_key);
  TRY(read_server_key(call, &pair));
  rows[1] = rows[0];
  snprintf(rows[1].key, sizeof rows[1].key, "%s", pair.public_key);
  rows[0].until_s = now_s + call->options->grace_s;
  size_t first = call->options->grace_s > 0 ? 0 : 1;
  TRY(keyring_file_write(file, call->more, rows + first, 2 - first));
  TRY(write_pair(&pair, path, true));
  printf("%s\n", pair.public_key);
  return OK;
}

static enum status rotate(const struct call *call) {
  char path[KEY_PATH_BYTES_MAX];
  struct keyring_file file;
  TRY(need("keyring", call->options->keyring));
  TRY(check_name(call));
  TRY(key_path(call, path));
  TRY(keyring_file_open(call->options->keyring, &file));
  enum status status = exchange(call, &file, path);
  keyring_file_close(&file);
  return status;
}

/* ---- the command ----------------------------------------------------------------------------- */

static const struct action {
  const char *name;
  enum status (*run)(const struct call *call);
} actions[] = {{"generate", generate}, {"list", list}, {"revoke", take_out}, {"rotate", rotate}};

enum exit_code run_keys(const struct call *call) {
  for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
    if (strcmp(actions[i].name, call->argument) == 0) {
      return complain(actions[i].run(call));
    }
  }
  return complain(fail(BAD_INPUT, "keys %.32s: generate, list, revoke or rotate", call->argument));
}
