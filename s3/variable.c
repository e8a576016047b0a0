/* variable.c - the environment, and what fits. */
#include "s3/variable.h"

#include <stdio.h>
#include <stdlib.h>

const char *s3_variable(const char *name, const char *otherwise) {
  const char *value = getenv(name);
  return value != NULL && value[0] != '\0' ? value : otherwise;
}

enum status s3_copy(char *to, size_t room, const char *what, const char *value) {
  int length = snprintf(to, room, "%s", value);
  return length < (int)room
             ? OK
             : fail_field(BAD_INPUT, "store", "store: %s is longer than %zu bytes", what, room - 1);
}
