/* output.h - files that this program makes for its user: whole or not at all. */
#ifndef DARKROOM_CLI_OUTPUT_H
#define DARKROOM_CLI_OUTPUT_H

#include <stdbool.h>

#include "base/bytes.h"
#include "base/status.h"
#include "cli/complaint.h"

/* Whether output means a folder: it is one, or ends with a slash. */
bool output_is_folder(const char *output);
/* Whether something is there that is no plain file. */
bool output_is_special(const char *path);

/* Whether a file can be made at output, or in it, which is made where it is missing; says what is
 * wrong. */
enum exit_code output_check(const char *output);

/* Writes the whole content to path, in the place of what was there; what is special is written
 * into. EXHAUSTED: it cannot be written, fail_reason() says why. */
enum status output_write(const char *path, const struct bytes *content);
/* The same to what is open already; path is for the reason. */
enum status output_write_all(int to, const char *path, const struct bytes *content);

#endif
