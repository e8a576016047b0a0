/* mapped.h - one safetensors file in memory: mapped, hashed, its table checked. */
#ifndef DARKROOM_WORKER_MODEL_MAPPED_H
#define DARKROOM_WORKER_MODEL_MAPPED_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "worker/model/safetensors.h"

struct mapped {
  const char *path;
  uint8_t *bytes; /* read-only */
  size_t size;
  struct safetensors table;
};

/* Maps the file, checks sha256 (lower-case hex) when expected is not NULL, then the header and
 * every offset. Path and table lie in the arena; the caller closes. BAD_INPUT (field "weights")
 * says what is wrong. */
enum status mapped_open(const char *path, const char *expected_sha256, struct arena *arena,
                        struct mapped *out);
void mapped_close(struct mapped *file);

/* Lets go of the pages that hold these bytes: who reads them again has them read from the file
 * again, so nothing is lost. */
void mapped_give_back(const struct mapped *file, const void *data, size_t bytes);

#endif
