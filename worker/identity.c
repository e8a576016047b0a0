/* identity.c - a host's name is no identity: machines are cloned with it, and one host may run
 * several workers. A spool is: only one daemon at a time can lock it, and it outlives the daemon.
 */
#include "worker/identity.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/text.h"
#include "proto/job.h"
#include "store/files.h"
#include "worker/media/spool.h"

enum { TOKEN_RANDOM_BYTES = 16, TOKEN_LETTERS_IN_NAME = 8, HOST_LETTERS_IN_NAME = 48 };

/* The host's name with what a worker's name may not have replaced. */
static void host_name(char *text, size_t room) {
  char host[256] = "";
  gethostname(host, sizeof host - 1);
  snprintf(text, room, "%.*s", HOST_LETTERS_IN_NAME, host[0] != '\0' ? host : "worker");
  for (char *at = text; *at != '\0'; at++) {
    if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-", *at) == NULL) {
      *at = '-';
    }
  }
}

/* ---- the spool ------------------------------------------------------------------------------- */

/* The place in the folder becomes the setting. A name is only needed in a folder that is not this
 * user's alone; the host's serves where the worker's is to follow from the spool. */
static enum status open_in(struct options *options, const char *folder, int *lock) {
  char host[HOST_LETTERS_IN_NAME + 1];
  char place[SPOOL_FOLDER_BYTES_MAX];
  host_name(host, sizeof host);
  TRY(spool_open(folder, options->name != NULL ? options->name : host, place, lock));
  snprintf(options->spool_made, sizeof options->spool_made, "%s", place);
  options->spool = options->spool_made;
  return OK;
}

/* Two workers of one host that name neither spool nor themselves take a folder each, the first that
 * is free: started in the same order they have the same ones again. */
static enum status open_any(struct options *options, int *lock) {
  char host[HOST_LETTERS_IN_NAME + 1];
  host_name(host, sizeof host);
  for (int instance = 1;; instance++) {
    char folder[SPOOL_FOLDER_BYTES_MAX];
    char number[16] = "";
    if (instance > 1) {
      snprintf(number, sizeof number, ".%d", instance);
    }
    snprintf(folder, sizeof folder, "/var/tmp/darkroom-%s%s", host, number);
    enum status status = open_in(options, folder, lock);
    if (status == OK || instance == IDENTITY_INSTANCES_MAX) {
      return status;
    }
  }
}

static enum status open_spool(struct options *options, int *lock) {
  if (options->spool != NULL) {
    return open_in(options, options->spool, lock);
  }
  if (options->name == NULL) {
    return open_any(options, lock);
  }
  char folder[SPOOL_FOLDER_BYTES_MAX];
  snprintf(folder, sizeof folder, "/var/tmp/darkroom-%s", options->name);
  return open_in(options, folder, lock);
}

/* ---- the token ------------------------------------------------------------------------------- */

static enum status make_token(const char *path, char *token) {
  uint8_t random[TOKEN_RANDOM_BYTES];
  if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) {
    return fail(UNAVAILABLE, "no random bytes");
  }
  text_hex(random, sizeof random, token);
  return file_write(path, token, 2 * sizeof random);
}

/* One that cannot be read as a token is made anew: the daemon is then taken for another one, which
 * costs it nothing but the wait until its former self counts as gone. */
static enum status read_token(const char *folder, char token[WORKER_TOKEN_BYTES_MAX + 1]) {
  char path[FILE_PATH_MAX];
  TRY(file_join(path, folder, "identity"));
  struct bytes content;
  bytes_open(&content, WORKER_TOKEN_BYTES_MAX);
  enum status status = file_exists(path) ? bytes_read_file(&content, path) : UNAVAILABLE;
  if (status == OK) {
    snprintf(token, WORKER_TOKEN_BYTES_MAX + 1, "%s", bytes_text(&content));
  }
  bytes_close(&content);
  return status == OK && job_id_valid(token) ? OK : make_token(path, token);
}

enum status identity_take(struct options *options, int *lock, struct identity *out) {
  char host[HOST_LETTERS_IN_NAME + 1];
  struct identity made = {0};
  TRY(open_spool(options, lock));
  TRY(read_token(options->spool, made.token));
  host_name(host, sizeof host);
  snprintf(made.host, sizeof made.host, "%s pid %d", host, (int)getpid());
  if (options->name == NULL) {
    snprintf(options->name_made, sizeof options->name_made, "%s-%.*s", host, TOKEN_LETTERS_IN_NAME,
             made.token);
    options->name = options->name_made;
  }
  *out = made;
  return OK;
}
