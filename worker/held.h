/* held.h - the jobs this worker holds and how far each is: plain data, owned by the worker's one
 * loop. */
#ifndef DARKROOM_WORKER_HELD_H
#define DARKROOM_WORKER_HELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/limits.h"
#include "base/status.h"
#include "proto/darkroom.pb-c.h"
#include "proto/wire.h"
#include "worker/media/media.h"
#include "worker/offer.h"

#define HELD_MAX SCRIPT_LOOP_MAX /* so that one BEAT names them all */
#define HELD_TEXT_MAX 256
#define HELD_SLOW_MS 1000

/* FETCHING -> WAITING -> ADMITTED -> RUNNING -> STORING -> ENDING -> (gone); LEAVING from anywhere.
 */
enum held_state {
  HELD_FREE,
  HELD_FETCHING, /* files that it brings are not here yet: see inputs.h */
  HELD_WAITING,  /* its engine is not free for it yet: see admission.h */
  HELD_ADMITTED, /* an engine has it and has not begun */
  HELD_RUNNING,
  HELD_STORING, /* the engine is through; not all pictures are stored */
  HELD_ENDING,  /* its outcome is offered until a broker takes it */
  HELD_LEAVING, /* nothing more is said of it; waits for its media tasks to come back */
};

enum picture_state {
  PICTURE_MISSING,
  PICTURE_MAKING,  /* being encoded and spooled */
  PICTURE_WAITING, /* for the store */
  PICTURE_STORING, /* a task is out */
  PICTURE_STORED,
};
/* The newest look at a picture on its way. */
struct preview {
  bool fresh; /* not told in a BEAT yet */
  uint32_t step, width, height;
  struct bytes jpeg;
};
struct picture {
  enum picture_state state;
  bool told;        /* in a BEAT */
  bool spooled;     /* it would outlive this process */
  int tries;        /* of storing it, failed */
  int64_t due_ms;   /* the next one: one picture that is refused must not be all that is asked */
  struct bytes png; /* only while the spool has no room for it */
  struct preview preview;
  char *url;
  char *sha256;   /* of the PNG, once it is made */
  uint64_t bytes; /* the same */
};

/* What a job brings along, until an engine has it. */
struct held_inputs {
  bool out; /* a task fetches it */
  int tries;
  int64_t begun_ms, due_ms;
  int64_t deadline_ms; /* of the job; INT64_MAX: it has none */
  int descriptor;      /* of the memory it is in; -1: none */
  uint64_t bytes;      /* of that memory; the most it will be while a task fetches it */
  struct media_input *row;
  size_t count;
};

struct held {
  enum held_state state;
  char id[65];
  uint64_t fence;
  uint64_t generation; /* under which it was assigned: the broker compares it */
  struct arena *arena; /* of all below; NULL in a free row */
  Darkroom__V1__Job *job;
  struct bytes assign; /* packed, as media and spool want it */
  size_t child;        /* index; meaningless once the engine is through */
  bool leftover;       /* from an earlier life of this worker */
  bool alone;          /* nobody else may be in its engine */
  bool news;           /* something a BEAT should tell soon */
  uint32_t step, steps;
  uint32_t images, received;
  struct picture *picture; /* images of them */
  uint32_t preview_turn;   /* whose preview is told next */
  struct held_inputs inputs;
  char *warning[JOB_WARNINGS_MAX]; /* in the arena */
  size_t warning_count;
  struct caption_means means; /* by what they were made; "" of an earlier life */
  uint32_t media_out;         /* tasks with media */
  bool finished;              /* the engine said so, or the spool */
  bool sealing;               /* the spool is being told */
  bool sealed;                /* and knows */
  Darkroom__V1__Timings timings;
  int64_t last_pixels_ms;
  struct offer offer;
  bool complete_said; /* then the objects may be published: never remove them on our own */
  bool remove_objects;
  Darkroom__V1__FailKind fail_kind;
  Darkroom__V1__ErrorCode error_code;
  char error_field[32]; /* of the job; "": none is wrong */
  char error_text[HELD_TEXT_MAX];
};

struct held_table {
  struct held row[HELD_MAX];
};

/* A free row with its arena and a copy of the packed assignment, unpacked. NULL when none is free
 * or the assignment cannot be read (fail() says which). */
struct held *held_take(struct held_table *table, const uint8_t *assign, size_t bytes);
/* Frees the row. */
void held_drop(struct held *held);
/* Keeps what is to be said of a success, each once, at most JOB_WARNINGS_MAX of them. */
void held_warn(struct held *held, const char *text);
/* Lets go of what it brought. */
void held_drop_inputs(struct held *held);

struct held *held_find(struct held_table *table, const char *id, uint64_t fence);
/* tenant NULL: any. */
struct held *held_find_id(struct held_table *table, const char *tenant, const char *id);
/* By the number of its open offer. */
struct held *held_find_offer(struct held_table *table, uint64_t correlation);

/* The index-th row in use, from *at on; NULL at the end. for (size_t at = 0; (held =
 * held_next(table, &at)) != NULL;) */
struct held *held_next(struct held_table *table, size_t *at);
size_t held_count(const struct held_table *table);

bool held_in_engine(const struct held *held);
/* Its files have been on their way for HELD_SLOW_MS. */
bool held_fetches_slowly(const struct held *held, int64_t now_ms);
bool held_all_stored(const struct held *held);
/* Pictures made and not yet stored, of all jobs, and their bytes. */
struct spool_use {
  uint64_t pictures, bytes;
};
struct spool_use held_unstored_total(const struct held_table *table);
/* The same with those still to be made, each counted as large as its pixels. */
struct spool_use held_expected_total(const struct held_table *table);

/* Whether a picture is made and nowhere but in memory. */
bool held_any_in_memory(const struct held_table *table);

#endif
