/* blobs.h - a file or URL that a person names becomes a blob of the job. */
#ifndef DARKROOM_CLI_BLOBS_H
#define DARKROOM_CLI_BLOBS_H

#include "base/arena.h"
#include "cli/complaint.h"
#include "cli/options.h"
#include "store/store.h"

/* A file that the store is to have before the job is asked for. */
struct parcel {
  struct parcel *next;
  const char *flag, *path;
  const Darkroom__V1__Blob *blob; /* its size and hash, and the URL that it will have */
};

/* What the files of one job share. Zero it first; texts and rows live in the arena. */
struct luggage {
  const struct options *options;
  struct arena *arena;
  size_t inline_bytes; /* of those that travel in the job so far */
  struct store *store; /* once one has been needed */
  struct parcel *parcels;
};

void luggage_close(struct luggage *luggage);

/* name: a path, or a URL with or without "#sha256=HEX". bytes_max: how large the file may be. flag
 * is how the person said it, for messages. A local file must be a plain one that begins as its kind
 * does; it travels in the job as long as there is room, else it is noted for luggage_send. Nothing
 * is sent here. BAD_INPUT fills *why. */
struct naming {
  const char *flag, *name;
  Darkroom__V1__BlobKind kind;
  size_t bytes_max;
};
enum status blob_make(struct luggage *luggage, const struct naming *naming,
                      Darkroom__V1__Blob **out, struct refusal *why);

/* Puts what was noted into the store under inputs/SHA256, each once. A store that is away is asked
 * again until --patience-ms is over; says what is wrong. A file that has changed meanwhile is
 * refused. */
enum exit_code luggage_send(struct luggage *luggage);

/* Whether a name is that of a file or a URL, and not of something the fleet has: it has a slash,
 * ends in .safetensors, or is there and ends as pickles do. */
bool names_a_file(const char *name);

#endif
