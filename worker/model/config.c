/* config.c - walks the keys of a file and the rows of a table, each once. */
#include "worker/model/config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/limits.h"

#define VALUE_TEXT_MAX 128

/* transformers writes "no maximum length" as an integer of 31 digits. */
static const struct json_rules config_rules = {.depth_max = CONFIG_DEPTH_MAX,
                                               .huge_integers = true};

/* ---- reading JSON ---- */

/* Python writes infinities as bare words, which are not JSON. They become null, which no number
 * accepts; a scheduler's lambda_min_clipped, which is never read, is -Infinity by default. */
static void mask_bare_words(char *text) {
  static const char *const words[] = {"-Infinity", "Infinity"};
  bool in_string = false;
  for (char *at = text; *at != '\0'; at++) {
    if (*at == '\\' && in_string && at[1] != '\0') {
      at++;
    } else if (*at == '"') {
      in_string = !in_string;
    } else if (!in_string) {
      for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t length = strlen(words[i]);
        if (strncmp(at, words[i], length) == 0) {
          memset(at, ' ', length);
          memcpy(at, "null", 4);
        }
      }
    }
  }
}

/* Nesting is measured before parsing, so that the parser's recursion is bounded by us and not by
 * the file. */
static int depth_of(const char *text, size_t length) {
  int depth = 0, deepest = 0;
  bool in_string = false;
  for (size_t i = 0; i < length; i++) {
    char c = text[i];
    if (c == '\\' && in_string) {
      i++;
    } else if (c == '"') {
      in_string = !in_string;
    } else if (!in_string && (c == '{' || c == '[')) {
      deepest = ++depth > deepest ? depth : deepest;
    } else if (!in_string && (c == '}' || c == ']')) {
      depth--;
    }
  }
  return deepest;
}

enum status config_json(const char *name, const char *text, size_t length, struct json_rules rules,
                        json_t **out) {
  if (depth_of(text, length) > rules.depth_max) {
    return fail_field(BAD_INPUT, "config", "%s: nested deeper than %d", name, rules.depth_max);
  }
  json_error_t error;
  size_t flags = JSON_REJECT_DUPLICATES | (rules.huge_integers ? JSON_DECODE_INT_AS_REAL : 0);
  json_t *root = json_loadb(text, length, flags, &error);
  if (root == NULL) {
    return fail_field(BAD_INPUT, "config", "%s: line %d: %s", name, error.line, error.text);
  }
  if (!json_is_object(root)) {
    json_decref(root);
    return fail_field(BAD_INPUT, "config", "%s: not a JSON object", name);
  }
  *out = root;
  return OK;
}

static enum status path_join(char *path, const char *folder, const char *name) {
  int length = snprintf(path, CONFIG_PATH_MAX, "%s/%s", folder, name);
  return length < CONFIG_PATH_MAX ? OK : fail_field(BAD_INPUT, "config", "path too long: %s", name);
}

bool config_file_exists(const char *folder, const char *name) {
  char path[CONFIG_PATH_MAX];
  return path_join(path, folder, name) == OK && access(path, R_OK) == 0;
}

enum status config_file(const char *folder, const char *name, struct bytes *content) {
  char path[CONFIG_PATH_MAX];
  TRY(path_join(path, folder, name));
  enum status status = bytes_read_text_file(content, path);
  /* A model folder without its file stays wrong until somebody repairs it: retrying is no use. */
  return status == UNAVAILABLE ? fail_field(BAD_INPUT, "config", "%s", fail_reason()) : status;
}

enum status config_json_file(const char *folder, const char *name, size_t bytes_max, json_t **out) {
  struct bytes content;
  bytes_open(&content, bytes_max);
  enum status status = config_file(folder, name, &content);
  if (status == OK) {
    status = config_json(name, bytes_text(&content), content.length, config_rules, out);
  }
  bytes_close(&content);
  return status;
}

/* ---- values against rows ---- */

