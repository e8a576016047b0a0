/* redis_calls.c - the pipeline of a turn: script calls out, in batches, replies in, and what the
 * replies say of Redis. */
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

/* "$" or "*", the number, and a line's end. */
static enum status put_length(struct bytes *out, char kind, size_t length) {
  char text[24], *at = text + sizeof text;
  *--at = '\n';
  *--at = '\r';
  do {
    *--at = (char)('0' + length % 10);
  } while ((length /= 10) > 0);
  *--at = kind;
  return bytes_append(out, at, (size_t)(text + sizeof text - at));
}

static enum status put_bytes(struct bytes *out, const void *data, size_t bytes) {
  TRY(put_length(out, '$', bytes));
  TRY(bytes_append(out, data, bytes));
  return bytes_append(out, "\r\n", 2);
}

static enum status put_text(struct bytes *out, const char *text) {
  return put_bytes(out, text, strlen(text));
}

static enum status put_number(struct bytes *out, uint64_t number) {
  char text[24], *at = text + sizeof text;
  do {
    *--at = (char)('0' + number % 10);
  } while ((number /= 10) > 0);
  return put_bytes(out, at, (size_t)(text + sizeof text - at));
}

/* A turn's frames are bounded far below the buffer's maximum. */
static void put_argument(struct redis *redis, enum status status) {
  assert(status == OK && redis->calling &&
         redis->calls[redis->call_count].arguments < REDIS_CALL_ARGUMENTS_MAX);
  redis->calls[redis->call_count].arguments++;
}

void redis_bytes(struct redis *redis, const void *data, size_t bytes) {
  put_argument(redis, put_bytes(&redis->arguments, data, bytes));
}

void redis_text(struct redis *redis, const char *text) { redis_bytes(redis, text, strlen(text)); }

