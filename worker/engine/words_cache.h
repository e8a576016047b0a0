/* words_cache.h - words of textual inversion that jobs bring or name, put on the device for a
 * model: shared, counted, kept while there is room, the longest unused out. */
#ifndef DARKROOM_WORKER_ENGINE_WORDS_CACHE_H
#define DARKROOM_WORKER_ENGINE_WORDS_CACHE_H

#include "worker/engine/adapters_cache.h"
#include "worker/model/embeddings.h"

#define WORDS_MAX (2 * SAMPLES_MAX) /* combinations: more than jobs that there can be */

struct words_cache;

/* All words of a job behind one model. Valid between hold and release. */
struct worded {
  struct held held;
  struct embeddings *embeddings;
  const struct resident *resident;
  int count;
  struct {
    char token[EMBEDDING_TOKEN_BYTES_MAX + 1]; /* compared whole */
    char key[FILE_KEY_BYTES_MAX];
  } word[JOB_EMBEDDINGS_MAX];
};

/* Takes its table from memory. */
enum status words_cache_open(struct arena *memory, const struct adapters_settings *settings,
                             struct words_cache **out);
void words_cache_close(struct words_cache **cache);

/* Forgets all of a model whose weights go; nobody holds it. */
void words_forget_model(struct words_cache *cache, const struct resident *resident);

/* Finds or makes the words of the job for the model, and holds them; NULL for a job without.
 * BAD_INPUT (field "embedding"); EXHAUSTED without room. */
enum status words_hold(struct words_cache *cache, const struct resident *resident,
                       const Darkroom__V1__Job *job, const struct engine_inputs *inputs,
                       struct worded **out);
void words_release(struct worded **worded);

#endif
