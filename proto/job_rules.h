/* job_rules.h - rows that say what a field may be, and the checks that read them; for job*.c alone.
 *
 * A row finds its field by offset in any message of protobuf-c, so that what stands inside a job's
 * messages is checked as its own fields are. What was not sent is fine.
 */
#ifndef DARKROOM_PROTO_JOB_RULES_H
#define DARKROOM_PROTO_JOB_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "proto/darkroom.pb-c.h"
#include "proto/refusal.h"

#define RULE_FIELD DARKROOM__V1__ERROR_CODE__ERROR_FIELD
#define RULES(rows) (sizeof(rows) / sizeof(rows)[0])

#define TEXT(x) #x
#define TEXT_OF(x) TEXT(x)

/* bytes of UTF-8 without NUL */
struct text_rule {
  const char *field;
  size_t min, max;
};
/* uint32 */
struct number_rule {
  const char *field, *limit;
  size_t given, at; /* offsets of has_field and field */
  uint32_t min, max, multiple;
};
/* double, finite */
struct real_rule {
  const char *field, *limit;
  size_t given, at;
  double min, max;
};
/* an enum, which runs from 1 to `last` without holes */
struct word_rule {
  const char *field, *limit;
  size_t given, at;
  int last;
};
#define RULE_AT(type, field) offsetof(type, has_##field), offsetof(type, field)
#define RULE_NUMBER(type, field, limit, min, max, multiple) \
  { #field, limit, RULE_AT(type, field), min, max, multiple }
#define RULE_REAL(type, field, limit, min, max) \
  { #field, limit, RULE_AT(type, field), min, max }
#define RULE_WORD(type, field, limit, last) \
  { #field, limit, RULE_AT(type, field), (int)(last) }
/* The same, called otherwise: "control.scale". */
#define RULE_REAL_OF(type, name, field, limit, min, max) \
  { name "." #field, limit, RULE_AT(type, field), min, max }
#define RULE_NUMBER_OF(type, name, field, limit, min, max, multiple) \
  { name "." #field, limit, RULE_AT(type, field), min, max, multiple }

/* Each: OK, or BAD_INPUT with *why (may be NULL). */
enum status rule_text(const char *text, const struct text_rule *rule, struct refusal *why);
enum status rule_numbers(const void *message, const struct number_rule *rows, size_t count,
                         struct refusal *why);
enum status rule_reals(const void *message, const struct real_rule *rows, size_t count,
                       struct refusal *why);
enum status rule_words(const void *message, const struct word_rule *rows, size_t count,
                       struct refusal *why);
/* An id (job_id_valid); NULL is fine. */
enum status rule_name(const char *name, const char *field, struct refusal *why);

/* The parts of job_check: blobs and what goes with them (job_inputs.c); upscale, refiner, sizes and
 * padding (job_stages.c). */
enum status job_check_inputs(const Darkroom__V1__Job *job, struct refusal *why);
enum status job_check_stages(const Darkroom__V1__Job *job, struct refusal *why);

#endif
