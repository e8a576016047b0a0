/* roles.c - roles and their words. */
#include "proto/roles.h"

#include <stdio.h>
#include <string.h>

static const struct word {
  unsigned role;
  const char *name;
} words[] = {{ROLE_SUBMIT, "submit"},
             {ROLE_WORK, "work"},
             {ROLE_OPERATE, "operate"},
             {ROLE_METRICS, "metrics"}};
enum { WORDS = sizeof words / sizeof words[0] };

enum status roles_parse(char *text, unsigned *roles) {
  unsigned set = ROLE_NONE;
  for (char *one; (one = strsep(&text, ",")) != NULL;) {
    unsigned found = ROLE_NONE;
    for (size_t i = 0; i < WORDS; i++) {
      found |= strcmp(words[i].name, one) == 0 ? words[i].role : ROLE_NONE;
    }
    if (found == ROLE_NONE) {
      return fail(BAD_INPUT, "\"%.16s\" is no role: submit, work, operate, metrics", one);
    }
    set |= found;
  }
  *roles = set;
  return OK;
}

const char *roles_text(unsigned roles, const char *separator, char *text) {
  size_t used = 0;
  text[0] = '\0';
  for (size_t i = 0; i < WORDS; i++) {
    if ((roles & words[i].role) != 0 && used < ROLES_TEXT_BYTES) {
      used += (size_t)snprintf(text + used, ROLES_TEXT_BYTES - used, "%s%s",
                               used > 0 ? separator : "", words[i].name);
    }
  }
  return text;
}
