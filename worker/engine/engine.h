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
  bool on_demand; /* loaded when a job asks for it, and not before */
};
/* What jobs may name beside their model: nets that steer, adapters, words, small decoders. */
enum extra_kind { EXTRA_CONTROL, EXTRA_LORA, EXTRA_EMBEDDING, EXTRA_TINY };
struct engine_extra {
  enum extra_kind kind;
  const char *id;
  struct model_source source;
};
struct engine_settings {
  struct device *device;
  struct pulse *pulse; /* where each turn says how long it should take; NULL: nobody watches */
  const struct engine_model *models;
  size_t model_count;
  const struct engine_extra *extras; /* read when a job asks for one */
  size_t extra_count;
  int slots;         /* samples held at once, 1..SAMPLES_MAX */
  int batch_rows;    /* rows of one U-Net call at most, 2..BATCH_ROWS_MAX */
  int max_side;      /* pixels */
  size_t memory_max; /* bytes for samples, conditionings and scratch; 0: what memory_total leaves */
  size_t memory_total; /* bytes of this device that are ours, for the weights and all else */
  const char
      *answers; /* file where the pictures of the self-test are kept (answers.h); NULL: not */
};

/* What a job brings along: the bytes of its blobs, pictures decoded. */
enum input_kind { INPUT_IMAGE, INPUT_MASK, INPUT_CONTROL, INPUT_ADAPTER, INPUT_EMBEDDING };
#define INPUT_KINDS 5
struct engine_input {
  enum input_kind kind;
  uint32_t index;                   /* among its kind, in the job's order */
  uint32_t width, height, channels; /* of pictures: 3, of masks 1; rows packed. Else 0 */
  const uint8_t *data;              /* pixels, or the file as it is */
  size_t bytes;
};
struct engine_inputs {
  const struct engine_input *input;
  size_t count;
};

/* A model that has come or gone, or could not come: why. */
struct engine_move {
  const char *model;
  bool came;
  const char *failed; /* NULL: it did not */
  size_t bytes;       /* of weights */
  int64_t ms;         /* a load took */
  size_t home;        /* models that are at home now */
};

/* A finished picture, or a small one on the way there: image `index` of its job, height x width x 3
 * bytes. */
struct engine_picture {
  const char *id;
  uint64_t fence, seed;
  uint32_t index, width, height, step; /* step: that a preview shows; 0: it is none */
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
  /* What was done otherwise than a job may expect: a prompt that was cut. NULL: nobody asks. */
  void (*warning)(void *context, const char *id, uint64_t fence, const char *text);
  void (*preview)(void *context, const struct engine_picture *picture); /* NULL: nobody asks */
  void (*moved)(void *context, const struct engine_move *move);         /* NULL: nobody asks */
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

struct engine_wish { /* a job that waits */
  const char *id;
  uint64_t fence;
  const char *model, *refiner; /* NULL: none */
  int64_t since_ms;
};
/* Whether what a job waits for is there, or why not is known, so that engine_admit can say so: its
 * models, and weights for its adapters. Else these are on their way, and the job must be kept until
 * then. After engine_ask_anew all that still wait are to be asked for again. */
bool engine_expects(struct engine *engine, const struct engine_wish *wish);
void engine_ask_anew(struct engine *engine);

/* Takes a job (copied) and what it brings along (borrowed for the call; NULL: nothing); one that is
 * here under the same fence already is left as it is. EXHAUSTED without a slot or memory, or while
 * its models or weights for its adapters are not here: nothing happened (those are on their way),
 * try later. BAD_INPUT when it cannot be done here (size, sampler, an input of the wrong
 * kind): the job has been reported failed for good; or for another try, where a model could not be
 * loaded. Images beyond the free slots wait inside. */
enum status engine_admit(struct engine *engine, const Darkroom__V1__Job *job, uint64_t fence,
                         const struct engine_inputs *inputs);
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
