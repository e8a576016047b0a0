/* prompt.c - Unicode work by utf8proc. */
#include "worker/model/prompt.h"

#include <stdlib.h>
#include <utf8proc.h>

/* Unicode's White_Space property: its list is short and has not changed since 2013. */
static bool is_space(utf8proc_int32_t c) {
  return (c >= 0x09 && c <= 0x0d) || c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
         c == 0x3000;
}

static enum status append_character(struct bytes *out, utf8proc_int32_t c) {
  utf8proc_uint8_t text[4];
  return bytes_append(out, text, (size_t)utf8proc_encode_char(c, text));
}

/* One letter's lower case is one letter, with a single exception in all of Unicode: the dotted
 * capital I becomes i and a combining dot. */
static enum status append_lower(struct bytes *out, utf8proc_int32_t c) {
  if (c == 0x130) {
    TRY(append_character(out, 'i'));
    return append_character(out, 0x307);
  }
  return append_character(out, utf8proc_tolower(c));
}

static enum status append_all(struct bytes *out, const utf8proc_uint8_t *text) {
  bool after_space = false;
  while (*text != '\0') {
    utf8proc_int32_t c = 0;
    text += utf8proc_iterate(text, -1, &c);
    if (!is_space(c)) {
      TRY(append_lower(out, c));
    } else if (!after_space) {
      TRY(append_character(out, ' '));
    }
    after_space = is_space(c);
  }
  return OK;
}

enum status prompt_clean(const char *prompt, struct bytes *out) {
  utf8proc_uint8_t *composed = NULL;
  utf8proc_ssize_t length = utf8proc_map((const utf8proc_uint8_t *)prompt, 0, &composed,
                                         UTF8PROC_NULLTERM | UTF8PROC_STABLE | UTF8PROC_COMPOSE);
  if (length == UTF8PROC_ERROR_NOMEM) {
    return fail(EXHAUSTED, "no memory for a prompt");
  }
  if (length < 0) {
    return fail_field(BAD_INPUT, "prompt", "the prompt is not UTF-8");
  }
  enum status status = append_all(out, composed);
  free(composed);
  return status;
}
