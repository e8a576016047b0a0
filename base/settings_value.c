/* settings_value.c - one setting: from text to its field, held against its limit. */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/settings_inside.h"

bool setting_in_use(const struct settings_program *about, const struct setting *row) {
  return row->uses == 0 || (row->uses & about->use) != 0;
}

void setting_environment_name(const char *program, const char *setting,
                              char name[SETTING_NAME_BYTES_MAX]) {
  int used = snprintf(name, SETTING_NAME_BYTES_MAX, "%s_%s", program, setting);
  for (int i = 0; i < used && i < SETTING_NAME_BYTES_MAX - 1; i++) {
    name[i] = name[i] == '-' ? '_' : (char)toupper((unsigned char)name[i]);
  }
}

static bool limited(const struct setting *row) { return row->min != 0 || row->max != 0; }

void setting_limit(const struct setting *row, char limit[SETTING_LIMIT_BYTES_MAX]) {
  static const char *const kinds[] = {
      [SETTING_TEXT] = "a text",     [SETTING_INTEGER] = "an integer",
      [SETTING_NUMBER] = "a number", [SETTING_FLAG] = "true|false",
      [SETTING_CHOICE] = "one of ",  [SETTING_LIST] = "a text, as often as wanted,",
  };
  const char *kind = kinds[row->type];
  if (row->type == SETTING_CHOICE) {
    snprintf(limit, SETTING_LIMIT_BYTES_MAX, "%s%s", kind, row->choices);
  } else if (row->type == SETTING_TEXT || row->type == SETTING_LIST) {
    double max = limited(row) ? row->max : SETTING_TEXT_BYTES_MAX;
    snprintf(limit, SETTING_LIMIT_BYTES_MAX, "%s of %.0f..%.0f bytes", kind, row->min, max);
  } else if (limited(row)) {
    snprintf(limit, SETTING_LIMIT_BYTES_MAX, "%s within %.16g..%.16g", kind, row->min, row->max);
  } else {
    snprintf(limit, SETTING_LIMIT_BYTES_MAX, "%s", kind);
  }
}

static bool within(const struct setting *row, double value) {
  return !limited(row) || (value >= row->min && value <= row->max);
}

static bool read_text(const struct setting *row, const char *text, void *field) {
  size_t bytes = strlen(text);
  *(const char **)field = text;
  return bytes <= SETTING_TEXT_BYTES_MAX && within(row, (double)bytes);
}

/* The limit is each one's; together they may be as long as a list of them. */
static bool read_list(const struct setting *row, const char *text, void *field) {
  *(const char **)field = text;
  for (const char *at = text; at != NULL;) {
    size_t bytes = strcspn(at, "\n");
    if (bytes > SETTING_TEXT_BYTES_MAX || !within(row, (double)bytes)) {
      return false;
    }
    at = at[bytes] == '\n' ? at + bytes + 1 : NULL;
  }
  return true;
}

static bool read_integer(const struct setting *row, const char *text, void *field) {
  char *end = NULL;
  errno = 0;
  long long value = strtoll(text, &end, 10);
  *(int64_t *)field = value;
  bool whole = end != text && *end == '\0' && !isspace((unsigned char)text[0]);
  return whole && errno == 0 && within(row, (double)value);
}

/* strtod also reads "inf", "nan" and hexadecimal, which nobody means. */
static bool read_number(const struct setting *row, const char *text, void *field) {
  char *end = NULL;
  double value = strtod(text, &end);
  *(double *)field = value;
  bool plain = text[0] != '\0' && text[strspn(text, "0123456789+-.eE")] == '\0';
  return plain && *end == '\0' && isfinite(value) && within(row, value);
}

/* The place of word in "a|b|c", -1 if it is none of them. */
static int word_index(const char *words, const char *word) {
  size_t bytes = strlen(word);
  for (int index = 0; words != NULL; index++) {
    size_t length = strcspn(words, "|");
    if (length == bytes && memcmp(words, word, bytes) == 0) {
      return index;
    }
    words = words[length] == '|' ? words + length + 1 : NULL;
  }
  return -1;
}

/* Words of one meaning alternate: the odd ones say yes. */
static bool read_flag(const struct setting *row, const char *text, void *field) {
  (void)row;
  int index = word_index("false|true|no|yes|off|on|0|1", text);
  *(bool *)field = index % 2 == 1;
  return index >= 0;
}

static bool read_choice(const struct setting *row, const char *text, void *field) {
  *(int *)field = word_index(row->choices, text);
  return *(int *)field >= 0;
}

static void store_nothing(const struct setting *row, void *field) {
  switch (row->type) {
    case SETTING_TEXT:
    case SETTING_LIST:
      *(const char **)field = NULL;
      break;
    case SETTING_INTEGER:
      *(int64_t *)field = SETTING_UNSET;
      break;
    case SETTING_NUMBER:
      *(double *)field = NAN;
      break;
    case SETTING_FLAG:
      *(bool *)field = false;
      break;
    case SETTING_CHOICE:
      *(int *)field = -1;
      break;
  }
}

enum status setting_store(const struct setting *row, const struct settings_value *value,
                          void *out) {
  static bool (*const readers[])(const struct setting *, const char *, void *) = {
      [SETTING_TEXT] = read_text, [SETTING_INTEGER] = read_integer, [SETTING_NUMBER] = read_number,
      [SETTING_FLAG] = read_flag, [SETTING_CHOICE] = read_choice,   [SETTING_LIST] = read_list,
  };
  void *field = (char *)out + row->field;
  if (value->text == NULL) {
    store_nothing(row, field);
    return OK;
  }
  if (readers[row->type](row, value->text, field)) {
    return OK;
  }
  char limit[SETTING_LIMIT_BYTES_MAX];
  setting_limit(row, limit);
  const char *shown = row->secret ? "****" : value->text;
  return fail_field(BAD_INPUT, row->name, "%s \"%.80s\": must be %s", value->from, shown, limit);
}
