/* log.c - renders "key=conversion" pairs one by one, so that no value can run into the next. */
#include "monitoring/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <utf8proc.h>

#include "base/clock.h"

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

struct pair {
  const char *key;
  size_t key_bytes;
  char value[LOG_VALUE_BYTES_MAX];
  size_t value_bytes;
  bool number; /* in JSON without quotes */
};

static void put_pair(struct line *line, const struct pair *pair) {
  bool json = log_format == LOG_JSON;
  put_text(line, json ? (line->length == 1 ? "\"" : ",\"") : (line->length == 0 ? "" : " "));
  put(line, pair->key, pair->key_bytes);
  put_text(line, json ? "\":" : "=");
  bool bare = json ? pair->number : plain(pair->value, pair->value_bytes);
  if (bare) {
    put(line, pair->value, pair->value_bytes);
  } else {
    put_quoted(line, pair->value, pair->value_bytes);
  }
}

static void put_named(struct line *line, const char *key, const char *value) {
  struct pair pair = {.key = key, .key_bytes = strlen(key)};
  int bytes = snprintf(pair.value, sizeof pair.value, "%s", value);
  pair.value_bytes = (size_t)bytes < sizeof pair.value ? (size_t)bytes : sizeof pair.value - 1;
  put_pair(line, &pair);
}

/* The format being read, and the arguments that are left. */
struct reader {
  const char *at;
  va_list arguments;
};

/* One conversion such as "%-5.3lld" or "%.*s". */
struct conversion {
  char text[24]; /* with '%', without letter and length */
  char letter;
  bool wide; /* long, size_t and their kin, all as wide as long long here; otherwise int */
  int stars;
  int star[2];
};

static struct conversion conversion_read(struct reader *reader) {
  struct conversion found = {.text = "%"};
  size_t length = 1;
  reader->at++;
  while (*reader->at != '\0' && length + 4 < sizeof found.text) {
    char c = *reader->at++;
    if (strchr("lzjt", c) != NULL) {
      found.wide = true;
    } else if (strchr("-+ #0123456789.*", c) != NULL) {
      found.text[length++] = c;
      if (c == '*' && found.stars < 2) {
        found.star[found.stars++] = va_arg(reader->arguments, int);
      }
    } else if (c != 'h') {
      found.letter = c;
      break;
    }
  }
  return found;
}

/* snprintf with as many stars as the conversion has; the value is evaluated once. */
#define PRINT(value)                                                   \
  (c->stars == 0   ? snprintf(out, size, c->text, (value))             \
   : c->stars == 1 ? snprintf(out, size, c->text, c->star[0], (value)) \
                   : snprintf(out, size, c->text, c->star[0], c->star[1], (value)))

static void complete(struct conversion *c, const char *length) {
  char letter[2] = {c->letter, '\0'};
  size_t used = strlen(c->text);
  snprintf(c->text + used, sizeof c->text - used, "%s%s", length, letter);
}

_Static_assert(sizeof(long) == sizeof(long long) && sizeof(size_t) == sizeof(long long),
               "one kind of wide integer");

static long long integer_read(const struct conversion *c, struct reader *reader) {
  if (c->wide) {
    return va_arg(reader->arguments, long long);
  }
  int narrow = va_arg(reader->arguments, int);
  bool is_signed = c->letter == 'd' || c->letter == 'i';
  return is_signed ? narrow : (long long)(unsigned)narrow;
}

/* Every integer is printed as a long long: only when it is read do their sizes differ. */
static int print_integer(struct conversion *c, struct reader *reader, char *out, size_t size) {
  long long value = integer_read(c, reader);
  complete(c, "ll");
  return PRINT(value);
}

static int print_text(struct conversion *c, struct reader *reader, char *out, size_t size) {
  const char *text = va_arg(reader->arguments, const char *);
  complete(c, "");
  return PRINT(text != NULL ? text : "");
}

/* -1 for a conversion that is not offered: its argument's size is unknown, so the rest of the line
 * is lost. */
static int conversion_print(struct conversion *c, struct reader *reader, char *out, size_t size) {
  switch (c->letter) {
    case 'd':
    case 'i':
    case 'u':
    case 'x':
    case 'X':
      return print_integer(c, reader, out, size);
    case 'c':
      return snprintf(out, size, "%c", va_arg(reader->arguments, int));
    case 'f':
    case 'F':
    case 'g':
    case 'G':
    case 'e':
      complete(c, "");
      return PRINT(va_arg(reader->arguments, double));
    case 's':
      return print_text(c, reader, out, size);
    case '%':
      return snprintf(out, size, "%%");
    default:
      return -1;
  }
}

