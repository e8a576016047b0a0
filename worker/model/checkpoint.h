/* checkpoint.h - the files of one source while a model is made of it: each is mapped, hashed and
 * checked once, when the first network in it is opened.
 */
#ifndef DARKROOM_WORKER_MODEL_CHECKPOINT_H
#define DARKROOM_WORKER_MODEL_CHECKPOINT_H

#include <stddef.h>

#include "base/status.h"
#include "worker/model/mapped.h"
#include "worker/model/source.h"

struct checkpoint;

/* The source is borrowed until checkpoint_close. Nothing is read yet. */
enum status checkpoint_open(const struct model_source *source, struct checkpoint **out);
/* Nothing that was taken from it may be used afterwards: weights are closed before. */
void checkpoint_close(struct checkpoint **checkpoint);
const struct model_source *checkpoint_source(const struct checkpoint *checkpoint);

/* The files that hold a network, opened: borrowed until checkpoint_close. BAD_INPUT (field
 * "weights") when there is none, a hash is wrong or none is given for it, or a file is refused. */
enum status checkpoint_files(struct checkpoint *checkpoint, enum network network,
                             const struct mapped *const **out, size_t *count);

/* BAD_INPUT names a file that the source gives a hash for and no network is loaded from. */
enum status checkpoint_all_used(const struct checkpoint *checkpoint);

#endif
