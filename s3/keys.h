/* keys.h - the keys that requests are signed with: from the environment, or from a file that may
 * change.
 *
 * AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN) where both are set: they are
 * what they are as long as the process lives. Else the profile AWS_PROFILE ("default") of
 * AWS_SHARED_CREDENTIALS_FILE (~/.aws/credentials), which is read again when it has changed and
 * when a store refuses what it said: that is how keys that expire are renewed.
 */
#ifndef DARKROOM_S3_KEYS_H
#define DARKROOM_S3_KEYS_H

#include <stdbool.h>
#include <sys/types.h>
#include <time.h>

#include "base/status.h"

#define S3_KEYS_FILE_BYTES_MAX ((size_t)256 * 1024)

struct s3_keys {
  char access_key[256];
  char secret_key[256];
  char session_token[4096]; /* "" when not temporary */
  char path[4096];          /* of the file they are from; "": from the environment */
  char profile[128];
  /* the file as it was when it was read last */
  struct timespec changed;
  ino_t inode;
  off_t bytes;
};

/* BAD_INPUT, with field "store", says what is missing and where it was looked for. */
enum status s3_keys_read(struct s3_keys *out);

/* Reads the file again: always when refused, else if it looks different. True when the keys are
 * others than before. A file that cannot be read, or is only half written, changes nothing. */
bool s3_keys_refresh(struct s3_keys *keys, bool refused);

#endif
