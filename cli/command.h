/* command.h - the whole client behind main: words in, exit code out. */
#ifndef DARKROOM_CLI_COMMAND_H
#define DARKROOM_CLI_COMMAND_H

#include "cli/complaint.h"

/* Reads the command line and the settings, runs the verb. Says everything itself. */
enum exit_code command_run(int argc, char **argv);

#endif
