/* fleet.h - the models that workers have or had, as Redis last told: what a job is checked against
 * and filled in from. */
#ifndef DARKROOM_BROKER_FLEET_H
#define DARKROOM_BROKER_FLEET_H

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/limits.h"
#include "base/status.h"
#include "proto/darkroom.pb-c.h"

struct fleet_model {
  char id[JOB_MODEL_BYTES_MAX + 1];
  char sha256[65];
  char family[32];
  uint32_t default_side;
  uint32_t least_side,
      largest_side; /* the limits of its workers: of the live ones, or of the last that had it */
  uint32_t workers; /* live */
  bool tiny;        /* one that has it has a tiny decoder for it, too */
};

/* What jobs name beside a model: control nets, adapters, embeddings, tiny decoders. */
struct fleet_extra {
  Darkroom__V1__ExtraKind kind;
  char id[JOB_NAME_BYTES_MAX + 1];
  char sha256[65];
  char family[32];
  uint32_t workers; /* live */
};

struct fleet {
  struct fleet_model model[FLEET_MODELS_MAX];
  size_t count;
  struct fleet_extra extra[FLEET_EXTRAS_MAX];
  size_t extra_count;
  uint32_t live;                               /* workers */
  char default_model[JOB_MODEL_BYTES_MAX + 1]; /* "" while no worker has named one */
};

/* Replaces what was known by the reply of queue_fleet. arena: for what is unpacked on the way. */
enum status fleet_read(struct fleet *fleet, const redisReply *reply, struct arena *arena);

/* NULL when no worker has ever had it. */
const struct fleet_model *fleet_find(const struct fleet *fleet, const char *id);

/* Whether a job may name this: a worker has it, if only one that is away for a while, or there is
 * none that could be asked. */
bool fleet_has_extra(const struct fleet *fleet, Darkroom__V1__ExtraKind kind, const char *id);

/* The hint's line of a job that is decoded by a tiny decoder, whichever its worker has for this
 * model; of a worker that has one. */
#define HINT_TINY "tiny %s"

/* The same of a tiny decoder for this model, which a job asks for and does not name. */
bool fleet_has_tiny(const struct fleet *fleet, const struct fleet_model *model);
/* Whether this worker has one for this model: of its family, or of one that the worker did not
 * say. */
bool hello_has_tiny(const Darkroom__V1__Hello *hello, const Darkroom__V1__ModelInfo *model);

/* The contract's lists, in the arena. */
enum status fleet_models(const struct fleet *fleet, struct arena *arena,
                         Darkroom__V1__ModelList *out);
/* Workers come straight from the reply; credits are this broker's to add. */
enum status fleet_workers(const redisReply *reply, struct arena *arena,
                          Darkroom__V1__WorkerInfo ***out, size_t *count);

#endif
