/* url.c - what is escaped is decoded, once. */
#include "store/url.h"

#include <limits.h>
#include <stdbool.h>
#include <string.h>

#define FILE_SCHEME "file://"

static int hex_digit(char c) {
  const char *digits = "0123456789abcdef";
  const char *at = c != '\0' ? strchr(digits, c | 0x20) : NULL;
  return at != NULL ? (int)(at - digits) : -1;
}

/* file:///a%20b or file://localhost/a */
enum status url_path(const char *url, char *path) {
  const char *at = url != NULL && strncmp(url, FILE_SCHEME, strlen(FILE_SCHEME)) == 0
                       ? url + strlen(FILE_SCHEME)
                       : "";
  at += strncmp(at, "localhost/", 10) == 0 ? strlen("localhost") : 0;
  size_t length = 0;
  while (at[0] != '\0' && length < PATH_MAX - 1) {
    bool escaped = at[0] == '%' && hex_digit(at[1]) >= 0 && hex_digit(at[2]) >= 0;
    path[length++] = escaped ? (char)(hex_digit(at[1]) * 16 + hex_digit(at[2])) : at[0];
    at += escaped ? 3 : 1;
  }
  path[length] = '\0';
  return path[0] == '/' && at[0] == '\0' && strlen(path) == length
             ? OK
             : fail(BAD_INPUT, "not the URL of a local file");
}
