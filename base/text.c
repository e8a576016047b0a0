/* text.c - white space as the C locale knows it, which is the only one we run in. */
#include "base/text.h"

#include <ctype.h>
#include <stdbool.h>
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

/* First bytes of characters: how many bytes follow, and from where to where the first of them goes
 * (RFC 3629, 4). C2 80 to C2 9F are control characters. */
static const struct lead {
  unsigned char first, last, least, most;
  int following;
} leads[] = {{0x20, 0x7e, 0, 0, 0},       {0xc2, 0xc2, 0xa0, 0xbf, 1}, {0xc3, 0xdf, 0x80, 0xbf, 1},
             {0xe0, 0xe0, 0xa0, 0xbf, 2}, {0xe1, 0xec, 0x80, 0xbf, 2}, {0xed, 0xed, 0x80, 0x9f, 2},
             {0xee, 0xef, 0x80, 0xbf, 2}, {0xf0, 0xf0, 0x90, 0xbf, 3}, {0xf1, 0xf3, 0x80, 0xbf, 3},
             {0xf4, 0xf4, 0x80, 0x8f, 3}};

/* Bytes of the character that begins there; 0: none that may stay. */
static int character_bytes(const unsigned char *at) {
  for (size_t i = 0; i < sizeof leads / sizeof *leads; i++) {
    const struct lead *lead = &leads[i];
    if (at[0] < lead->first || at[0] > lead->last) {
      continue;
    }
    bool whole = lead->following == 0 || (at[1] >= lead->least && at[1] <= lead->most);
    for (int k = 2; k <= lead->following && whole; k++) {
      whole = at[k] >= 0x80 && at[k] <= 0xbf;
    }
    return whole ? 1 + lead->following : 0;
  }
  return 0;
}

void text_clean(char *text) {
  while (*text != '\0') {
    int bytes = character_bytes((const unsigned char *)text);
    *text = bytes == 0 ? '?' : *text;
    text += bytes == 0 ? 1 : bytes;
  }
}

void text_hex(const uint8_t *bytes, size_t count, char *text) {
  static const char digits[] = "0123456789abcdef";
  for (size_t i = 0; i < count; i++) {
    text[2 * i] = digits[bytes[i] >> 4];
    text[2 * i + 1] = digits[bytes[i] & 15];
  }
  text[2 * count] = '\0';
}

/* A digit's worth; 16: it is none. */
static unsigned digit_of(char letter) {
  return letter >= '0' && letter <= '9'   ? (unsigned)(letter - '0')
         : letter >= 'a' && letter <= 'f' ? (unsigned)(letter - 'a' + 10)
                                          : 16;
}

bool text_bytes(const char *text, uint8_t *bytes, size_t count) {
  if (text == NULL || strlen(text) != 2 * count) {
    return false;
  }
  for (size_t i = 0; i < 2 * count; i++) {
    if (digit_of(text[i]) > 15) {
      return false;
    }
  }
  for (size_t i = 0; i < count; i++) {
    bytes[i] = (uint8_t)(digit_of(text[2 * i]) << 4 | digit_of(text[2 * i + 1]));
  }
  return true;
}