static void value_append(struct pair *pair, const char *text, size_t bytes) {
  size_t room = sizeof pair->value - 1 - pair->value_bytes;
  size_t taken = bytes < room ? bytes : room;
  memcpy(pair->value + pair->value_bytes, text, taken);
  pair->value_bytes += taken;
}

/* JSON has no "nan", "inf", "007" or "+1"; whatever is not plainly a number is quoted. */
static bool looks_like_number(const struct pair *pair) {
  const char *value = pair->value[0] == '-' ? pair->value + 1 : pair->value;
  size_t digits = strspn(value, "0123456789");
  bool leading_zero = digits > 1 && value[0] == '0';
  return digits > 0 && !leading_zero && strspn(value, "0123456789.e+-") == strlen(value);
}

/* Reads and renders the next "key=value" of the format; false at its end. */
static bool pair_read(struct reader *reader, struct pair *pair) {
  reader->at += strspn(reader->at, " ");
  pair->key = reader->at;
  pair->key_bytes = strcspn(reader->at, "= ");
  pair->value_bytes = 0;
  int conversions = 0;
  bool quoted = false;
  reader->at += pair->key_bytes + (reader->at[pair->key_bytes] == '=');
  while (*reader->at != '\0' && *reader->at != ' ') {
    if (*reader->at != '%') {
      value_append(pair, reader->at++, 1);
      quoted = true;
      continue;
    }
    char text[LOG_VALUE_BYTES_MAX];
    struct conversion conversion = conversion_read(reader);
    int bytes = conversion_print(&conversion, reader, text, sizeof text);
    if (bytes < 0) {
      reader->at = "";
      break;
    }
    value_append(pair, text, (size_t)bytes < sizeof text ? (size_t)bytes : sizeof text - 1);
    conversions++;
    quoted = quoted || strchr("diufFgGe", conversion.letter) == NULL;
  }
  pair->value[pair->value_bytes] = '\0';
  pair->number = conversions == 1 && !quoted && looks_like_number(pair);
  return pair->key_bytes > 0;
}

static void line_open(struct line *line, enum log_level level, const char *event) {
  static const char *const levels[] = {
      [LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARNING] = "warning", [LOG_ERROR] = "error"};
  char now[CLOCK_TEXT_MAX];
  clock_text(clock_wall_ms(), now);
  line->length = 0;
  put_text(line, log_format == LOG_JSON ? "{" : "");
  put_named(line, "ts", now);
  put_named(line, "level", levels[level]);
  put_named(line, "component", log_component);
  put_named(line, "event", event);
}

/* One write() a line: lines of several threads and processes on one pipe do not mix. */
static void line_write(struct line *line) {
  const char *end = log_format == LOG_JSON ? "}\n" : "\n";
  memcpy(line->text + line->length, end, strlen(end));
  line->length += strlen(end);
  ssize_t written = write(STDERR_FILENO, line->text, line->length);
  (void)written; /* there is nowhere left to complain */
}

static void write_event(enum log_level level, const char *event, const char *format,
                        va_list arguments) {
  if (level < log_level) {
    return;
  }
  struct line line;
  struct pair pair;
  struct reader reader = {.at = format != NULL ? format : ""};
  line_open(&line, level, event);
  va_copy(reader.arguments, arguments);
  while (pair_read(&reader, &pair)) {
    put_pair(&line, &pair);
  }
  va_end(reader.arguments);
  line_write(&line);
}

#define WRITE_EVENT(level)                      \
  va_list arguments;                            \
  va_start(arguments, format);                  \
  write_event(level, event, format, arguments); \
  va_end(arguments)

void log_event(const char *event, const char *format, ...) { WRITE_EVENT(LOG_INFO); }
void log_debug(const char *event, const char *format, ...) { WRITE_EVENT(LOG_DEBUG); }
void log_warning(const char *event, const char *format, ...) { WRITE_EVENT(LOG_WARNING); }
void log_error(const char *event, const char *format, ...) { WRITE_EVENT(LOG_ERROR); }