void redis_number(struct redis *redis, uint64_t number) {
  put_argument(redis, put_number(&redis->arguments, number));
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

/* ---- batches --------------------------------------------------------------------------------- */

/* What goes to Redis as one command: a script of its own, or ops that follow each other, as the
 * first flavour that may run them all. */
struct batch {
  enum script script;
  size_t from, end; /* in the calls; those between that have a reply are left out */
  size_t ops, arguments;
};

static bool is_op(enum script script) { return script >= SCRIPTS_LOADED; }

/* The next batch from `from` on; false: there is none. */
static bool next_batch(const struct redis *redis, size_t from, struct batch *batch) {
  while (from < redis->call_count && redis->calls[from].reply != NULL) {
    from++;
  }
  if (from == redis->call_count) {
    return false;
  }
  const struct call *first = &redis->calls[from];
  *batch = (struct batch){.script = first->script, .from = from, .end = from + 1};
  if (!is_op(first->script)) {
    batch->arguments = first->arguments;
    return true;
  }
  batch->script = SCRIPT_LOOK;
  size_t at = from;
  for (; at < redis->call_count && batch->ops < BATCH_CALLS_MAX; at++) {
    const struct call *call = &redis->calls[at];
    if (call->reply != NULL) {
      continue;
    }
    if (!is_op(call->script)) {
      break;
    }
    enum script flavour = scripts[call->script].flavour;
    batch->script = flavour < batch->script ? flavour : batch->script;
    batch->ops++;
    batch->arguments += 2 + call->arguments;
  }
  batch->end = at;
  return true;
}

static enum status put_batch(struct redis *redis, const struct batch *batch, bool with_source) {
  struct bytes *out = &redis->out;
  TRY(put_length(out, '*', batch->arguments + 3));
  TRY(put_text(out, with_source ? "EVAL" : "EVALSHA"));
  TRY(put_text(
      out, with_source ? bytes_text(&redis->source[batch->script]) : redis->sha[batch->script]));
  TRY(put_number(out, 0));
  for (size_t i = batch->from; i < batch->end; i++) {
    const struct call *call = &redis->calls[i];
    if (call->reply != NULL) {
      continue;
    }
    if (is_op(call->script)) {
      TRY(put_text(out, scripts[call->script].name));
      TRY(put_number(out, call->arguments));
    }
    TRY(bytes_append(out, redis->arguments.data + call->offset, call->bytes));
  }
  return OK;
}

enum status redis_calls_append(struct redis *redis, size_t from, bool with_source) {
  struct batch batch;
  bytes_clear(&redis->out);
  for (size_t at = from; next_batch(redis, at, &batch); at = batch.end) {
    TRY(put_batch(redis, &batch, with_source));
  }
  return connection_append(&redis->commands, redis->out.data, redis->out.length);
}

/* ---- replies --------------------------------------------------------------------------------- */

static enum status read_reply(struct redis *redis, redisReply **out) {
  int64_t deadline = clock_ms() + REDIS_WAIT_MS;
  redisReply *reply = NULL;
  TRY(connection_reply(&redis->commands, &reply));
  while (reply == NULL) {
    int64_t left = deadline - clock_ms();
    if (left <= 0) {
      return fail(UNAVAILABLE, "Redis does not answer");
    }
    TRY(connection_exchange(&redis->commands, left < SLICE_MS ? left : SLICE_MS));
    redis->options.while_waiting(redis->options.context);
    TRY(connection_reply(&redis->commands, &reply));
  }
  *out = reply;
  return OK;
}

/* Whether another flavour may do what this one was refused for: Redis is full, its disk is, or the
 * user may only read. */
static bool is_narrower(enum redis_error_class class) {
  return class == REDIS_FULL || class == REDIS_UNSAVED || class == REDIS_FORBIDDEN;
}

/* Hands the reply out. True: some calls of the batch have none yet and are to be sent again, with
 * the source (it ran nothing, so that is no repetition), or without those that were refused. */
static bool hand_out(struct redis *redis, const struct batch *batch, const redisReply *reply,
                     bool with_source) {
  bool refused = reply->type == REDIS_REPLY_ERROR, again = false;
  enum redis_error_class class = refused ? redis_error_read(reply->str).class : REDIS_OURS;
  bool whole = !refused && reply->type == REDIS_REPLY_ARRAY && reply->elements == batch->ops;
  size_t op = 0;
  for (size_t i = batch->from; i < batch->end; i++) {
    struct call *call = &redis->calls[i];
    if (call->reply != NULL) {
      continue;
    }
    bool narrower = is_op(call->script) && scripts[call->script].flavour > batch->script;
    if (refused &&
        ((class == REDIS_SCRIPT_GONE && !with_source) || (narrower && is_narrower(class)))) {
      again = true;
    } else {
      call->reply = is_op(call->script) && whole ? reply->element[op++] : reply;
    }
  }
  return again;
}

/* Waits for the replies in order. The deadline moves with every reply: a long pipeline is not a
 * hung Redis. *again: some are to be sent once more. */
static enum status read_replies(struct redis *redis, size_t from, bool *with_source, bool *again) {
  struct batch batch;
  bool gone = *with_source;
  for (size_t at = from; next_batch(redis, at, &batch); at = batch.end) {
    redisReply *reply = NULL;
    TRY(read_reply(redis, &reply));
    assert(redis->kept_count < sizeof redis->kept / sizeof redis->kept[0]);
    redis->kept[redis->kept_count++] = reply;
    *again = hand_out(redis, &batch, reply, *with_source) || *again;
    gone = gone || (reply->type == REDIS_REPLY_ERROR &&
                    redis_error_read(reply->str).class == REDIS_SCRIPT_GONE);
  }
  *with_source = gone;
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

/* What was not known is sent again with its source, and what a flavour was refused for others' sake
 * as the next. Calls that are sent again run after those behind them: each is atomic, and a later
 * one that found too little (an offer before its submit) is made again by the clock. A connection
 * that fails here is closed with replies outstanding: none of them may be taken for the answer to a
 * later call. */
void redis_flush(struct redis *redis) {
  size_t from = redis->flushed;
  redis->flushed = redis->call_count;
  if (from == redis->call_count || redis->stage != UP) {
    return;
  }
  int64_t started_ns = clock_ns();
  bool again = true, with_source = false;
  for (int sending = 0; again && sending < SENDINGS_MAX; sending++) {
    again = false;
    if (redis_calls_append(redis, from, with_source) != OK ||
        read_replies(redis, from, &with_source, &again) != OK) {
      redis_go_away(redis);
      return;
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
  for (size_t i = 0; i < redis->kept_count; i++) {
    freeReplyObject(redis->kept[i]);
  }
  redis->kept_count = redis->call_count = redis->flushed = 0;
  bytes_clear(&redis->arguments);
}
