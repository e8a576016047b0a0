/* prompt.c - reads no more than is needed to see that a prompt is too long. */
#include "cli/prompt.h"

#include <errno.h>
#include <string.h>

#include "base/limits.h"

#define FIELD DARKROOM__V1__ERROR_CODE__ERROR_FIELD
enum { LINE_END_BYTES = 2, READ_BYTES_MAX = JOB_PROMPT_BYTES_MAX + LINE_END_BYTES + 1 };

static size_t without_line_end(const char *text, size_t length) {
  if (length > 0 && text[length - 1] == '\n') {
    length--;
    length -= length > 0 && text[length - 1] == '\r';
  }
  return length;
}

enum status prompt_take(const char *argument, FILE *in, struct arena *arena, const char **prompt,
                        struct refusal *why) {
  if (strcmp(argument, "-") != 0) {
    *prompt = argument;
    return OK;
  }
  char *text = arena_take(arena, READ_BYTES_MAX + 1);
  if (text == NULL) {
    return EXHAUSTED;
  }
  size_t length = fread(text, 1, READ_BYTES_MAX, in);
  if (ferror(in)) {
    return refuse(why, FIELD, "prompt", NULL, "stdin cannot be read: %s", strerror(errno));
  }
  if (memchr(text, '\0', length) != NULL) {
    return refuse(why, FIELD, "prompt", "text", "the prompt on stdin holds a NUL byte");
  }
  text[without_line_end(text, length)] = '\0';
  *prompt = text;
  return OK;
}
