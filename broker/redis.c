/* redis.c - away -> greeting -> booting -> up, and the pipeline while it is up. */
#include "broker/redis.h"

#include <assert.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "broker/greeting.h"
#include "broker/keys.h"
#include "monitoring/log.h"
#include "monitoring/metrics.h"

#define PIPELINE_BYTES_MAX ((size_t)64 * 1024 * 1024)
enum {
  PAUSE_MS_MIN = 50, /* between two attempts to connect, doubled each time */
  PAUSE_MS_MAX = 2000,
  REFUSED_PAUSE_MS = 5000,
  PING_MS = 1000, /* on the events connection, which is silent by nature */
  EVENTS_WAIT_MS = 3500,
  SHA_TEXT = 41,
};

/* AWAY waits for retry_ms. GREETING asks Redis what it is and loads the scripts. BOOTING runs
 * boot.lua alone, because no other script may run on a new run of Redis before the fence has
 * jumped. UP takes the turns' pipelines. Any failure leads back to AWAY. */
enum stage { AWAY, GREETING, BOOTING, UP };

/* One script call: where its arguments are in the buffer. */
struct call {
  enum script script;
  size_t arguments;
  size_t offset, bytes;
  redisReply *reply;
};

struct redis {
  struct redis_options options;
  struct redis_url url;
  char sha[SCRIPTS_COUNT][SHA_TEXT];
  enum stage stage;
  char why[256];
  bool refused;
  int64_t retry_ms, pause_ms,
      deadline_ms; /* when to connect again; the present pause; when to stop waiting */
  struct connection commands;
  struct greeting greeting;
  struct connection events;
  size_t events_login; /* replies that come before the first event */
  int64_t events_heard_ms, events_asked_ms;
  struct bytes arguments, out;
  struct call
      calls[REDIS_CALLS_MAX + 1]; /* one more: a call too many is written there and never made */
  size_t call_count, flushed;
  bool calling;
};

/* ---- opening --------------------------------------------------------------------------------- */

/* By ourselves instead of from SCRIPT LOAD's reply: the name of a script is known before Redis is.
 */
static void sha_of(const char *source, char *text) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned bytes = 0;
  int made = EVP_Digest(source, strlen(source), digest, &bytes, EVP_sha1(), NULL);
  assert(made == 1 && bytes == (SHA_TEXT - 1) / 2);
  for (unsigned i = 0; i < bytes; i++) {
    snprintf(text + (size_t)2 * i, 3, "%02x", digest[i]);
  }
}

enum status redis_open(const struct redis_options *options, struct redis **out) {
  struct redis *redis = calloc(1, sizeof *redis);
  if (redis == NULL) {
    return fail(EXHAUSTED, "no memory for the Redis connection");
  }
  redis->options = *options;
  enum status status = redis_url_parse(options->url, &redis->url);
  if (status != OK) {
    free(redis);
    return status;
  }
  for (size_t i = 0; i < SCRIPTS_COUNT; i++) {
    sha_of(scripts[i].source, redis->sha[i]);
  }
  bytes_open(&redis->arguments, PIPELINE_BYTES_MAX);
  bytes_open(&redis->out, PIPELINE_BYTES_MAX);
  snprintf(redis->why, sizeof redis->why, "not connected to Redis yet");
  redis->pause_ms = PAUSE_MS_MIN;
  *out = redis;
  return OK;
}

void redis_close(struct redis **pointer) {
  if (*pointer == NULL) {
    return;
  }
  struct redis *redis = *pointer;
  redis_forget(redis);
  connection_close(&redis->commands);
  connection_close(&redis->events);
  bytes_close(&redis->arguments);
  bytes_close(&redis->out);
  free(redis);
  *pointer = NULL;
}

bool redis_up(const struct redis *redis) { return redis->stage == UP; }

const char *redis_why(const struct redis *redis) { return redis->stage == UP ? "" : redis->why; }

bool redis_refused(const struct redis *redis) { return redis->refused; }

/* ---- connecting ------------------------------------------------------------------------------ */

