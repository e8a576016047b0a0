/* roles.h - what the holder of a key may do; a set of bits. Which verb needs which: verbs.def. */
#ifndef DARKROOM_PROTO_ROLES_H
#define DARKROOM_PROTO_ROLES_H

#include <stddef.h>

#include "base/status.h"

enum role {
  ROLE_NONE = 0,
  ROLE_SUBMIT = 1,  /* jobs of its own tenant: submit, follow, cancel */
  ROLE_WORK = 2,    /* is a worker: takes jobs of every tenant */
  ROLE_OPERATE = 4, /* sees and moves the jobs of every tenant, sees the fleet */
  ROLE_METRICS = 8, /* sees how the fleet is, and no job */
};
#define ROLES_ALL (ROLE_SUBMIT | ROLE_WORK | ROLE_OPERATE | ROLE_METRICS)
#define ROLES_TEXT_BYTES 40 /* all of them, with separators and NUL */

/* "submit,operate" -> the set. BAD_INPUT: an unknown word or none at all. text is written to. */
enum status roles_parse(char *text, unsigned *roles);
/* The words of a set with the separator between them; text holds ROLES_TEXT_BYTES. Gives text. */
const char *roles_text(unsigned roles, const char *separator, char *text);

#endif
