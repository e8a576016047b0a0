/* adapters_cache.h - LoRA files that have been read for a model, and what the adapters of a job,
 * with their weights, have put on the device: shared, counted, kept while there is room, the
 * longest unused out. So a job with the adapters of the one before begins at once. */
#ifndef DARKROOM_WORKER_ENGINE_ADAPTERS_CACHE_H
#define DARKROOM_WORKER_ENGINE_ADAPTERS_CACHE_H

#include "proto/refusal.h"
#include "worker/engine/conditionings.h"
#include "worker/engine/files.h"
#include "worker/engine/notes.h"
#include "worker/model/adapter.h"

/* Read files kept, of all models: on the host. */
#define ADAPTERS_READ_MAX 64
/* Combinations on the device; more than jobs that there can be. */
#define ADAPTATIONS_MAX (2 * SAMPLES_MAX)

struct adapters_cache;

/* The adapters of a job behind one model. Valid between hold and release. */
struct adapted {
  struct adaptation *adaptation;
  const struct resident *resident; /* NULL: a free row */
  uint64_t number;                 /* that no other ever has */
  int count;
  struct adapted_use {
    uint64_t file; /* the number of one that was read */
    float weight, text_weight;
  } use[JOB_ADAPTERS_MAX];
  size_t bytes;
  int holders;
  uint64_t last_used;
};

/* What is beside conditionings in the same budget. All is borrowed. */
struct adapters_settings {
  struct budget *budget;
  struct conditionings *conditionings; /* gives room, and forgets what an adaptation made */
  struct extras extras;
};
/* Takes its table from memory. */
enum status adapters_cache_open(struct arena *memory, const struct adapters_settings *settings,
                                struct adapters_cache **out);
void adapters_cache_close(struct adapters_cache **cache);

/* Forgets all of a model whose weights go; nobody holds it. */
void adapters_forget_model(struct adapters_cache *cache, const struct resident *resident);

/* Finds or makes what the job's adapters make of the model, and holds it; NULL for a job without.
 * What they leave out goes to notes. BAD_INPUT with *why: no such adapter, or none of this model's;
 * EXHAUSTED without room. */
enum status adapters_hold(struct adapters_cache *cache, const struct resident *resident,
                          const Darkroom__V1__Job *job, const struct engine_inputs *inputs,
                          struct notes *notes, struct adapted **out);
void adapters_release(struct adapted **adapted);

#endif