/* The reason is fail_reason(). Pauses grow so that a Redis that struggles is not stormed. */
static void go_away(struct redis *redis) {
  if (redis->stage == UP || strcmp(redis->why, fail_reason()) != 0) {
    log_warning("redis_away", log_text("reason", fail_reason()));
  }
  snprintf(redis->why, sizeof redis->why, "%s", fail_reason());
  redis->stage = AWAY;
  connection_close(&redis->commands);
  connection_close(&redis->events);
  redis->retry_ms = clock_ms() + (redis->refused ? REFUSED_PAUSE_MS : redis->pause_ms);
  redis->pause_ms = redis->pause_ms * 2 > PAUSE_MS_MAX ? PAUSE_MS_MAX : redis->pause_ms * 2;
  metric_set(M_REDIS_UP, 0);
}

static void begin_greeting(struct redis *redis) {
  size_t login = 0;
  redis->refused = false;
  redis->deadline_ms = clock_ms() + REDIS_WAIT_MS;
  redis->stage = GREETING;
  if (connection_open(&redis->commands, &redis->url, &login) != OK ||
      greeting_ask(&redis->greeting, &redis->commands, login) != OK) {
    go_away(redis);
  }
}

static enum status append_calls(struct redis *redis, size_t from, bool with_source);

/* The greeting is done: the fence and the clock learn whether this is a new run of Redis. */
static void begin_boot(struct redis *redis) {
  enum status status = greeting_judge(&redis->greeting, redis->options.allow_unsafe);
  if (status != OK) {
    redis->refused = status == BAD_INPUT;
    go_away(redis);
    return;
  }
  redis_forget(redis);
  redis_begin(redis, SCRIPT_BOOT);
  redis_text(redis, redis->greeting.run);
  redis_end(redis);
  redis->stage = BOOTING;
  if (append_calls(redis, 0, true) != OK) {
    go_away(redis);
  }
}

/* A connection of its own, because one that has subscribed may not run scripts. */
static void begin_events(struct redis *redis) {
  char channel[256];
  snprintf(channel, sizeof channel, "%s%s", redis->options.prefix, KEY_EVENTS);
  redis->events_heard_ms = redis->events_asked_ms = clock_ms();
  if (connection_open(&redis->events, &redis->url, &redis->events_login) != OK ||
      connection_command(&redis->events, (const char *const[]){"SUBSCRIBE", channel}, 2) != OK) {
    connection_close(&redis->events);
  }
}

static void end_boot(struct redis *redis, redisReply *reply) {
  bool fine = reply->type == REDIS_REPLY_INTEGER;
  if (!fine) {
    fail(UNAVAILABLE, "Redis does not run the boot script: %s",
         reply->type == REDIS_REPLY_ERROR ? reply->str : "?");
  } else if (reply->integer == 1) {
    log_event("redis_new_run", log_text("run", redis->greeting.run));
  }
  freeReplyObject(reply);
  if (!fine) {
    go_away(redis);
    return;
  }
  redis_forget(redis);
  redis->stage = UP;
  redis->pause_ms = PAUSE_MS_MIN;
  log_event("redis_up", log_text("version", redis->greeting.version));
  metric_set(M_REDIS_UP, 1);
  begin_events(redis);
}

/* Reads what came while greeting or booting. */
static void serve_commands(struct redis *redis) {
  if (connection_exchange(&redis->commands, 0) != OK) {
    go_away(redis);
    return;
  }
  for (;;) {
    redisReply *reply = NULL;
    if (connection_reply(&redis->commands, &reply) != OK) {
      go_away(redis);
      return;
    }
    if (reply == NULL) {
      break;
    }
    if (redis->stage == BOOTING) {
      end_boot(redis, reply);
      return;
    }
    enum status status = greeting_take(&redis->greeting, reply);
    freeReplyObject(reply);
    if (status != OK) {
      go_away(redis);
      return;
    }
    if (greeting_done(&redis->greeting)) {
      begin_boot(redis);
      return;
    }
  }
  if (redis->stage != UP && clock_ms() > redis->deadline_ms) {
    fail(UNAVAILABLE, "Redis does not answer");
    go_away(redis);
  }
}

/* ---- events ---------------------------------------------------------------------------------- */

