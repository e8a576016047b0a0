/* log.c - renders pairs one by one, so that no value can run into the next. */
#include "monitoring/log.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <utf8proc.h>

#include "base/clock.h"
#include "base/limits.h"

static const char *log_component = "darkroom";
static enum log_format log_format = LOG_LOGFMT;
static enum log_level log_level = LOG_INFO;

void log_open(const char *component, enum log_format format, enum log_level level) {
  log_component = component;
  log_format = format;
  log_level = level;
}

/* A line in the making; what does not fit is left out, and the line still ends properly. */
struct line {
  size_t length;
  char text[LOG_LINE_BYTES_MAX];
};
#define LINE_END_BYTES 4

static void put(struct line *line, const char *text, size_t bytes) {
  if (bytes <= sizeof line->text - LINE_END_BYTES - line->length) {
    memcpy(line->text + line->length, text, bytes);
    line->length += bytes;
  }
}

static void put_text(struct line *line, const char *text) { put(line, text, strlen(text)); }

/* One character of a quoted value; returns the bytes it took of the value. Bytes that are not UTF-8
 * become U+FFFD, control characters are escaped: a log is read in terminals. */
static size_t put_character(struct line *line, const char *at, size_t bytes) {
  utf8proc_int32_t point = 0;
  utf8proc_ssize_t took = utf8proc_iterate((const utf8proc_uint8_t *)at, (ptrdiff_t)bytes, &point);
  if (took <= 0) {
    put_text(line, "\\ufffd");
    return 1;
  }
  bool control = point < 0x20 || (point >= 0x7f && point < 0xa0);
  if (control) {
    char escape[8];
    snprintf(escape, sizeof escape, "\\u%04x", (unsigned)point);
    put_text(line, escape);
  } else if (point == '"' || point == '\\') {
    char escape[2] = {'\\', (char)point};
    put(line, escape, sizeof escape);
  } else {
    put(line, at, (size_t)took);
  }
  return (size_t)took;
}

static void put_quoted(struct line *line, const char *value, size_t bytes) {
  put_text(line, "\"");
  for (size_t i = 0; i < bytes;) {
    i += put_character(line, value + i, bytes - i);
  }
  put_text(line, "\"");
}

/* A word that no reader can mistake for more than one value. */
static bool plain(const char *value, size_t bytes) {
  for (size_t i = 0; i < bytes; i++) {
    unsigned char c = (unsigned char)value[i];
    if (c <= ' ' || c >= 0x7f || c == '"' || c == '=' || c == '\\') {
      return false;
    }
  }
  return bytes > 0;
}

/* A value as it will stand in the line. */
struct value {
  const char *text;
  size_t bytes;
  bool number; /* in JSON without quotes */
  char room[LOG_VALUE_BYTES_MAX];
};

static size_t shorter(size_t bytes) {
  return bytes < LOG_VALUE_BYTES_MAX ? bytes : LOG_VALUE_BYTES_MAX - 1;
}

static void render_text(struct value *value, const struct log_pair *pair) {
  value->text = pair->value.text != NULL ? pair->value.text : "";
  value->bytes = shorter(strlen(value->text));
}

static void render_number(struct value *value, const struct log_pair *pair) {
  value->number = true;
  value->bytes = (size_t)snprintf(value->room, sizeof value->room, "%" PRId64, pair->value.number);
}

static void render_count(struct value *value, const struct log_pair *pair) {
  value->number = true;
  value->bytes = (size_t)snprintf(value->room, sizeof value->room, "%" PRIu64, pair->value.count);
}

static void render_real(struct value *value, const struct log_pair *pair) {
  value->number = isfinite(pair->value.real);
  int bytes = snprintf(value->room, sizeof value->room, "%.*f", pair->decimals, pair->value.real);
  value->bytes = shorter((size_t)bytes);
}

static void put_pair(struct line *line, const struct log_pair *pair) {
  static void (*const render[])(struct value * value, const struct log_pair *pair) = {
      [LOG_KIND_TEXT] = render_text,
      [LOG_KIND_NUMBER] = render_number,
      [LOG_KIND_COUNT] = render_count,
      [LOG_KIND_REAL] = render_real,
  };
  struct value value;
  value.text = value.room;
  value.number = false;
  render[pair->kind](&value, pair);
  bool json = log_format == LOG_JSON;
  put_text(line, json ? (line->length == 1 ? "\"" : ",\"") : (line->length == 0 ? "" : " "));
  put_text(line, pair->key);
  put_text(line, json ? "\":" : "=");
  bool bare = json ? value.number : plain(value.text, value.bytes);
  if (bare) {
    put(line, value.text, value.bytes);
  } else {
    put_quoted(line, value.text, value.bytes);
  }
}

