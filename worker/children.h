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
#include "store/digest.h"
#include "worker/devices.h"
#include "worker/engine/pipe.h"
#include "worker/engine/pulse.h"

#define CHILD_TURNS_KEPT 32

enum child_state {
  CHILD_AWAY,    /* not running; started again at due_ms */
  CHILD_LOADING, /* running; has not said Ready */
  CHILD_READY,   /* takes jobs */
  CHILD_LEAVING, /* its end of the pipe is closed; killed at due_ms if it has not ended by then */
  CHILD_REFUSED, /* it will not have its settings or models: never started again */
  CHILD_CORDONED /* its device is no longer trusted (hardware.h): not started until it is let in */
};

struct child_model {
  char id[JOB_MODEL_BYTES_MAX + 1];
  char sha256[SHA256_TEXT_MAX];
  char family[32];
  uint32_t default_side, max_side;
};

/* How it ended last, as far as its exit tells. */
enum child_end {
  END_NONE,    /* it has not */
  END_ORDERED, /* it left in order */
  END_REFUSED, /* settings or models are wrong: so they would be for the next one */
  END_SHORT,   /* no device or not enough memory now */
  END_OUTSIDE, /* somebody else ended it: an operator, or the kernel for want of memory */
  END_LOADING, /* we ended it: it loaded without progress, as from a disk that hangs */
  END_SILENT,  /* we ended it: it worked without progress */
  END_CORDON,  /* we ended it: its device was cordoned */
  END_FAULT,   /* it broke: the device, a library, or what it was given to compute */
};

#define CHILD_REASON_BYTES_MAX 192

/* What an engine has told of its device; "" and 0: nothing. */
struct child_hardware {
  char model[GPU_MODEL_BYTES_MAX];
  char uuid[GPU_UUID_BYTES_MAX];
  char driver[GPU_DRIVER_BYTES_MAX];
  char runtime[64];
  char element[8];
  char determinism[8];
  uint32_t capability;
  uint64_t memory_total;
};

struct child {
  const char *device; /* place->name */
  const struct worker_device *place;
  enum child_state state;
  enum child_end end;
  char reason[CHILD_REASON_BYTES_MAX]; /* why it ended last: its own words where it had any */
  struct child_hardware hardware;
  pid_t pid;
  struct pipe pipe;
  bool killed;   /* by the watchdog, or because its device was cordoned */
  bool cordoned; /* it is not to be started */
  bool loaded;   /* it has said Ready in this life */
  bool said_why; /* it has said why it leaves */
  bool told;     /* its end, which is not seen to come: a process in the driver may stay */
  int64_t killed_ms;
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
  size_t on_host; /* of them: those that compute in the host's memory and share it */
  int64_t load_ms, watchdog_ms;
  const char *spool; /* where engines keep the pictures of their self-test; NULL: nowhere */
};

/* devices are borrowed. Nothing is started yet. */
void children_open(struct children *children, const struct worker_devices *devices);
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
/* Ends it by force: the watchdog's way. One that is still there seconds later hangs in the driver:
 * it counts as ended then, and its device stays without an engine until it is gone. */
void child_kill(struct child *child);
/* From now on it is not started: the device is cordoned. Its end, if it lives, is waited for. */
void child_cordon(struct child *child);
/* It may be started again, at once. */
void child_let_in(struct child *child, int64_t now_ms);
/* What it said before it left: kept until the next end. */
void child_says_why(struct child *child, const char *reason);

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
/* Whether every child is ready, refused, cordoned or has failed at least once: the fleet can be
 * told what we have. */
bool children_settled(const struct children *children);
size_t children_ready(const struct children *children);
bool children_all_refused(const struct children *children);

#endif
