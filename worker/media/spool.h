/* spool.h - finished pictures on this machine's disk until the store and the broker have them.
 *
 * A folder "JOB.FENCE" per attempt holds: "assign" (the packed Assign), "K.png" per finished
 * picture, and "complete" (the packed Complete, worker and generation in it) once the engine is
 * through with the job. Every file is whole or absent. So a worker that starts again knows which
 * jobs it can still hand in; an attempt without "complete" is worth nothing. The functions only use
 * paths: any thread may call them, for different files at the same time.
 */
#ifndef DARKROOM_WORKER_MEDIA_SPOOL_H
#define DARKROOM_WORKER_MEDIA_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"

#define SPOOL_FOLDER_BYTES_MAX 1024
#define SPOOL_ATTEMPTS_MAX 256

/* An attempt's place. id is checked: it becomes a file name. */
struct attempt {
  const char *id;
  uint64_t fence;
};

/* Finds the place of this worker's spool and locks it for this process; the lock lives as long as
 * *lock is open. A folder that is this user's alone, or not there yet, is the place itself (made
 * with mode 0700). In any other that it may write, a volume mounted for it say, the place is a
 * folder "darkroom-NAME" of mode 0700. *path: SPOOL_FOLDER_BYTES_MAX bytes, the place. BAD_INPUT,
 * with field "spool": somebody else's folder that is no mount, one that cannot be written, or
 * another worker uses it. */
enum status spool_open(const char *folder, const char *name, char *path, int *lock);

enum status spool_write_assign(const char *folder, struct attempt attempt, const void *data,
                               size_t bytes);
enum status spool_write_picture(const char *folder, struct attempt attempt, uint32_t index,
                                const void *data, size_t bytes);
/* BAD_INPUT: it is not there or cannot be read any more; UNAVAILABLE: this process cannot read now
 * (memory, descriptors). */
enum status spool_read_picture(const char *folder, struct attempt attempt, uint32_t index,
                               struct bytes *out);
bool spool_has_picture(const char *folder, struct attempt attempt, uint32_t index);
enum status spool_write_complete(const char *folder, struct attempt attempt, const void *data,
                                 size_t bytes);
/* Removes all of an attempt; not there is fine. */
enum status spool_drop(const char *folder, struct attempt attempt);

/* One attempt as found at the start. */
struct spool_leftover {
  char id[65];
  uint64_t fence;
  struct bytes assign;
  struct bytes complete;
};

/* Calls each(context, leftover) for every attempt that has "assign" and "complete"; removes all
 * other folders. The leftover's bytes belong to the call. */
enum status spool_walk(const char *folder,
                       void (*each)(void *context, const struct spool_leftover *leftover),
                       void *context);

#endif
