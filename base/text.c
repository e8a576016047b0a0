/* text.c - white space as the C locale knows it, which is the only one we run in. */
#include "base/text.h"

#include <ctype.h>
#include <string.h>

char *text_trim(char *text) {
  while (isspace((unsigned char)*text)) {
    text++;
  }
  size_t bytes = strlen(text);
  while (bytes > 0 && isspace((unsigned char)text[bytes - 1])) {
    text[--bytes] = '\0';
  }
  return text;
}

enum status text_split(const char *setting, char *list, size_t max, const char **item,
                       size_t *count) {
  size_t found = 0;
  while (list != NULL) {
    char *one = text_trim(strsep(&list, ","));
    if (one[0] == '\0') {
      return fail_field(BAD_INPUT, setting, "--%s: an empty entry", setting);
    }
    if (found == max) {
      return fail_field(BAD_INPUT, setting, "--%s: more than %zu entries", setting, max);
    }
    item[found++] = one;
  }
  *count = found;
  return OK;
}

void text_hex(const uint8_t *bytes, size_t count, char *text) {
  static const char digits[] = "0123456789abcdef";
  for (size_t i = 0; i < count; i++) {
    text[2 * i] = digits[bytes[i] >> 4];
    text[2 * i + 1] = digits[bytes[i] & 15];
  }
  text[2 * count] = '\0';
}
