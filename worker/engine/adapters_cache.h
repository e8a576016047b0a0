/* adapters_cache.h - LoRA files that have been read for a model, and what the adapters of a job,
 * with their weights, have put on the device: shared, counted, kept while there is room, the
 * longest unused out. So a job with the adapters of the one before begins at once. */
#ifndef DARKROOM_WORKER_ENGINE_ADAPTERS_CACHE_H
#define DARKROOM_WORKER_ENGINE_ADAPTERS_CACHE_H

#include "proto/refusal.h"
#include "worker/engine/conditionings.h"
#include "worker/engine/files.h"
#include "worker/engine/merges.h"
#include "worker/engine/notes.h"
#include "worker/model/adapter.h"

/* Read files kept, of all models: on the host. */
#define ADAPTERS_READ_MAX 64
/* Combinations on the device; more than jobs that there can be. */
#define ADAPTATIONS_MAX (2 * SAMPLES_MAX)

struct adapters_cache;

/* The adapters of a job behind one model. Valid between hold and release. */
struct adapted {
  struct held held;
  struct adaptation *adaptation; /* NULL: it is being made, or there is trouble: */
  enum status trouble;
  char reason[FAIL_REASON_MAX], field[FAIL_FIELD_MAX];
  const struct resident *resident;
  uint64_t number; /* that no other ever has */
  int count;
  struct adapted_use {
    uint64_t file; /* the number of one that was read */
    float weight, text_weight;
  } use[JOB_ADAPTERS_MAX];
  struct adapters_cache *cache;
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

/* Whose adapters are wanted. */
struct adapters_order {
  const struct resident *resident;
  const Darkroom__V1__Job *job;
  uint64_t fence;
  const struct engine_inputs *inputs;
  struct notes *notes; /* gets what they leave out */
};
/* Finds or makes what the job's adapters make of the model, and holds it; NULL for a job without.
 * BAD_INPUT with *why: no such adapter, or none of this model's; EXHAUSTED without room, or not
 * yet: its weights are made while turns go on (merges.h); UNAVAILABLE: they could not be made. */
enum status adapters_hold(struct adapters_cache *cache, const struct adapters_order *order,
                          struct adapted **out);
void adapters_release(struct adapted **adapted);
/* Whether any of this model are held, or in the making. */
bool adapters_hold_model(const struct adapters_cache *cache, const struct resident *resident);
/* Weights that are in the making, and who waits for them. */
struct merges *adapters_merges(struct adapters_cache *cache);

#endif