/* Writes a value as rows write it: 'text', 0.5, true, null; 1 and 1.0 alike, as Python compares
 * them. */
static void value_text(const json_t *value, char *text) {
  if (json_is_string(value)) {
    snprintf(text, VALUE_TEXT_MAX, "'%s'", json_string_value(value));
  } else if (json_is_number(value)) {
    snprintf(text, VALUE_TEXT_MAX, "%.9g", json_number_value(value));
  } else {
    char *dump = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    snprintf(text, VALUE_TEXT_MAX, "%s", dump != NULL ? dump : "?");
    free(dump);
  }
}

/* The place of text in "a|b|c", or -1. */
static int index_of(const char *accepted, const char *text) {
  size_t length = strlen(text);
  int index = 0;
  for (const char *at = accepted; at != NULL; index++) {
    const char *end = strchr(at, '|');
    size_t here = end != NULL ? (size_t)(end - at) : strlen(at);
    if (here == length && memcmp(at, text, length) == 0) {
      return index;
    }
    at = end != NULL ? end + 1 : NULL;
  }
  return -1;
}

static enum status refuse(const char *name, const struct config_key *row, const json_t *value) {
  char text[VALUE_TEXT_MAX];
  value_text(value, text);
  if (row->accepted != NULL) {
    return fail_field(BAD_INPUT, "config", "%s: %s is %s; implemented: %s", name, row->key, text,
                      row->accepted);
  }
  return fail_field(BAD_INPUT, "config", "%s: %s is %s; allowed: %.9g to %.9g", name, row->key,
                    text, row->min, row->max);
}

static bool read_integer(const struct config_key *row, const json_t *value, int *out) {
  double number = json_number_value(value);
  if (!json_is_number(value) || number != floor(number) || number < row->min || number > row->max) {
    return false;
  }
  *out = (int)number;
  return true;
}

static bool read_word(const struct config_key *row, const json_t *value, int *out) {
  char text[VALUE_TEXT_MAX];
  value_text(value, text);
  *out = index_of(row->accepted, text);
  return *out >= 0;
}

static bool read_one(const struct config_key *row, const json_t *value, int *out) {
  return row->kind == CONFIG_WORDS ? read_word(row, value, out) : read_integer(row, value, out);
}

static bool read_list(const struct config_key *row, const json_t *value, struct config_list *out) {
  *out = (struct config_list){0};
  if (!json_is_array(value)) {
    out->scalar = true;
    out->count = 1;
    return row->kind == CONFIG_INTEGERS && read_one(row, value, &out->value[0]);
  }
  if (json_array_size(value) == 0 || json_array_size(value) > CONFIG_LIST_MAX) {
    return false;
  }
  out->count = (int)json_array_size(value);
  for (int i = 0; i < out->count; i++) {
    if (!read_one(row, json_array_get(value, (size_t)i), &out->value[i])) {
      return false;
    }
  }
  return true;
}

static bool read_numbers(const struct config_key *row, const json_t *value,
                         struct config_numbers *out) {
  size_t count = json_is_array(value) ? json_array_size(value) : json_is_number(value);
  *out = (struct config_numbers){.count = (int)count};
  if (count > CONFIG_NUMBERS_MAX || (count == 0 && !json_is_null(value))) {
    return false;
  }
  for (size_t i = 0; i < count; i++) {
    const json_t *one = json_is_array(value) ? json_array_get(value, i) : value;
    out->value[i] = json_number_value(one);
    if (!json_is_number(one) || out->value[i] < row->min || out->value[i] > row->max) {
      return false;
    }
  }
  return true;
}

