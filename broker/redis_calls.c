/* redis_calls.c - the pipeline of a turn: script calls out, replies in, and what the replies say of
 * Redis. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "broker/redis_inside.h"
#include "monitoring/log.h"
#include "monitoring/metrics.h"

enum { SLICE_MS = 5 }; /* between two looks at what arrives while Redis is waited for */

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
enum status redis_calls_append(struct redis *redis, size_t from, bool with_source) {
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
        TRY(connection_exchange(&redis->commands, left < SLICE_MS ? left : SLICE_MS));
        redis->options.while_waiting(redis->options.context);
      }
    }
    deadline = clock_ms() + REDIS_WAIT_MS;
    freeReplyObject(call->reply);
    call->reply = reply;
  }
  return OK;
}

/* Notes what each reply says of Redis. True: one of them says that this connection is of no use. */
static bool note_replies(struct redis *redis, size_t from) {
  bool anew = false;
  for (size_t i = from; i < redis->call_count; i++) {
    const struct call *call = &redis->calls[i];
    if (call->reply == NULL || call->reply->type != REDIS_REPLY_ERROR) {
      standing_worked(&redis->standing, call->script);
      continue;
    }
    struct redis_error error = redis_error_read(call->reply->str);
    const char *class = redis_error_class(error.class)->name;
    standing_refused(&redis->standing, call->script, error.class, call->reply->str);
    metric_add_labelled(M_REDIS_REFUSALS, class, 1);
    log_warning("redis_refused", log_text("script", scripts[call->script].name),
                log_text("class", class), log_text("reason", call->reply->str));
    if (error.anew && !anew) {
      anew = true;
      fail(UNAVAILABLE, "Redis refuses %s (%s): %s", scripts[call->script].name, class,
           call->reply->str);
    }
  }
  return anew;
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
    if (redis_calls_append(redis, from, attempt > 0) != OK || read_replies(redis, from) != OK) {
      redis_go_away(redis);
      return;
    }
    for (size_t i = from; i < redis->call_count; i++) {
      again = again || forgotten(redis->calls[i].reply);
    }
  }
  metric_observe(M_REDIS_COMMAND_DURATION, (double)(clock_ns() - started_ns) / 1e9);
  if (note_replies(redis, from)) {
    redis_go_away(redis);
  }
}

/* Redis's own words up to where it says which line of which script it was. */
static int words_length(const char *text) {
  const char *end = strstr(text, " script: ");
  size_t length = strcspn(text, "\r\n");
  return end != NULL && (size_t)(end - text) < length ? (int)(end - text) : (int)length;
}

enum status redis_answer(const struct redis *redis, size_t call, const redisReply **out) {
  assert(call < redis->call_count || call == REDIS_CALLS_MAX);
  const redisReply *reply = redis->calls[call].reply;
  if (reply == NULL) {
    return fail(UNAVAILABLE, "the queue is away: %s",
                redis->stage == UP ? "too much at once" : redis->why);
  }
  if (reply->type == REDIS_REPLY_ERROR) {
    const struct redis_error_class_row *row = redis_error_class(redis_error_read(reply->str).class);
    fail(UNAVAILABLE, "%s (%s): %.*s", row->words, row->name, words_length(reply->str), reply->str);
    return row->status;
  }
  *out = reply;
  return OK;
}

void redis_forget(struct redis *redis) {
  for (size_t i = 0; i < redis->call_count; i++) {
    freeReplyObject(redis->calls[i].reply);
    redis->calls[i].reply = NULL;
  }
  redis->call_count = redis->flushed = 0;
  bytes_clear(&redis->arguments);
}
