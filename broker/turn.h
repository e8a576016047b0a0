/* turn.h - the rhythm of the broker: take the burst that is there, ask Redis everything in one
 * pipeline, answer everyone.
 *
 * A message is a request: its verb's ask() appends script calls, and after the flush its answer()
 * reads their replies and sends. An answer that needs to ask again says so and gets a second round
 * in the same turn.
 */
#ifndef DARKROOM_BROKER_TURN_H
#define DARKROOM_BROKER_TURN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "broker/door.h"
#include "broker/fleet.h"
#include "broker/listing.h"
#include "broker/queue.h"
#include "broker/redis.h"
#include "broker/waiting.h"
#include "proto/refusal.h"
#include "proto/wire.h"

#define TURN_BURST_MAX 256 /* messages taken in one turn */
#define TURN_REQUESTS_MAX 2048
#define TURN_ROUNDS_MAX 4
#define TURN_BYTES_MAX ((size_t)256 * 1024 * 1024)
#define TURN_BYTES_KEPT ((size_t)8 * 1024 * 1024) /* from one turn to the next */
#define RETRY_AFTER_MS 1000

struct request;
struct turn;

/* A message, or an errand of the broker's own: what to ask, and what to do with the answer. A
 * status other than OK is answered with ERROR: as request->why says, or UNAVAILABLE with the reason
 * of the failure. */
struct verb {
  const char *name;
  enum status (*ask)(struct turn *turn, struct request *request);
  enum status (*answer)(struct turn *turn, struct request *request);
};

/* Being served in this turn. Lives in the turn's arena. */
struct request {
  const struct verb *verb;
  struct peer peer; /* who asked; errands have none */
  size_t promised;  /* room that the door keeps for the answer */
  bool errand;
  const ProtobufCMessage *message; /* of the verb's type; of an errand: NULL */
  const void *subject;             /* an errand's own */
  const char *tenant, *job;        /* whose jobs it is about, and the name of the one it names */
  size_t call, calls;              /* its script calls, the first and how many */
  int round;                       /* 0 at the first ask */
  bool again;                      /* set by answer: ask me once more */
  enum status asked;               /* of ask(); the answer half is left out unless OK */
  struct refusal why;
};

struct turn_options {
  struct door *door;     /* listening; borrowed */
  struct redis *redis;   /* borrowed */
  uint64_t queue_max;    /* waiting jobs, above which submits are refused */
  uint64_t retention_ms; /* how long ended jobs are kept */
  struct shares_settings shares;
};

struct turn {
  struct turn_options options;
  struct door *door;
  struct redis *redis;
  struct waiting *waiting;
  struct listings listings;
  struct fleet fleet;
  struct arena *arena;
  char name[40]; /* of this broker, random: where workers were heard last */
  struct request *requests[TURN_REQUESTS_MAX];
  size_t count;
  bool was_up;
  bool fleet_due;                         /* the fleet has changed: read it again */
  int64_t tick_ms, position_ms, stats_ms; /* when the errands of the clock are due */
};

enum status turn_open(const struct turn_options *options, struct turn **out);
void turn_close(struct turn **turn);

/* Does all that is there now. Never waits but for Redis. */
void turn_run(struct turn *turn);

/* Milliseconds until the clock's next errand. */
int64_t turn_wait_ms(const struct turn *turn);

/* An event from Redis, for redis_options.on_event; context is the turn. */
void turn_event(void *context, const char *text, size_t bytes);

#endif