static void line_open(struct line *line, enum log_level level) {
  static const char *const levels[] = {
      [LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARNING] = "warning", [LOG_ERROR] = "error"};
  char now[CLOCK_TEXT_MAX];
  clock_text(clock_wall_ms(), now);
  line->length = 0;
  put_text(line, log_format == LOG_JSON ? "{" : "");
  put_pair(line, &(struct log_pair){"ts", LOG_KIND_TEXT, {.text = now}, 0});
  put_pair(line, &(struct log_pair){"level", LOG_KIND_TEXT, {.text = levels[level]}, 0});
  put_pair(line, &(struct log_pair){"component", LOG_KIND_TEXT, {.text = log_component}, 0});
}

/* One write() a line: lines of several threads and processes on one pipe do not mix. */
static void line_write(struct line *line) {
  const char *end = log_format == LOG_JSON ? "}\n" : "\n";
  memcpy(line->text + line->length, end, strlen(end));
  line->length += strlen(end);
  ssize_t written = write(STDERR_FILENO, line->text, line->length);
  (void)written; /* there is nowhere left to complain */
}

static void say(enum log_level level, const struct log_pair *pairs) {
  struct line line;
  line_open(&line, level);
  for (; pairs->key != NULL; pairs++) {
    put_pair(&line, pairs);
  }
  line_write(&line);
}

/* The warnings and errors of one event name in its current second. */
struct cause {
  const char *event; /* NULL: free */
  enum log_level level;
  int64_t second_ms; /* when it began */
  uint64_t lines, left_out;
};

static pthread_mutex_t causes_lock = PTHREAD_MUTEX_INITIALIZER;
static struct cause causes[LOG_CAUSES_MAX];

/* The row of an event; names are literals of the program, so that the table is as large as the
 * source makes it. Of a name too many the lines share the last row. */
static struct cause *cause_of(const char *event) {
  struct cause *cause = causes;
  while (cause < causes + LOG_CAUSES_MAX - 1 && cause->event != NULL &&
         strcmp(cause->event, event) != 0) {
    cause++;
  }
  return cause;
}

/* Begins a new second where the old one is over; returns how many lines the old one left out. */
static uint64_t cause_turn(struct cause *cause, int64_t now_ms) {
  if (cause->lines == 0 || now_ms - cause->second_ms < 1000) {
    return 0;
  }
  uint64_t left_out = cause->left_out;
  *cause = (struct cause){.event = cause->event, .level = cause->level, .second_ms = now_ms};
  return left_out;
}

static void say_left_out(enum log_level level, const char *event, uint64_t lines) {
  say(level, (const struct log_pair[]){log_text("event", "lines_left_out"),
                                       log_text("of", event),
                                       log_count("lines", lines),
                                       {0}});
}

void log_tend(void) {
  int64_t now_ms = clock_ms();
  pthread_mutex_lock(&causes_lock);
  for (struct cause *cause = causes; cause < causes + LOG_CAUSES_MAX && cause->event; cause++) {
    uint64_t left_out = cause_turn(cause, now_ms);
    if (left_out > 0) {
      say_left_out(cause->level, cause->event, left_out);
    }
  }
  pthread_mutex_unlock(&causes_lock);
}

/* Whether the second of this event has room for a line more. */
static bool admitted(enum log_level level, const char *event) {
  int64_t now_ms = clock_ms();
  pthread_mutex_lock(&causes_lock);
  struct cause *cause = cause_of(event);
  if (cause->lines == 0) {
    *cause = (struct cause){.event = event, .second_ms = now_ms};
  }
  cause->level = level;
  cause->lines++;
  bool room = cause->lines <= LOG_LINES_PER_SECOND_MAX;
  cause->left_out += room ? 0 : 1;
  pthread_mutex_unlock(&causes_lock);
  return room;
}

void log_write(enum log_level level, const struct log_pair *pairs) {
  if (level < log_level) {
    return;
  }
  log_tend();
  if (level < LOG_WARNING || admitted(level, pairs[0].value.text)) {
    say(level, pairs);
  }
}
