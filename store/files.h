/* files.h - files that are whole or absent: written beside their place, synced, renamed; for spool
 * and file store. */
#ifndef DARKROOM_STORE_FILES_H
#define DARKROOM_STORE_FILES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

#define FILE_PATH_MAX 4096

/* Writes the whole content to path through a temporary name in the same folder; file and folder are
 * synced before it returns OK, so a power cut leaves the old state or the new one. EXHAUSTED: no
 * room, or mounted read-only now. BAD_INPUT: the path cannot be written (permission, a file where a
 * folder should be). UNAVAILABLE: an I/O error, try later. A folder whose file system cannot sync
 * folders is used all the same, and a warning says so once. */
enum status file_write(const char *path, const void *data, size_t bytes);

/* Makes every missing folder above the last '/' of path. Outcomes as file_write. */
enum status file_make_folders(const char *path);

/* Removes a file; one that is not there is fine. */
enum status file_remove(const char *path);

/* Removes a folder with the plain files in it (one level). Not there is fine. */
enum status file_remove_folder(const char *path);

/* Joins "folder/name" into text of FILE_PATH_MAX bytes; BAD_INPUT when it does not fit. */
enum status file_join(char *text, const char *folder, const char *name);

bool file_exists(const char *path);

#endif
