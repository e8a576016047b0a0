/* identity.h - which daemon this is: spool, token and name, the same over every restart. */
#ifndef DARKROOM_WORKER_IDENTITY_H
#define DARKROOM_WORKER_IDENTITY_H

#include "base/limits.h"
#include "base/status.h"
#include "worker/options.h"

#define IDENTITY_INSTANCES_MAX 16 /* on one host, without --name and --spool */

/* What the brokers are told beside the name. */
struct identity {
  char token[WORKER_TOKEN_BYTES_MAX + 1]; /* kept in the spool: only this daemon knows it */
  char host[WORKER_HOST_BYTES_MAX + 1];   /* host and process, for people */
};

/* Opens and locks the spool, reads its token or makes one, and completes options->spool and
 * options->name where they were left out: the first free of IDENTITY_INSTANCES_MAX folders, and the
 * host's name with the beginning of the token. *lock as in spool_open. BAD_INPUT: no spool is to be
 * had. */
enum status identity_take(struct options *options, int *lock, struct identity *out);

#endif
