/* engine.h - the turn: admit, choose, predict, advance, retire. Owns one device; knows no network.
 *
 * One thread. The caller (engine_main over the pipe, or a test) admits and stops jobs between turns
 * and receives what happens through the listener, during the calls.
 */
#ifndef DARKROOM_WORKER_ENGINE_ENGINE_H
#define DARKROOM_WORKER_ENGINE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "kernels/device.h"
#include "proto/darkroom.pb-c.h"
#include "worker/model/model.h"

struct engine;
struct pulse;

/* A row of the model table for this device (worker/models_table.c reads the file). */
struct engine_model {
  const char *id;
  const char *sha256; /* one hash over its weight files, passed on in Ready; NULL: not told */
  struct model_source source;
};
struct engine_settings {
  struct device *device;
  struct pulse *pulse; /* where each turn says how long it should take; NULL: nobody watches */
  const struct engine_model *models;
  size_t model_count;
  int slots;         /* samples held at once, 1..SAMPLES_MAX */
  int batch_rows;    /* rows of one U-Net call at most, 2..BATCH_ROWS_MAX */
  int max_side;      /* pixels */
  size_t memory_max; /* bytes for samples, conditionings and scratch; 0: what memory_total leaves */
  size_t memory_total; /* bytes of this device that are ours, for the weights and all else */
  const char
      *answers; /* file where the pictures of the self-test are kept (answers.h); NULL: not */
};

/* A finished picture: image `index` of its job, height x width x 3 bytes. */
struct engine_picture {
  const char *id;
  uint64_t fence, seed;
  uint32_t index, width, height;
  const uint8_t *rgb;
};

/* What the engine tells. Pointers are valid during the call. */
struct engine_listener {
  void *context;
  void (*started)(void *context, const char *id, uint64_t fence);
  void (*step)(void *context, const char *id, uint64_t fence, uint32_t step, uint32_t steps);
  void (*pixels)(void *context, const struct engine_picture *picture);
  void (*finished)(void *context, const char *id, uint64_t fence,
                   const Darkroom__V1__Timings *timings);
  void (*failed)(void *context, const char *id, uint64_t fence, Darkroom__V1__FailKind kind,
                 const Darkroom__V1__Error *error);
  void (*turn)(void *context, uint32_t rows, uint32_t samples, uint64_t microseconds);
};

/* Tries the device's ops against the reference, loads all models, finds out how large a picture of
 * each may be, and runs a known-answer image on each (self_test.h). Fails as model_open does;
 * EXHAUSTED also when no picture at all would fit; BROKEN when the device does not compute what it
 * should. */
enum status engine_open(const struct engine_settings *settings,
                        const struct engine_listener *listener, struct engine **out);
/* Waits for what is in flight. */
void engine_close(struct engine **engine);
/* From now on this one is told. Gives the one before it. */
struct engine_listener engine_listen(struct engine *engine, const struct engine_listener *listener);

/* What the index-th model is called, its family and its sides. Texts are borrowed until
 * engine_close. */
void engine_model_info(const struct engine *engine, size_t index, Darkroom__V1__ModelInfo *out);

/* Takes a job (copied); one that is here under the same fence already is left as it is. EXHAUSTED
 * when no slot or memory is left: nothing happened, try later. BAD_INPUT when this model cannot do
 * it (size, sampler): the job has been reported failed for good. Images beyond the free slots wait
 * inside. */
enum status engine_admit(struct engine *engine, const Darkroom__V1__Job *job, uint64_t fence);
/* Forgets the job at once if it is here, also in the middle of a turn: its slots are free for the
 * next one. Silent when unknown. */
void engine_stop(struct engine *engine, const char *id, uint64_t fence);

/* Whether engine_turn has anything to do. */
bool engine_busy(const struct engine *engine);
int engine_free_slots(const struct engine *engine);
/* Queues one turn, a U-Net batch or a decode, and reads those that have ended meanwhile; waits
 * only when there is none to queue, or no room for it. On a device that has done its work when a
 * call returns that is one turn, from beginning to end. OK when idle. BROKEN: the device is in an
 * unknown state, leave the process. */
enum status engine_turn(struct engine *engine);

#endif
