/* children.h - the engine processes: one per device, started from this binary, started again when
 * they die.
 *
 * Knows pipes, pids and time; what a report means to a job is for reports.c. A child dies alone:
 * its pictures so far are in the parent.
 */
#ifndef DARKROOM_WORKER_CHILDREN_H
#define DARKROOM_WORKER_CHILDREN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/limits.h"
#include "base/status.h"
#include "worker/engine/pipe.h"
#include "worker/engine/pulse.h"
#include "worker/media/digest.h"

#define CHILD_TURNS_KEPT 32

enum child_state {
  CHILD_AWAY,    /* not running; started again at due_ms */
  CHILD_LOADING, /* running; has not said Ready */
  CHILD_READY,   /* takes jobs */
  CHILD_LEAVING, /* its end of the pipe is closed; killed at due_ms if it has not ended by then */
  CHILD_REFUSED, /* it will not have its settings or models: never started again */
};

struct child_model {
  char id[JOB_MODEL_BYTES_MAX + 1];
  char sha256[SHA256_TEXT_MAX];
  char family[32];
  uint32_t default_side, max_side;
};

struct child {
  const char *device;
  enum child_state state;
  pid_t pid;
  struct pipe pipe;
  bool killed;         /* by the watchdog */
  struct pulse *pulse; /* where it counts its work; NULL while it is not running */
  uint64_t pulse_seen; /* what had been counted when we last looked */
  int64_t started_ms;
  int64_t looked_ms; /* when that was */
  int64_t silent_ms; /* how long it has been seen to do nothing: time in which we did not look
                        ourselves is no silence of its */
  int64_t due_ms;
  int failures; /* starts or lives that ended badly, one after another */
  uint32_t slots;
  struct child_model model[MODELS_MAX];
  size_t model_count;
  uint64_t turn_us[CHILD_TURNS_KEPT]; /* a ring of the latest */
  size_t turns;
};

struct children {
  struct child child[DEVICES_MAX];
  size_t count;
  int64_t load_ms, watchdog_ms;
};

/* devices are borrowed. Nothing is started yet. */
void children_open(struct children *children, const char *const *devices, size_t count);
/* Closes all pipes, gives them grace_ms to leave, then kills and reaps. */
void children_close(struct children *children, int64_t grace_ms);

/* Looks at all, starts those that are due, kills those that load without progress or leave for too
 * long, reaps the dead. Calls
 * ended(context, index) for each that has just died, after which it is AWAY or REFUSED. */
void children_tend(struct children *children, int64_t now_ms,
                   void (*ended)(void *context, size_t index), void *context);
/* When children_tend has something to do next; INT64_MAX: nothing. */
int64_t children_due_ms(const struct children *children);

/* Its pipe is at its end or broken: no more is said to it. */
void child_lost(struct child *child, int64_t now_ms);
/* Ends it by force: the watchdog's way. */
void child_kill(struct child *child);

void child_note_turn(struct child *child, uint64_t microseconds);
/* The median of the latest turns, 0 without any. */
uint64_t child_turn_median_us(const struct child *child);
/* It has work as of now, or has said something: its silence counts from here. */
void child_heard(struct child *child, int64_t now_ms);
/* Looks whether it has counted work since the last look; adds to its silence if not. */
void child_look(struct child *child, int64_t now_ms);
/* How long it may show no progress while it holds jobs: the watchdog's time, and as long as its
 * turn was expected to take, for a device that does a whole turn in one piece. */
int64_t child_patience_ms(const struct children *children, const struct child *child);

const struct child_model *child_model(const struct child *child, const char *id);
/* Whether every child is ready, refused or has failed at least once: the fleet can be told what we
 * have. */
bool children_settled(const struct children *children);
size_t children_ready(const struct children *children);
bool children_all_refused(const struct children *children);

#endif
