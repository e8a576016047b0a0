/* redis_error.h - what an error reply of Redis means: a table from its first words to a class, and
 * what is done about each class.
 */
#ifndef DARKROOM_BROKER_REDIS_ERROR_H
#define DARKROOM_BROKER_REDIS_ERROR_H

#include <stdbool.h>

#include "base/status.h"

enum redis_error_class {
  REDIS_WRONG_SERVER, /* it takes no writes because another one does, or should */
  REDIS_BUSY,         /* it will take them in a while */
  REDIS_FULL,         /* no memory: what fills the queue is refused, what works it off is not */
  REDIS_UNSAVED,      /* its disk does not take what it should keep */
  REDIS_FORBIDDEN,    /* this user may not do it */
  REDIS_SCRIPT_GONE,  /* it has forgotten a script: sent again with its source */
  REDIS_OURS,         /* everything else: a script of ours, or what it found, is wrong */
  REDIS_ERROR_CLASSES,
};

struct redis_error {
  enum redis_error_class class;
  /* The connection is of no use any more: it is closed, the name resolved and connected to anew. */
  bool anew;
};

/* text: of an error reply, "READONLY You can't write against a read only replica." */
struct redis_error redis_error_read(const char *text);

/* What follows from a class. */
struct redis_error_class_row {
  const char *name;    /* in logs, metrics and messages: "wrong_server" */
  const char *words;   /* what peers are told, before Redis's own words */
  enum status status;  /* what a call returns that met it */
  bool final_at_start; /* a broker that meets it while it starts leaves; otherwise it waits */
};
const struct redis_error_class_row *redis_error_class(enum redis_error_class class);

#endif
