/* embedding_file.h - one file of textual inversion, read and checked against text encoders. */
#ifndef DARKROOM_WORKER_MODEL_EMBEDDING_FILE_H
#define DARKROOM_WORKER_MODEL_EMBEDDING_FILE_H

#include <stdint.h>

#include "base/arena.h"
#include "base/limits.h"
#include "base/status.h"
#include "worker/model/embeddings.h"

/* The text encoders of a model, in its order. */
struct embedding_target {
  const char *family; /* for messages */
  int encoders;
  enum network network[TEXT_ENCODERS_MAX];
  int64_t width[TEXT_ENCODERS_MAX];
};

struct embedding_vectors {
  const char *token;
  int vectors;
  float *value[TEXT_ENCODERS_MAX]; /* [vectors, width] of each encoder */
};

/* Texts and values are taken from the arena. Outcomes of embeddings_open. */
enum status embedding_read(const struct embedding_target *target,
                           const struct embedding_source *source, struct arena *arena,
                           struct embedding_vectors *out);

#endif