static void take_event(struct redis *redis, const redisReply *reply) {
  if (redis->events_login > 0) {
    redis->events_login--; /* of AUTH or SELECT; a refusal shows when SUBSCRIBE is refused too */
    return;
  }
  if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 2) {
    fail(UNAVAILABLE, "Redis refuses the events: %s",
         reply->type == REDIS_REPLY_ERROR ? reply->str : "?");
    connection_close(&redis->events);
    return;
  }
  const char *kind = reply->element[0]->str != NULL ? reply->element[0]->str : "";
  if (strcmp(kind, "message") == 0 && reply->elements == 3) {
    redis->options.on_event(redis->options.context, reply->element[2]->str, reply->element[2]->len);
  } else if (strcmp(kind, "subscribe") == 0) {
    redis->options.on_event(redis->options.context, NULL, 0);
  }
}

/* Silence is what a healthy and a half-open connection have in common; a PING tells them apart.
 * Every fresh subscription says that events may have been missed (text NULL). */
static void serve_events(struct redis *redis) {
  int64_t now = clock_ms();
  if (redis->events.context == NULL) {
    if (now - redis->events_asked_ms >= PING_MS) {
      begin_events(redis);
    }
    return;
  }
  redisReply *reply = NULL;
  if (connection_exchange(&redis->events, 0) == OK) {
    while (connection_reply(&redis->events, &reply) == OK && reply != NULL) {
      redis->events_heard_ms = now;
      take_event(redis, reply);
      freeReplyObject(reply);
    }
  }
  if (now - redis->events_asked_ms >= PING_MS) {
    redis->events_asked_ms = now;
    (void)connection_command(&redis->events, (const char *const[]){"PING"}, 1);
  }
  if (redis->events.context != NULL && now - redis->events_heard_ms > EVENTS_WAIT_MS) {
    connection_close(&redis->events); /* half open: the next pass subscribes again */
  }
}

void redis_serve(struct redis *redis) {
  if (redis->stage == AWAY && clock_ms() >= redis->retry_ms) {
    begin_greeting(redis);
  }
  if (redis->stage != AWAY) {
    serve_commands(redis);
  }
  if (redis->stage == UP) {
    serve_events(redis);
  }
}

size_t redis_poll(const struct redis *redis, struct pollfd items[2]) {
  size_t count = 0;
  const struct connection *both[] = {&redis->commands, &redis->events};
  for (size_t i = 0; i < 2; i++) {
    if (connection_fd(both[i]) >= 0) {
      short wanted = connection_wants_write(both[i]) ? POLLIN | POLLOUT : POLLIN;
      items[count++] = (struct pollfd){.fd = connection_fd(both[i]), .events = wanted};
    }
  }
  return count;
}

/* ---- the pipeline ---------------------------------------------------------------------------- */

/* Half of the calls and a quarter of the bytes: what one message may add at most, and the errands
 * that its answers make, fit into the rest. */
bool redis_room(const struct redis *redis) {
  return redis->call_count < REDIS_CALLS_MAX / 2 &&
         redis->arguments.length < PIPELINE_BYTES_MAX / 4;
}

void redis_begin(struct redis *redis, enum script script) {
  assert(!redis->calling);
  redis->calling = true;
  redis->calls[redis->call_count] =
      (struct call){.script = script, .offset = redis->arguments.length};
}

void redis_bytes(struct redis *redis, const void *data, size_t bytes) {
  struct call *call = &redis->calls[redis->call_count];
  assert(redis->calling && call->arguments < REDIS_CALL_ARGUMENTS_MAX);
  call->arguments++;
  enum status status = bytes_printf(&redis->arguments, "$%zu\r\n", bytes);
  status = status != OK ? status : bytes_append(&redis->arguments, data, bytes);
  status = status != OK ? status : bytes_append(&redis->arguments, "\r\n", 2);
  assert(status == OK); /* a turn's frames are bounded far below the buffer's maximum */
}

void redis_text(struct redis *redis, const char *text) { redis_bytes(redis, text, strlen(text)); }

void redis_number(struct redis *redis, uint64_t number) {
  char text[24];
  snprintf(text, sizeof text, "%llu", (unsigned long long)number);
  redis_text(redis, text);
}

size_t redis_end(struct redis *redis) {
  assert(redis->calling);
  struct call *call = &redis->calls[redis->call_count];
  redis->calling = false;
  if (redis->call_count == REDIS_CALLS_MAX) {
    redis->arguments.length = call->offset;
    return REDIS_CALLS_MAX;
  }
  call->bytes = redis->arguments.length - call->offset;
  return redis->call_count++;
}

