/* job_rules.c - a field held against its row. */
#include "proto/job_rules.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <utf8proc.h>

#include "base/limits.h"
#include "proto/job.h"

enum status rule_text(const char *text, const struct text_rule *rule, struct refusal *why) {
  char limit[48];
  size_t bytes = strnlen(text, rule->max + 1);
  snprintf(limit, sizeof limit, "%zu..%zu bytes of UTF-8", rule->min, rule->max);
  if (bytes < rule->min || bytes > rule->max) {
    return refuse(why, RULE_FIELD, rule->field, limit, "%s is %s", rule->field,
                  bytes < rule->min ? "empty" : "too long");
  }
  for (size_t i = 0; i < bytes;) {
    utf8proc_int32_t point = 0;
    utf8proc_ssize_t took =
        utf8proc_iterate((const utf8proc_uint8_t *)text + i, (utf8proc_ssize_t)(bytes - i), &point);
    if (took <= 0) {
      return refuse(why, RULE_FIELD, rule->field, limit, "%s is not UTF-8: byte %zu", rule->field,
                    i);
    }
    i += (size_t)took;
  }
  return OK;
}

enum status rule_name(const char *name, const char *field, struct refusal *why) {
  if (name == NULL || job_id_valid(name)) {
    return OK;
  }
  return refuse(why, RULE_FIELD, field,
                "1.." TEXT_OF(JOB_ID_BYTES_MAX) " of A-Za-z0-9._-, the first a letter or digit",
                "%s cannot be used", field);
}

/* Members are copied out: their type is the row's word only. */
static bool given(const void *message, size_t at) {
  protobuf_c_boolean has = 0;
  memcpy(&has, (const char *)message + at, sizeof has);
  return has != 0;
}

enum status rule_numbers(const void *message, const struct number_rule *rows, size_t count,
                         struct refusal *why) {
  for (const struct number_rule *row = rows; row < rows + count; row++) {
    uint32_t value = 0;
    memcpy(&value, (const char *)message + row->at, sizeof value);
    bool fine = value >= row->min && value <= row->max && value % row->multiple == 0;
    if (given(message, row->given) && !fine) {
      return refuse(why, RULE_FIELD, row->field, row->limit, "%s is %u", row->field, value);
    }
  }
  return OK;
}

enum status rule_reals(const void *message, const struct real_rule *rows, size_t count,
                       struct refusal *why) {
  for (const struct real_rule *row = rows; row < rows + count; row++) {
    double value = 0;
    memcpy(&value, (const char *)message + row->at, sizeof value);
    bool fine = isfinite(value) && value >= row->min && value <= row->max;
    if (given(message, row->given) && !fine) {
      return refuse(why, RULE_FIELD, row->field, row->limit, "%s is %g", row->field, value);
    }
  }
  return OK;
}

enum status rule_words(const void *message, const struct word_rule *rows, size_t count,
                       struct refusal *why) {
  for (const struct word_rule *row = rows; row < rows + count; row++) {
    int value = 0;
    memcpy(&value, (const char *)message + row->at, sizeof value);
    if (given(message, row->given) && (value < 1 || value > row->last)) {
      return refuse(why, RULE_FIELD, row->field, row->limit, "there is no %s %d", row->field,
                    value);
    }
  }
  return OK;
}
