/* notes.c - lines in a list. */
#include "worker/engine/notes.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

void note(struct notes *notes, const char *format, ...) {
  if (notes->count == JOB_WARNINGS_MAX) {
    return;
  }
  char *line = notes->text[notes->count];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(line, JOB_WARNING_BYTES_MAX, format, arguments);
  va_end(arguments);
  text_clean(line);
  for (int i = 0; i < notes->count; i++) {
    if (strcmp(notes->text[i], line) == 0) {
      return;
    }
  }
  notes->count++;
}
