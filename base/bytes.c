/* bytes.c - doubling growth up to the maximum. */
#include "base/bytes.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void bytes_open(struct bytes *bytes, size_t max) { *bytes = (struct bytes){.max = max}; }

void bytes_close(struct bytes *bytes) {
  free(bytes->data);
  *bytes = (struct bytes){.max = bytes->max};
}

void bytes_clear(struct bytes *bytes) {
  bytes->length = 0;
  if (bytes->data != NULL) {
    bytes->data[0] = '\0';
  }
}

enum status bytes_reserve(struct bytes *bytes, size_t length, uint8_t **room) {
  if (length > bytes->max - bytes->length) {
    return fail(EXHAUSTED, "buffer full: %zu more bytes wanted, %zu of %zu in use", length,
                bytes->length, bytes->max);
  }
  size_t need = bytes->length + length + 1;
  if (need > bytes->capacity) {
    size_t capacity = bytes->capacity < 128 ? 256 : bytes->capacity * 2;
    capacity = capacity < need ? need : capacity;
    uint8_t *data = realloc(bytes->data, capacity);
    if (data == NULL) {
      return fail(EXHAUSTED, "no memory for a buffer of %zu bytes", capacity);
    }
    bytes->data = data;
    bytes->capacity = capacity;
  }
  *room = bytes->data + bytes->length;
  return OK;
}

enum status bytes_append(struct bytes *bytes, const void *data, size_t length) {
  uint8_t *room = NULL;
  TRY(bytes_reserve(bytes, length, &room));
  if (length > 0) {
    memcpy(room, data, length);
  }
  bytes->length += length;
  bytes->data[bytes->length] = '\0';
  return OK;
}

enum status bytes_append_text(struct bytes *bytes, const char *text) {
  return bytes_append(bytes, text, strlen(text));
}

enum status bytes_printf(struct bytes *bytes, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  va_list again;
  va_copy(again, arguments);
  int length = vsnprintf(NULL, 0, format, arguments);
  va_end(arguments);
  uint8_t *room = NULL;
  enum status status =
      length < 0 ? fail(BAD_INPUT, "bad format") : bytes_reserve(bytes, (size_t)length, &room);
  if (status == OK) {
    vsnprintf((char *)room, (size_t)length + 1, format, again);
    bytes->length += (size_t)length;
  }
  va_end(again);
  return status;
}

static enum status read_all(struct bytes *bytes, FILE *file, const char *path) {
  for (;;) {
    size_t step = bytes->max - bytes->length;
    if (step == 0) {
      return fgetc(file) == EOF ? OK
                                : fail(BAD_INPUT, "%s is larger than %zu bytes", path, bytes->max);
    }
    step = step > 65536 ? 65536 : step;
    uint8_t *room = NULL;
    TRY(bytes_reserve(bytes, step, &room));
    size_t got = fread(room, 1, step, file);
    bytes->length += got;
    bytes->data[bytes->length] = '\0';
    if (got < step) {
      return ferror(file) ? fail(UNAVAILABLE, "cannot read %s: %s", path, strerror(errno)) : OK;
    }
  }
}

enum status bytes_read_file(struct bytes *bytes, const char *path) {
  FILE *file = fopen(path, "rbe");
  if (file == NULL) {
    return fail(UNAVAILABLE, "cannot open %s: %s", path, strerror(errno));
  }
  bytes_clear(bytes);
  enum status status = read_all(bytes, file, path);
  fclose(file);
  return status;
}

/* Windows' editors begin a text with a mark, which no parser behind us expects. */
static void drop_mark(struct bytes *bytes) {
  static const uint8_t mark[] = {0xef, 0xbb, 0xbf};
  if (bytes->length >= sizeof mark && memcmp(bytes->data, mark, sizeof mark) == 0) {
    bytes->length -= sizeof mark;
    memmove(bytes->data, bytes->data + sizeof mark, bytes->length + 1); /* and the NUL */
  }
}

enum status bytes_read_text_file(struct bytes *bytes, const char *path) {
  TRY(bytes_read_file(bytes, path));
  drop_mark(bytes);
  bool wide = bytes->length >= 2 &&
              (memcmp(bytes->data, "\xff\xfe", 2) == 0 || memcmp(bytes->data, "\xfe\xff", 2) == 0);
  if (wide) {
    return fail(BAD_INPUT, "%s is UTF-16; UTF-8 is needed", path);
  }
  if (bytes->length > 0 && memchr(bytes->data, '\0', bytes->length) != NULL) {
    return fail(BAD_INPUT, "%s is no text: there is a zero byte in it", path);
  }
  return OK;
}

const char *bytes_text(const struct bytes *bytes) {
  return bytes->data == NULL ? "" : (const char *)bytes->data;
}
