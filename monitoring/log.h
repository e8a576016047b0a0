/* log.h - one line on stderr per change of state, for people (logfmt) or machines (JSON).
 *
 * log_event("job_succeeded", log_text("job", id), log_count("ms", ms)) writes
 *   ts=2026-11-24T05:48:25.123Z level=info component=broker event=job_succeeded job=j1 ms=12
 * Each value is rendered alone, so a text with spaces, quotes or line ends is quoted and cannot
 * forge another pair. Thread safe; a line is one write(). Never a prompt, a key or a URL with a
 * signature. Values are cut at LOG_VALUE_BYTES_MAX, lines at LOG_LINE_BYTES_MAX.
 *
 * Whoever is outside can cause warnings and errors as fast as it can send. So of each event name at
 * most LOG_LINES_PER_SECOND_MAX lines of these levels are written a second; a line
 * `event=lines_left_out of=frame_refused lines=1234` says how many more there were. Lines of level
 * info are not limited: each stands for a change that was written to disk first.
 */
#ifndef DARKROOM_MONITORING_LOG_H
#define DARKROOM_MONITORING_LOG_H

#include <stddef.h>
#include <stdint.h>

#include "base/settings.h"

#define LOG_VALUE_BYTES_MAX 1024
#define LOG_LINE_BYTES_MAX 8192

enum log_format { LOG_LOGFMT, LOG_JSON };
enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };

/* The rows of a program's settings, whose structure has int log_format and int log_level: the
 * choices are in the order of the enums. */
#define LOG_SETTINGS(structure)                                                           \
  {.name = "log-format",                                                                  \
   .type = SETTING_CHOICE,                                                                \
   .field = offsetof(structure, log_format),                                              \
   .standard = "logfmt",                                                                  \
   .choices = "logfmt|json",                                                              \
   .help = "how lines are written to stderr, for people or machines"},                    \
  {                                                                                       \
    .name = "log-level", .type = SETTING_CHOICE, .field = offsetof(structure, log_level), \
    .standard = "info", .choices = "debug|info|warning|error",                            \
    .help = "the least important lines that are written"                                  \
  }

/* Call once, before threads; without it component is "darkroom", logfmt, info. component is
 * borrowed. */
void log_open(const char *component, enum log_format format, enum log_level level);

enum log_kind { LOG_KIND_TEXT, LOG_KIND_NUMBER, LOG_KIND_COUNT, LOG_KIND_REAL };

/* One key=value of a line; made by the functions below, in the call that logs it. Key and text are
 * borrowed until that call returns. */
struct log_pair {
  const char *key;
  enum log_kind kind;
  union {
    const char *text;
    int64_t number;
    uint64_t count;
    double real;
  } value;
  int decimals; /* of a real */
};

/* A text; NULL is written as an empty one. */
static inline struct log_pair log_text(const char *key, const char *text) {
  return (struct log_pair){key, LOG_KIND_TEXT, {.text = text}, 0};
}
static inline struct log_pair log_number(const char *key, int64_t number) {
  return (struct log_pair){key, LOG_KIND_NUMBER, {.number = number}, 0};
}
static inline struct log_pair log_count(const char *key, uint64_t count) {
  return (struct log_pair){key, LOG_KIND_COUNT, {.count = count}, 0};
}
/* A real number with so many decimals; NaN and infinities are quoted in JSON, which has none. */
static inline struct log_pair log_real(const char *key, double real, int decimals) {
  return (struct log_pair){key, LOG_KIND_REAL, {.real = real}, decimals};
}

/* What happened, at level info, and what is known about it: log_event("name", pairs ...). */
#define log_event(...) LOG_PAIRS(LOG_INFO, __VA_ARGS__, )
#define log_debug(...) LOG_PAIRS(LOG_DEBUG, __VA_ARGS__, )
#define log_warning(...) LOG_PAIRS(LOG_WARNING, __VA_ARGS__, )
#define log_error(...) LOG_PAIRS(LOG_ERROR, __VA_ARGS__, )

/* The trailing comma of the macros above makes the array well formed without pairs, too. */
#define LOG_PAIRS(level, name, ...) \
  log_write(level, (const struct log_pair[]){log_text("event", name), __VA_ARGS__{0}})

/* What the macros call: pairs up to one whose key is NULL; the first is the event's name. */
void log_write(enum log_level level, const struct log_pair *pairs);

/* Writes how many lines of earlier seconds were left out, if any. A program's loop calls it once
 * in a while, so that the number is told when a flood has ended; log_write does it, too. */
void log_tend(void);

#endif
