/* prompt_chunks.h - a prompt as the token ids that a text encoder reads, chunk by chunk, in each of
 * the three modes (condition.h).
 *
 * A chunk is a begin mark, tokens, an end mark and filling. Words of textual inversion stand for
 * their vectors, wherever they stand in the text and in its own letters: as diffusers finds them.
 * Their vectors stay in one chunk where a chunk has room for them.
 */
#ifndef DARKROOM_WORKER_MODEL_PROMPT_CHUNKS_H
#define DARKROOM_WORKER_MODEL_PROMPT_CHUNKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/limits.h"
#include "base/status.h"
#include "worker/model/condition.h"
#include "worker/model/tokenizer.h"

/* One text encoder's view of a prompt. */
struct prompt_chunks {
  int chunks;     /* 1..PROMPT_CHUNKS_MAX */
  int32_t *id;    /* [chunks, positions] */
  float *weight;  /* the same, 1 for marks */
  bool *weighted; /* [chunks] whether a weight is not 1 */
  int tokens;     /* of the whole prompt, marks left out */
  int cut;        /* of them left out at the end */
};
/* What the encoder reads: ids below vocabulary are its own, those behind the words'. */
struct prompt_reader {
  const struct tokenizer *tokenizer;
  int vocabulary, positions; /* positions: 3..TOKENS_PER_CHUNK */
};

/* Takes out's memory, and scratch, from the arena, a heap of its own. BAD_INPUT (field "prompt")
 * for text that is not UTF-8, too long, of too many chunks, or with a weight that is none. */
enum status prompt_chunks_make(struct arena *arena, const struct prompt_reader *reader,
                               const struct condition *condition, struct prompt_chunks *out);
/* Fills further chunks up to `chunks` with empty ones. */
enum status prompt_chunks_fill(const struct prompt_reader *reader, int chunks,
                               struct prompt_chunks *out);
/* The place in a chunk at which its text is pooled: the end mark `end` at its first place or, for
 * 2, the highest id of the vocabulary (transformers' CLIPTextTransformer). */
int prompt_chunks_end(const struct prompt_chunks *chunks, const struct prompt_reader *reader,
                      int chunk, int end);

#endif
