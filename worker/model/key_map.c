/* key_map.c - rules applied from the front of a name to its end. */
#include "worker/model/key_map.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define NUMBERS_MAX 2
#define DIGITS_MAX 6 /* no network has a million layers */

struct match {
  int number[NUMBERS_MAX];
  int count;
  const char *rest; /* of the name */
};

/* A natural number at *at, which moves behind it. */
static bool read_number(const char **at, int *out) {
  int number = 0, digits = 0;
  for (; isdigit((unsigned char)(*at)[digits]); digits++) {
    if (digits == DIGITS_MAX) {
      return false;
    }
    number = 10 * number + ((*at)[digits] - '0');
  }
  *at += digits;
  *out = number;
  return digits > 0;
}

static bool same_letter(char rule, char name, char separator) {
  return name == (rule == '.' ? separator : rule);
}

/* A rule's beginning ends where a part ends: "out" does not begin "output_blocks". */
static bool matches(const char *from, int last, const char *name, char separator,
                    struct match *out) {
  struct match match = {.count = 0};
  const char *at = name;
  for (const char *rule = from; *rule != '\0'; rule++) {
    int number = 0;
    if (*rule != '#' && *rule != '$') {
      if (!same_letter(*rule, *at, separator)) {
        return false;
      }
      at++;
      continue;
    }
    if (!read_number(&at, &number) || (*rule == '$' && number != last)) {
      return false;
    }
    if (*rule == '#' && match.count < NUMBERS_MAX) {
      match.number[match.count++] = number;
    }
  }
  if (from[0] != '\0' && *at != '\0' && *at != separator) {
    return false;
  }
  match.rest = at;
  *out = match;
  return true;
}

static void count(enum key_count how, const struct key_sizes *sizes, int number[NUMBERS_MAX]) {
  int i = number[0], each = sizes->layers + 1;
  switch (how) {
    case COUNT_AS_IS:
      break;
    case COUNT_DOWN:
      number[0] = (i - 1) / each;
      number[1] = (i - 1) % each;
      break;
    case COUNT_UP:
      number[0] = i / each;
      number[1] = i % each;
      break;
    case COUNT_BACK:
      number[0] = sizes->levels - 1 - i;
      break;
    case COUNT_HALF:
      number[0] = i / 2 - 1;
      break;
    case COUNT_LESS:
      number[0] = i - 1;
      break;
  }
}

/* Appends; false when there is no room. */
static bool append(struct key_name *name, const char *text) {
  size_t at = strlen(name->text), bytes = strlen(text);
  if (at + bytes >= sizeof name->text) {
    return false;
  }
  memcpy(name->text + at, text, bytes + 1);
  return true;
}

/* Between parts, not before the first one. */
static bool append_separator(struct key_name *name, const char *next, char separator) {
  const char text[2] = {separator, '\0'};
  return name->text[0] == '\0' || next[0] == '\0' || append(name, text);
}

/* What stands in the place of a rule's beginning; false also for a number that no network has. */
static bool append_to(struct key_name *name, const char *to, const int *number, char separator) {
  bool good = append_separator(name, to, separator);
  for (; good && *to != '\0'; to++) {
    char text[16] = {*to == '.' ? separator : *to, '\0'};
    if (*to == '#') {
      good = *number >= 0;
      snprintf(text, sizeof text, "%d", *number++);
    }
    good = good && append(name, text);
  }
  return good;
}

static const struct key_rule *find(const struct key_rule *rules, const struct key_sizes *sizes,
                                   const char *name, char separator, struct match *match) {
  for (const struct key_rule *rule = rules; rule->from != NULL; rule++) {
    if (matches(rule->from, sizes->last, name, separator, match)) {
      return rule;
    }
  }
  return NULL;
}

enum key_outcome key_translate(const struct key_rule *rules, const struct key_sizes *sizes,
                               const char *name, char separator, struct key_name *out) {
  struct key_name result = {.form = KEY_PLAIN};
  while (rules != NULL) {
    struct match match;
    const struct key_rule *rule = find(rules, sizes, name, separator, &match);
    if (rule != NULL && rule->to == NULL) {
      return KEY_DROPPED;
    }
    if (rule == NULL) {
      return KEY_UNKNOWN;
    }
    count(rule->count, sizes, match.number);
    if (!append_to(&result, rule->to, match.number, separator)) {
      return KEY_UNKNOWN;
    }
    result.form = rule->form != KEY_PLAIN ? rule->form : result.form;
    name = match.rest + (*match.rest == separator);
    rules = rule->rest;
  }
  if (!append_separator(&result, name, separator) || !append(&result, name)) {
    return KEY_UNKNOWN;
  }
  *out = result;
  return KEY_NAMED;
}

bool key_number(const char *from, const char *name, char separator, int *out) {
  struct match match;
  if (!matches(from, -1, name, separator, &match)) {
    return false;
  }
  *out = match.number[0];
  return true;
}
