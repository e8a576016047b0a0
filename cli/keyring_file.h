/* keyring_file.h - a keyring's file while it is changed: locked, edited by lines, written whole. */
#ifndef DARKROOM_CLI_KEYRING_FILE_H
#define DARKROOM_CLI_KEYRING_FILE_H

#include "base/bytes.h"
#include "base/status.h"
#include "proto/keyring.h"

struct keyring_file {
  const char *path;
  int lock;            /* of the file beside it; -1: none */
  struct bytes text;   /* as it was read */
  struct keyring rows; /* what it says, by key */
};

/* Waits for whoever changes it now. A file that is not there is an empty one. BAD_INPUT: it is no
 * keyring, and the reason says where. */
enum status keyring_file_open(const char *path, struct keyring_file *out);
void keyring_file_close(struct keyring_file *file);

/* Writes the file anew: every line but the rows of the name `without` (NULL: none), and `added`
 * behind them. What results is read as a broker would
 * first: nothing is written that it would refuse. */
enum status keyring_file_write(const struct keyring_file *file, const char *without,
                               const struct keyring_row *added, size_t count);

/* The rows of a name: how many, 0 to 2, into found. */
size_t keyring_file_find(const struct keyring_file *file, const char *name,
                         const struct keyring_row *found[2]);

#endif
