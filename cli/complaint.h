/* complaint.h - what went wrong, said on stderr, and the exit code for it. */
#ifndef DARKROOM_CLI_COMPLAINT_H
#define DARKROOM_CLI_COMPLAINT_H

#include <stddef.h>

#include "base/exit_code.h"
#include "base/status.h"
#include "proto/refusal.h"

/* What the client leaves with, for --help: ascending, each code once. */
extern const struct exit_row complaint_exits[];
extern const size_t complaint_exit_count;

/* The code for a broker's refusal. */
enum exit_code exit_code_of(Darkroom__V1__ErrorCode code);

/* Says on stderr why the call failed, and gives the code for its outcome. */
enum exit_code complain(enum status status);

/* The same for a call that may have been refused: then with the code's name, the field and its
 * limit. */
enum exit_code complain_refused(enum status status, const struct refusal *why);

#endif
