/* redis_events.c - the subscription: a connection of its own, because one that has subscribed may
 * not run scripts. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "broker/keys.h"
#include "broker/redis_inside.h"
#include "monitoring/log.h"
#include "monitoring/metrics.h"

enum {
  PING_MS = 1000, /* on a connection that is silent by nature */
  EVENTS_WAIT_MS = 3500,
};

/* The reason is fail_reason(). It is said at the first time, and stands in /readyz until the events
 * are there again; the next pass but PING_MS tries anew. */
static void lose(struct redis *redis, enum redis_error_class class, const char *words) {
  if (redis->standing.row[STANDING_EVENTS].since_ms == 0) {
    log_warning("redis_events_lost", log_text("reason", fail_reason()));
  }
  standing_refused(&redis->standing, STANDING_EVENTS, class, words);
  redis->subscribed = false;
  connection_close(&redis->events);
}

/* The PING at once, because a user may be allowed to subscribe and not to ask whether the
 * connection is alive. */
void redis_events_begin(struct redis *redis) {
  char channel[256];
  snprintf(channel, sizeof channel, "%s%s", redis->options.prefix, KEY_EVENTS);
  redis->events_heard_ms = redis->events_asked_ms = clock_ms();
  redis->subscribed = false;
  if (connection_open(&redis->events, &redis->address, &redis->url, &redis->events_login) != OK ||
      connection_command(&redis->events, (const char *const[]){"SUBSCRIBE", channel}, 2) != OK ||
      connection_command(&redis->events, (const char *const[]){"PING"}, 1) != OK) {
    lose(redis, REDIS_BUSY, fail_reason());
  }
}

/* A refusal before the first subscription is final like any other of the start. */
static void refused(struct redis *redis, const redisReply *reply) {
  enum redis_error_class class =
      reply->type == REDIS_REPLY_ERROR ? redis_error_read(reply->str).class : REDIS_OURS;
  enum status status = greeting_refused("the events", reply);
  metric_add_labelled(M_REDIS_REFUSALS, redis_error_class(class)->name, 1);
  redis->refused = status == BAD_INPUT;
  snprintf(redis->why, sizeof redis->why, "%s", fail_reason());
  lose(redis, class, reply->type == REDIS_REPLY_ERROR ? reply->str : fail_reason());
}

static void take_event(struct redis *redis, const redisReply *reply) {
  if (reply->type == REDIS_REPLY_ERROR) {
    refused(redis, reply);
    return;
  }
  if (redis->events_login > 0) {
    redis->events_login--; /* of AUTH or SELECT */
    return;
  }
  if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 2) {
    refused(redis, reply);
    return;
  }
  const char *kind = reply->element[0]->str != NULL ? reply->element[0]->str : "";
  if (strcmp(kind, "message") == 0 && reply->elements == 3) {
    redis->options.on_event(redis->options.context, reply->element[2]->str, reply->element[2]->len);
  } else if (strcmp(kind, "subscribe") == 0) {
    redis->options.on_event(redis->options.context, NULL, 0);
  } else if (strcmp(kind, "pong") == 0) { /* which comes after subscribe: both are permitted */
    redis->subscribed = true;
    redis->refused = false;
    standing_worked(&redis->standing, STANDING_EVENTS);
  }
}

/* Silence is what a healthy and a half-open connection have in common; a PING tells them apart.
 * Every fresh subscription says that events may have been missed (text NULL). */
void redis_events_serve(struct redis *redis) {
  int64_t now = clock_ms();
  if (redis->events.context == NULL) {
    if (now - redis->events_asked_ms >= PING_MS) {
      redis_events_begin(redis);
    }
    return;
  }
  redisReply *reply = NULL;
  enum status status = connection_exchange(&redis->events, 0);
  while (status == OK && redis->events.context != NULL &&
         (status = connection_reply(&redis->events, &reply)) == OK && reply != NULL) {
    redis->events_heard_ms = now;
    take_event(redis, reply);
    freeReplyObject(reply);
  }
  if (status != OK) {
    lose(redis, REDIS_BUSY, fail_reason());
    return;
  }
  if (redis->events.context != NULL && now - redis->events_asked_ms >= PING_MS) {
    redis->events_asked_ms = now;
    (void)connection_command(&redis->events, (const char *const[]){"PING"}, 1);
  }
  if (redis->events.context != NULL && now - redis->events_heard_ms > EVENTS_WAIT_MS) {
    fail(UNAVAILABLE, "the connection for events is half open");
    lose(redis, REDIS_BUSY, fail_reason());
  }
}
