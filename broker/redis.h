/* redis.h - the queue's Redis: greeted and checked, scripts by SHA in one pipeline a turn, events,
 * reconnect.
 *
 * Nothing here waits except redis_flush, and that at most REDIS_WAIT_MS. While Redis is away
 * redis_up is false, calls have no reply, and redis_serve tries again with growing pauses.
 */
#ifndef DARKROOM_BROKER_REDIS_H
#define DARKROOM_BROKER_REDIS_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "broker/connection.h"
#include "broker/scripts.h"

#define REDIS_WAIT_MS 2000
#define REDIS_CALLS_MAX 2048
#define REDIS_CALL_ARGUMENTS_MAX 1024
#define REDIS_PREFIX_BYTES_MAX 64

struct redis;

struct redis_options {
  const char *url;
  const char *prefix; /* of every key and of the channel, "dk:"; REDIS_PREFIX_BYTES_MAX at most */
  bool allow_unsafe;  /* take a Redis that may lose or evict what it has acknowledged */
  /* An event was published; text is NULL when some may have been missed. Called from redis_serve
   * only. */
  void (*on_event)(void *context, const char *text, size_t bytes);
  /* Called every few milliseconds while redis_flush waits: what arrives meanwhile is taken in. It
   * may not call anything of Redis. */
  void (*while_waiting)(void *context);
  void *context;
};

/* Reads the URL and prepares; redis_serve connects. BAD_INPUT for a bad URL. */
enum status redis_open(const struct redis_options *options, struct redis **out);
void redis_close(struct redis **redis);

/* True while script calls can be made. */
bool redis_up(const struct redis *redis);
/* True when also the events are there: everything that will be needed has been tried and works. */
bool redis_tried(const struct redis *redis);
/* Why it is not up, one line; "" while it is. */
const char *redis_why(const struct redis *redis);
/* True when Redis was reached and refuses us, or we refuse it, and repeating will not help: the
 * reason to leave at start. */
bool redis_refused(const struct redis *redis);
/* True when the last call of every kind worked and the events are there; otherwise line says what
 * does not, for how long, and in Redis's own words. */
bool redis_ready(const struct redis *redis, char *line, size_t bytes);

/* Moves connecting, greeting, events and reconnecting on as far as it goes without waiting. Call
 * when a polled fd is ready and at least every 100 ms. */
void redis_serve(struct redis *redis);
/* Fills items with what to poll for; returns how many, at most 2. */
size_t redis_poll(const struct redis *redis, struct pollfd items[2]);

/* True while another message's calls surely fit into this turn. */
bool redis_room(const struct redis *redis);

/* One script call: begin, its arguments in order, end. The number names the reply after the flush.
 * A call more than fits in a turn is not made and has no reply. */
void redis_begin(struct redis *redis, enum script script);
void redis_text(struct redis *redis, const char *text);
void redis_bytes(struct redis *redis, const void *data, size_t bytes);
void redis_number(struct redis *redis, uint64_t number);
size_t redis_end(struct redis *redis);

/* Sends all calls since the last flush as one pipeline and waits for every reply. Scripts that
 * Redis has forgotten are loaded and called again. When Redis falls silent the calls stay without a
 * reply: whether they happened is not known. */
void redis_flush(struct redis *redis);

/* The reply, borrowed until redis_forget. UNAVAILABLE: none came. Otherwise what Redis's refusal
 * means (redis_error.h): UNAVAILABLE, EXHAUSTED when it has no memory, BROKEN when it is a fault of
 * ours. */
enum status redis_answer(const struct redis *redis, size_t call, const redisReply **out);

/* Frees the replies and starts numbering calls from 0. */
void redis_forget(struct redis *redis);

#endif