static bool read_value(const struct config_key *row, const json_t *value, void *field) {
  int ignored = 0;
  switch (row->kind) {
    case CONFIG_INTEGER:
      return read_integer(row, value, field);
    case CONFIG_COUNT:
      *(int *)field = 0;
      return json_is_null(value) || read_integer(row, value, field);
    case CONFIG_NUMBER:
      *(double *)field = json_number_value(value);
      return json_is_number(value) && *(double *)field >= row->min && *(double *)field <= row->max;
    case CONFIG_FLAG:
      *(bool *)field = json_is_true(value);
      return json_is_boolean(value);
    case CONFIG_WORD:
      return read_word(row, value, field);
    case CONFIG_NUMBERS:
      return read_numbers(row, value, field);
    case CONFIG_INTEGERS:
    case CONFIG_WORDS:
      return read_list(row, value, field);
    case CONFIG_ONLY:
      return read_word(row, value, &ignored);
    case CONFIG_ANY:
      return true;
  }
  return false;
}

/* The value for an absent key, from the row's own text: strings are written with single quotes
 * there. */
static json_t *standard_value(const struct config_key *row) {
  char text[VALUE_TEXT_MAX];
  snprintf(text, sizeof text, "%s", row->standard);
  for (char *at = text; *at != '\0'; at++) {
    *at = *at == '\'' ? '"' : *at;
  }
  return json_loads(text, JSON_DECODE_ANY, NULL);
}

static enum status read_row(const char *name, const struct config_key *row, const json_t *root,
                            void *out) {
  void *field = (char *)out + row->field;
  const json_t *value = json_object_get(root, row->key);
  if (value != NULL) {
    return read_value(row, value, field) ? OK : refuse(name, row, value);
  }
  if (row->kind == CONFIG_ONLY || row->kind == CONFIG_ANY || row->kind == CONFIG_COUNT) {
    return OK; /* absent means the class's own default, which is what is implemented, or none */
  }
  if (row->standard == NULL) {
    return fail_field(BAD_INPUT, "config", "%s: %s is missing", name, row->key);
  }
  json_t *standard = standard_value(row);
  enum status status = read_value(row, standard, field) ? OK : refuse(name, row, standard);
  json_decref(standard);
  return status;
}

static bool has_row(const struct config_key *table, const char *key) {
  for (const struct config_key *row = table; row->key != NULL; row++) {
    if (strcmp(row->key, key) == 0) {
      return true;
    }
  }
  return false;
}

static enum status read_all(const char *name, json_t *root, const struct config_key *table,
                            void *out) {
  const char *key = NULL;
  json_t *value = NULL;
  json_object_foreach(root, key, value) {
    if (!has_row(table, key)) {
      char text[VALUE_TEXT_MAX];
      value_text(value, text);
      return fail_field(BAD_INPUT, "config", "%s: %s (%s) is not a key that darkroom knows", name,
                        key, text);
    }
  }
  for (const struct config_key *row = table; row->key != NULL; row++) {
    TRY(read_row(name, row, root, out));
  }
  return OK;
}

enum status config_parse(const char *name, const char *text, size_t length,
                         const struct config_key *table, void *out) {
  if (length > CONFIG_BYTES_MAX) {
    return fail_field(BAD_INPUT, "config", "%s: larger than %d bytes", name, CONFIG_BYTES_MAX);
  }
  struct bytes copy;
  bytes_open(&copy, CONFIG_BYTES_MAX);
  json_t *root = NULL;
  enum status status = bytes_append(&copy, text, length);
  if (status == OK) {
    mask_bare_words((char *)copy.data);
    status = config_json(name, bytes_text(&copy), length, config_rules, &root);
  }
  if (status == OK) {
    status = read_all(name, root, table, out);
    json_decref(root);
  }
  bytes_close(&copy);
  return status;
}

enum status config_read(const char *folder, const char *name, const struct config_key *table,
                        void *out) {
  struct bytes content;
  bytes_open(&content, CONFIG_BYTES_MAX);
  enum status status = config_file(folder, name, &content);
  if (status == OK) {
    status = config_parse(name, bytes_text(&content), content.length, table, out);
  }
  bytes_close(&content);
  return status;
}
