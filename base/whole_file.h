/* whole_file.h - a small file written whole or not at all. */
#ifndef DARKROOM_BASE_WHOLE_FILE_H
#define DARKROOM_BASE_WHOLE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/status.h"

/* Puts length bytes at path: into a new file beside it, onto the disk, then under the name, so that
 * whoever reads it finds the old content or the new one. The mode is the file's from its first
 * byte on, whatever the umask says; its owner is that of the old file, where that is allowed.
 * replace false: BAD_INPUT when something has the name already.
 * UNAVAILABLE: it cannot be written; nothing is left behind. */
enum status whole_file_write(const char *path, const void *data, size_t length, mode_t mode,
                             bool replace);

#endif
