/* files.h - the bytes of an adapter or of an embedding, wherever a job has them from: what came
 * with it, or a file of the model table by name. Private to this folder. */
#ifndef DARKROOM_WORKER_ENGINE_FILES_H
#define DARKROOM_WORKER_ENGINE_FILES_H

#include <stddef.h>
#include <stdint.h>

#include "proto/darkroom.pb-c.h"
#include "worker/engine/engine.h"
#include "worker/model/mapped.h"

#define FILE_KEY_BYTES_MAX (JOB_NAME_BYTES_MAX + 16)
#define FILE_DIGEST_BYTES 32 /* of a SHA-256 */

/* What the engine has by name. */
struct extras {
  const struct engine_extra *row;
  size_t count;
};
/* What a job says of one of its files. */
struct file_wish {
  enum input_kind kind;
  uint32_t index;
  const char *name; /* in the table; NULL: it came with the job */
  const Darkroom__V1__Blob *blob;
};
/* Where it is. Of equal keys the bytes are equal. */
struct job_file {
  char key[FILE_KEY_BYTES_MAX];
  const char *name; /* for messages */
  const uint8_t *data;
  size_t bytes;
  bool hashed; /* the sha256 of the data is known: nobody need compute it again */
  uint8_t sha256[FILE_DIGEST_BYTES];
  const struct engine_extra *extra; /* NULL: the bytes are there already */
  struct arena *memory;
  struct mapped mapped;
};

/* Says which file it is. What a job says is the sha256 of a file that came with it is believed: who
 * fetched it has held it to that. BAD_INPUT (field "adapter" or "embedding"): there is none of that
 * name, or it did not come. */
enum status job_file_find(const struct extras *extras, const struct engine_inputs *inputs,
                          const struct file_wish *wish, struct job_file *out);
/* Reads what is not there yet, its sha256 checked. BAD_INPUT alike. */
enum status job_file_read(struct job_file *file);
/* Safe on a zeroed one. */
void job_file_close(struct job_file *file);

#endif
