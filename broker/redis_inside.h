/* redis_inside.h - what redis.c (connecting), redis_events.c (listening), redis_calls.c (the
 * pipeline) and redis_away.c (under all three) share. For nobody else.
 */
#ifndef DARKROOM_BROKER_REDIS_INSIDE_H
#define DARKROOM_BROKER_REDIS_INSIDE_H

#include "base/bytes.h"
#include "broker/greeting.h"
#include "broker/redis.h"
#include "broker/redis_url.h"
#include "broker/resolver.h"
#include "broker/standing.h"

#define PIPELINE_BYTES_MAX ((size_t)64 * 1024 * 1024)
enum { SHA_TEXT = 41, SOURCE_BYTES_MAX = 1024 * 1024 };
enum { REDIS_PAUSE_MS_MIN = 50 }; /* between two attempts to connect, doubled each time */

/* AWAY waits for retry_ms. RESOLVING has asked for the host's addresses. GREETING asks one of them
 * what it is and loads the scripts. BOOTING runs trial.lua and boot.lua alone, because no script
 * that gives out fences may run on a new run of Redis before the fence has jumped. UP takes the
 * turns' pipelines. Any failure leads back to AWAY. */
enum stage { AWAY, RESOLVING, GREETING, BOOTING, UP };

/* What one call of Redis does at most: so long nobody else is served. */
enum { BATCH_CALLS_MAX = 64 };
/* How often one call may be sent: with its source, and in each flavour. */
enum { SENDINGS_MAX = 4 };

/* A script call, or an op of a turn: where its arguments are in the buffer. */
struct call {
  enum script script;
  size_t arguments;
  size_t offset, bytes;
  const redisReply *reply; /* in one of those that are kept */
};

struct redis {
  struct redis_options options;
  struct redis_url url;
  struct bytes source[SCRIPTS_LOADED]; /* the scripts with the prefix in them */
  char sha[SCRIPTS_LOADED][SHA_TEXT];
  enum stage stage;
  char why[256];              /* it is not up */
  bool refused;               /* and repeating will not help */
  int64_t away_since_ms;      /* 0 while up */
  int64_t retry_ms, pause_ms; /* when to connect again; the present pause */
  int64_t deadline_ms;        /* when to stop waiting for an answer */
  struct resolver resolver;
  struct addresses addresses; /* of the host, and which of them is tried next or connected to */
  size_t address_next;
  struct address address;
  struct connection commands;
  struct greeting greeting;
  size_t booted; /* replies of trial and boot that have come */
  struct connection events;
  bool subscribed;
  size_t events_login; /* replies that come before the first event */
  int64_t events_heard_ms, events_asked_ms;
  struct standing standing;
  struct bytes arguments, out;
  struct call
      calls[REDIS_CALLS_MAX + 1]; /* one more: a call too many is written there and never made */
  size_t call_count, flushed;
  redisReply *kept[SENDINGS_MAX * (REDIS_CALLS_MAX + 1)];
  size_t kept_count;
  bool calling;
};

/* The connection is of no use: the reason is fail_reason(). */
void redis_go_away(struct redis *redis);
/* Logs the reason, once for each, and keeps it as why. */
void redis_say_away(struct redis *redis);

/* Opens the connection for events to where the commands go. */
void redis_events_begin(struct redis *redis);
/* Moves it on without waiting. */
void redis_events_serve(struct redis *redis);

/* Puts the calls from `from` on that have no reply yet into the connection. */
enum status redis_calls_append(struct redis *redis, size_t from, bool with_source);

#endif
