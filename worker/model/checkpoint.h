/* checkpoint.h - the files of one source while a model is made of it: each is mapped, hashed and
 * checked once, when the first network in it is opened.
 */
#ifndef DARKROOM_WORKER_MODEL_CHECKPOINT_H
#define DARKROOM_WORKER_MODEL_CHECKPOINT_H

#include <stddef.h>

#include "base/status.h"
#include "worker/model/key_layout.h"
#include "worker/model/mapped.h"
#include "worker/model/source.h"

struct checkpoint;

/* The source is borrowed until checkpoint_close. Nothing is read yet. */
enum status checkpoint_open(const struct model_source *source, struct checkpoint **out);
/* Nothing that was taken from it may be used afterwards: weights are closed before. */
void checkpoint_close(struct checkpoint **checkpoint);
const struct model_source *checkpoint_source(const struct checkpoint *checkpoint);

/* Where a network is: the files that hold it, and which of their keys are its. */
struct checkpoint_network {
  const struct mapped *const *files;
  size_t count;
  const struct key_place *place;
  struct key_sizes sizes;
};
/* Opens the files; borrowed until the next call. BAD_INPUT (field "weights") when there is none, a
 * hash is wrong or none is given for it, a file is refused, or the network is not in it. */
enum status checkpoint_network(struct checkpoint *checkpoint, enum network network,
                               struct checkpoint_network *out);

/* Of a single file, which is opened: the family whose keys it has, a name of families.c. BAD_INPUT
 * says what was looked for. */
enum status checkpoint_family(struct checkpoint *checkpoint, const char **out);
/* Whether the single file has a key that begins so; false of a folder. */
bool checkpoint_has_key(const struct checkpoint *checkpoint, const char *prefix);

/* BAD_INPUT names a file that the source gives a hash for and no network was loaded from, or a
 * tensor of a single file that belongs to no network. */
enum status checkpoint_all_used(const struct checkpoint *checkpoint);

#endif
