/* blobs.h - a file or URL that a person names becomes a blob of the job. */
#ifndef DARKROOM_CLI_BLOBS_H
#define DARKROOM_CLI_BLOBS_H

#include "base/arena.h"
#include "cli/options.h"
#include "store/store.h"

/* What the files of one job share. */
struct luggage {
  const struct options *options;
  struct arena *arena;
  size_t inline_bytes; /* of those that travel in the job so far */
  struct store *store; /* once one has been needed */
};

void luggage_close(struct luggage *luggage);

/* name: a path, or a URL with or without "#sha256=HEX". bytes_max: how large the file may be. flag
 * is how the person said it, for messages. */
struct naming {
  const char *flag, *name;
  size_t bytes_max;
};
enum status blob_make(struct luggage *luggage, const struct naming *naming,
                      Darkroom__V1__Blob **out, struct refusal *why);

/* Whether a name is that of a file or a URL, and not of something the fleet has: it has a slash, or
 * ends in .safetensors. */
bool names_a_file(const char *name);

#endif
