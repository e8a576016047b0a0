/* completion.h - what a shell needs to complete the client's words, made of the tables. */
#ifndef DARKROOM_CLI_COMPLETION_H
#define DARKROOM_CLI_COMPLETION_H

#include "base/bytes.h"
#include "base/status.h"
#include "cli/verbs.h"

/* The index-th row of a table of commands, NULL past its end: cli_verb. Handed in, because the
 * table has a row that comes here. */
typedef const struct cli_verb *(*verb_at)(size_t index);

/* Appends a bash script that completes commands, the settings of each, the words of a choice, and
 * files where a setting names one. */
enum status completion_bash(verb_at verb_of, struct bytes *script);

#endif
