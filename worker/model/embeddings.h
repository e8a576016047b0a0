/* embeddings.h - textual inversion (Gal et al. 2022): words of a job's own, each standing for one
 * or several vectors that the text encoders read in place of rows of their token tables.
 *
 * Files: A1111's (emb_params, or string_to_param.*), diffusers' (one tensor, named like the word),
 * and for two encoders clip_l and clip_g; as safetensors. Each tensor is [d] or [k, d].
 */
#ifndef DARKROOM_WORKER_MODEL_EMBEDDINGS_H
#define DARKROOM_WORKER_MODEL_EMBEDDINGS_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "kernels/tensor.h"
#include "worker/model/model.h"
#include "worker/model/modules.h"

#define EMBEDDINGS_MAX 16             /* words of one job, */
#define EMBEDDING_TOKEN_BYTES_MAX 128 /* the bytes of one, */
#define EMBEDDING_VECTORS_MAX 1024    /* and the vectors of all */
#define EMBEDDINGS_DIGEST_BYTES 32

/* A whole file in memory, untrusted, and the word that prompts have for it; borrowed during the
 * call. */
struct embedding_source {
  const char *name;  /* for messages */
  const char *token; /* NULL: diffusers' files name it themselves */
  const uint8_t *data;
  size_t bytes;
};

/* A word of a prompt: it stands for `vectors` tokens in a row, whose ids are the size of the
 * vocabulary plus first, first + 1, ... */
struct embedding_word {
  const char *token;
  int first, vectors;
};

struct embeddings;

/* Reads all files of a job against the model's text encoders and puts the vectors on the device.
 * BAD_INPUT (field "embedding") names the file: a pickle, a vector of the wrong width, an encoder
 * that gets none, too many vectors, a word that is empty, too long or there twice. EXHAUSTED. */
enum status embeddings_open(struct model *model, const struct embedding_source *sources,
                            size_t count, struct embeddings **out);
/* Not before the device has done all that was queued with them. */
void embeddings_close(struct embeddings **embeddings);

size_t embeddings_count(const struct embeddings *embeddings);
const struct embedding_word *embeddings_at(const struct embeddings *embeddings, size_t index);
/* All vectors of one text encoder, [E, width] activations on the device: op_embed's `extra`; NULL
 * when there are none. */
const struct tensor *embeddings_table(const struct embeddings *embeddings, enum network encoder);
/* Bytes on the device. */
size_t embeddings_bytes(const struct embeddings *embeddings);
/* SHA-256 of words and vectors: equal ones are equal embeddings. For caches. */
const uint8_t *embeddings_digest(const struct embeddings *embeddings);

#endif
