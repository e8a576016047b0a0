/* variable.h - settings of S3 from the environment, kept in places of stated size. Private to this
 * folder. */
#ifndef DARKROOM_S3_VARIABLE_H
#define DARKROOM_S3_VARIABLE_H

#include <stddef.h>

#include "base/status.h"

/* The variable's value, or `otherwise` when it is not set or empty. Borrowed. */
const char *s3_variable(const char *name, const char *otherwise);
/* Copies value whole; BAD_INPUT (field "store") says which setting, `what`, is too long. */
enum status s3_copy(char *to, size_t room, const char *what, const char *value);

#endif
