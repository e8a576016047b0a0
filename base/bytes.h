/* bytes.h - a growing byte buffer whose maximum is given at birth. */
#ifndef DARKROOM_BASE_BYTES_H
#define DARKROOM_BASE_BYTES_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* data[0..length) is the content, followed by a NUL that does not count. Borrowed by readers until
 * the next append. */
struct bytes {
  uint8_t *data;
  size_t length;
  size_t capacity;
  size_t max;
};

/* Starts empty; memory is taken at the first append. */
void bytes_open(struct bytes *bytes, size_t max);
/* Frees and empties. */
void bytes_close(struct bytes *bytes);
/* Keeps the memory, forgets the content. */
void bytes_clear(struct bytes *bytes);
/* Appends; EXHAUSTED past the maximum or without memory, content unchanged then. */
enum status bytes_append(struct bytes *bytes, const void *data, size_t length);
enum status bytes_append_text(struct bytes *bytes, const char *text);
enum status bytes_printf(struct bytes *bytes, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Makes room for length more bytes and gives where they go; the caller adds to bytes->length what
 * it wrote. */
enum status bytes_reserve(struct bytes *bytes, size_t length, uint8_t **room);
/* Reads a whole file; BAD_INPUT if it is larger than the maximum, UNAVAILABLE if it cannot be read.
 */
enum status bytes_read_file(struct bytes *bytes, const char *path);
/* The same for a file that people and other tools write: UTF-8's byte order mark at the start is
 * taken off. BAD_INPUT also for UTF-16 and for a zero byte, where a text would seem to end. */
enum status bytes_read_text_file(struct bytes *bytes, const char *path);
/* The content as text. "" when empty. */
const char *bytes_text(const struct bytes *bytes);

#endif
