/* completion.h - what a shell needs to complete the client's words, made of the tables. */
#ifndef DARKROOM_CLI_COMPLETION_H
#define DARKROOM_CLI_COMPLETION_H

#include "base/bytes.h"
#include "base/status.h"

/* Appends a bash script that completes commands, the settings of each, the words of a choice, and
 * files where a setting names one. */
enum status completion_bash(struct bytes *script);

#endif