/* A reply that asks for the script's source: it ran nothing, so calling again is no repetition. */
static bool forgotten(const redisReply *reply) {
  return reply != NULL && reply->type == REDIS_REPLY_ERROR &&
         strncmp(reply->str, "NOSCRIPT", 8) == 0;
}

static bool wanted(const struct call *call) {
  return call->reply == NULL || forgotten(call->reply);
}

/* A call that was not known runs after those behind it in the pipeline that were: each is atomic,
 * and a later one that found too little (an offer before its submit) is made again by the clock.
 *
 * Puts the calls from `from` on that have no reply yet, or were not known, into the connection. */
static enum status append_calls(struct redis *redis, size_t from, bool with_source) {
  bytes_clear(&redis->out);
  for (size_t i = from; i < redis->call_count; i++) {
    const struct call *call = &redis->calls[i];
    if (!wanted(call)) {
      continue;
    }
    const char *script = with_source ? scripts[call->script].source : redis->sha[call->script];
    TRY(bytes_printf(&redis->out, "*%zu\r\n%s\r\n$%zu\r\n%s\r\n$1\r\n1\r\n$%zu\r\n%s\r\n",
                     call->arguments + 4, with_source ? "$4\r\nEVAL" : "$7\r\nEVALSHA",
                     strlen(script), script, strlen(redis->options.prefix), redis->options.prefix));
    TRY(bytes_append(&redis->out, redis->arguments.data + call->offset, call->bytes));
  }
  return connection_append(&redis->commands, redis->out.data, redis->out.length);
}

/* Waits for the replies in order. The deadline moves with every reply: a long pipeline is not a
 * hung Redis. */
static enum status read_replies(struct redis *redis, size_t from) {
  int64_t deadline = clock_ms() + REDIS_WAIT_MS;
  for (size_t i = from; i < redis->call_count; i++) {
    struct call *call = &redis->calls[i];
    if (!wanted(call)) {
      continue;
    }
    redisReply *reply = NULL;
    while (reply == NULL) {
      TRY(connection_reply(&redis->commands, &reply));
      int64_t left = deadline - clock_ms();
      if (reply == NULL && left <= 0) {
        return fail(UNAVAILABLE, "Redis does not answer");
      }
      if (reply == NULL) {
        TRY(connection_exchange(&redis->commands, left));
      }
    }
    deadline = clock_ms() + REDIS_WAIT_MS;
    freeReplyObject(call->reply);
    call->reply = reply;
  }
  return OK;
}

/* The second attempt sends sources instead of names, to those calls alone that Redis had forgotten.
 * A connection that fails here is closed with replies outstanding: none of them may be taken for
 * the answer to a later call. */
void redis_flush(struct redis *redis) {
  size_t from = redis->flushed;
  redis->flushed = redis->call_count;
  if (from == redis->call_count || redis->stage != UP) {
    return;
  }
  int64_t started_ns = clock_ns();
  bool again = true;
  for (int attempt = 0; again && attempt < 2; attempt++) {
    again = false;
    if (append_calls(redis, from, attempt > 0) != OK || read_replies(redis, from) != OK) {
      go_away(redis);
      return;
    }
    for (size_t i = from; i < redis->call_count; i++) {
      again = again || forgotten(redis->calls[i].reply);
    }
  }
  metric_observe(M_REDIS_COMMAND_DURATION, (double)(clock_ns() - started_ns) / 1e9);
}

const redisReply *redis_reply(const struct redis *redis, size_t call) {
  assert(call < redis->call_count || call == REDIS_CALLS_MAX);
  const redisReply *reply = redis->calls[call].reply;
  if (reply == NULL) {
    fail(UNAVAILABLE, "the queue is away: %s",
         redis->stage == UP ? "too much at once" : redis->why);
    return NULL;
  }
  if (reply->type == REDIS_REPLY_ERROR) {
    log_warning("redis_refused", log_text("script", scripts[redis->calls[call].script].name),
                log_text("reason", reply->str));
    fail(UNAVAILABLE, "the queue refuses: %.*s", (int)strcspn(reply->str, " \r\n"), reply->str);
    return NULL;
  }
  return reply;
}

void redis_forget(struct redis *redis) {
  for (size_t i = 0; i < redis->call_count; i++) {
    freeReplyObject(redis->calls[i].reply);
    redis->calls[i].reply = NULL;
  }
  redis->call_count = redis->flushed = 0;
  bytes_clear(&redis->arguments);
}
