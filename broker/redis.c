/* redis.c - away -> resolving -> greeting -> booting -> up. */
#include "broker/redis.h"

#include <assert.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "broker/redis_inside.h"
#include "monitoring/log.h"
#include "monitoring/metrics.h"

/* ---- opening --------------------------------------------------------------------------------- */

/* By ourselves instead of from SCRIPT LOAD's reply: the name of a script is known before Redis is.
 */
static void sha_of(const char *source, char *text) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned bytes = 0;
  int made = EVP_Digest(source, strlen(source), digest, &bytes, EVP_sha1(), NULL);
  assert(made == 1 && bytes == (SHA_TEXT - 1) / 2);
  text_hex(digest, bytes, text);
}

/* The prefix as it stands in a text of Lua: every byte as its number. */
static enum status put_quoted(struct bytes *out, const char *text) {
  for (; *text != '\0'; text++) {
    TRY(bytes_printf(out, "\\%03d", (unsigned char)*text));
  }
  return OK;
}

/* The script with the prefix in its place, so that no call has to put a key's name together. */
static enum status put_source(struct bytes *out, const char *source, const char *prefix) {
  static const char place[] = "@PREFIX@";
  for (const char *at; (at = strstr(source, place)) != NULL; source = at + strlen(place)) {
    TRY(bytes_append(out, source, (size_t)(at - source)));
    TRY(put_quoted(out, prefix));
  }
  return bytes_append_text(out, source);
}

static enum status make_sources(struct redis *redis) {
  for (size_t i = 0; i < SCRIPTS_LOADED; i++) {
    bytes_open(&redis->source[i], SOURCE_BYTES_MAX);
    TRY(put_source(&redis->source[i], scripts[i].source, redis->options.prefix));
    sha_of(bytes_text(&redis->source[i]), redis->sha[i]);
  }
  return OK;
}

enum status redis_open(const struct redis_options *options, struct redis **out) {
  assert(strlen(options->prefix) <= REDIS_PREFIX_BYTES_MAX);
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
  status = make_sources(redis);
  if (status != OK) {
    redis_close(&redis);
    return status;
  }
  bytes_open(&redis->arguments, PIPELINE_BYTES_MAX);
  bytes_open(&redis->out, PIPELINE_BYTES_MAX);
  snprintf(redis->why, sizeof redis->why, "not connected to Redis yet");
  redis->pause_ms = REDIS_PAUSE_MS_MIN;
  redis->away_since_ms = clock_ms();
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
  resolver_close(&redis->resolver);
  bytes_close(&redis->arguments);
  bytes_close(&redis->out);
  for (size_t i = 0; i < SCRIPTS_LOADED; i++) {
    bytes_close(&redis->source[i]);
  }
  free(redis);
  *pointer = NULL;
}

bool redis_up(const struct redis *redis) { return redis->stage == UP; }

bool redis_tried(const struct redis *redis) { return redis->stage == UP && redis->subscribed; }

const char *redis_why(const struct redis *redis) {
  return redis->stage == UP && !redis->refused ? "" : redis->why;
}

bool redis_refused(const struct redis *redis) { return redis->refused; }

bool redis_ready(const struct redis *redis, char *line, size_t bytes) {
  if (redis->stage != UP) {
    snprintf(line, bytes, "for %lld s: %s", (long long)(clock_ms() - redis->away_since_ms) / 1000,
             redis->why);
    return false;
  }
  if (!standing_is_good(&redis->standing, line, bytes)) {
    return false;
  }
  snprintf(line, bytes, "%s", redis->subscribed ? "" : "not subscribed to the events yet");
  return redis->subscribed;
}

/* ---- connecting ------------------------------------------------------------------------------ */

/* Keeps in mind that repeating will not help, and goes away. */
static void give_up(struct redis *redis, enum status status) {
  redis->refused = status == BAD_INPUT;
  redis_go_away(redis);
}

static void begin_greeting(struct redis *redis) {
  size_t login = 0;
  redis->address = redis->addresses.address[redis->address_next++];
  redis->deadline_ms = clock_ms() + REDIS_WAIT_MS;
  redis->stage = GREETING;
  if (connection_open(&redis->commands, &redis->address, &redis->url, &login) != OK ||
      greeting_ask(&redis->greeting, &redis->commands, redis->source, login) != OK) {
    redis_go_away(redis);
  }
}

static void begin_resolving(struct redis *redis) {
  redis->stage = RESOLVING;
  redis->deadline_ms = clock_ms() + REDIS_WAIT_MS;
  if (resolver_ask(&redis->resolver, redis->url.host, redis->url.port) != OK) {
    redis_go_away(redis);
  }
}

/* A deaf name server may take minutes to be given up by the system; it is said early. */
static void serve_resolving(struct redis *redis) {
  bool answered = false;
  if (resolver_take(&redis->resolver, &answered, &redis->addresses) != OK) {
    redis_go_away(redis);
  } else if (answered) {
    begin_greeting(redis);
  } else if (clock_ms() > redis->deadline_ms) {
    fail(UNAVAILABLE, "no answer from the name server for %s", redis->url.host);
    redis_say_away(redis);
  }
}

static void begin_attempt(struct redis *redis) {
  redis->refused = false;
  if (redis->address_next < redis->addresses.count) {
    begin_greeting(redis);
  } else if (redis->url.path[0] == '\0') {
    begin_resolving(redis);
  } else if (connection_socket_address(redis->url.path, redis->addresses.address) == OK) {
    redis->addresses.count = 1;
    begin_greeting(redis);
  } else {
    redis_go_away(redis);
  }
}

/* The greeting is done. The trial comes first, because it names everything that is not permitted
 * and boot only what it needs itself; from boot the fence and the clock learn whether this is a new
 * run of Redis. */
static void begin_boot(struct redis *redis) {
  enum status status = greeting_judge(&redis->greeting, redis->options.allow_unsafe);
  if (status != OK) {
    give_up(redis, status);
    return;
  }
  redis_forget(redis);
  redis_begin(redis, SCRIPT_TRIAL);
  redis_end(redis);
  redis_begin(redis, SCRIPT_BOOT);
  redis_text(redis, redis->greeting.run);
  redis_end(redis);
  redis->stage = BOOTING;
  redis->booted = 0;
  if (redis_calls_append(redis, 0, true) != OK) {
    redis_go_away(redis);
  }
}

/* A full Redis refuses the trial, and is one to work with: what was accepted is worked off. It is
 * noted, so the broker is not ready. */
static enum status take_trial(struct redis *redis, const redisReply *reply) {
  memset(&redis->standing, 0, sizeof redis->standing);
  if (reply->type == REDIS_REPLY_INTEGER) {
    return OK;
  }
  if (reply->type == REDIS_REPLY_ERROR) {
    enum redis_error_class class = redis_error_read(reply->str).class;
    if (class == REDIS_FULL) {
      standing_refused(&redis->standing, SCRIPT_TRIAL, class, reply->str);
      return OK;
    }
  }
  return greeting_refused("what the queue needs", reply);
}

static enum status take_boot(struct redis *redis, const redisReply *reply) {
  if (reply->type != REDIS_REPLY_INTEGER) {
    return greeting_refused("the boot script", reply);
  }
  if (reply->integer == 1) {
    log_event("redis_new_run", log_text("run", redis->greeting.run));
  }
  return OK;
}

static void become_up(struct redis *redis) {
  char place[REDIS_HOST_BYTES_MAX];
  connection_address_text(&redis->address, place, sizeof place);
  redis_forget(redis);
  redis->stage = UP;
  redis->away_since_ms = 0;
  redis->pause_ms = REDIS_PAUSE_MS_MIN;
  log_event("redis_up", log_text("version", redis->greeting.version), log_text("at", place));
  metric_set(M_REDIS_UP, 1);
  redis_events_begin(redis);
}

/* The two replies of booting, in order, counted apart from the calls: a turn forgets those. */
static enum status take_booting(struct redis *redis, const redisReply *reply) {
  if (redis->booted == 0) {
    TRY(take_trial(redis, reply));
  } else {
    TRY(take_boot(redis, reply));
  }
  redis->booted++;
  return OK;
}

/* Reads what came while greeting or booting. */
static void serve_commands(struct redis *redis) {
  if (connection_exchange(&redis->commands, 0) != OK) {
    redis_go_away(redis);
    return;
  }
  for (;;) {
    redisReply *reply = NULL;
    if (connection_reply(&redis->commands, &reply) != OK) {
      redis_go_away(redis);
      return;
    }
    if (reply == NULL) {
      break;
    }
    enum status status = redis->stage == BOOTING ? take_booting(redis, reply)
                                                 : greeting_take(&redis->greeting, reply);
    freeReplyObject(reply);
    if (status != OK) {
      give_up(redis, status);
      return;
    }
    if (redis->stage == GREETING && greeting_done(&redis->greeting)) {
      begin_boot(redis);
      return;
    }
    if (redis->stage == BOOTING && redis->booted == 2) {
      become_up(redis);
      return;
    }
  }
  if (redis->stage != UP && clock_ms() > redis->deadline_ms) {
    fail(UNAVAILABLE, "Redis does not answer");
    redis_go_away(redis);
  }
}

void redis_serve(struct redis *redis) {
  if (redis->stage == AWAY && clock_ms() >= redis->retry_ms) {
    begin_attempt(redis);
  }
  if (redis->stage == RESOLVING) {
    serve_resolving(redis);
  }
  if (redis->stage > RESOLVING) {
    serve_commands(redis);
  }
  if (redis->stage == UP) {
    redis_events_serve(redis);
  }
}

size_t redis_poll(const struct redis *redis, struct pollfd items[2]) {
  size_t count = 0;
  if (redis->stage == RESOLVING) {
    items[count++] = (struct pollfd){.fd = resolver_fd(&redis->resolver), .events = POLLIN};
    return count;
  }
  const struct connection *both[] = {&redis->commands, &redis->events};
  for (size_t i = 0; i < 2; i++) {
    if (connection_fd(both[i]) >= 0) {
      short wanted = connection_wants_write(both[i]) ? POLLIN | POLLOUT : POLLIN;
      items[count++] = (struct pollfd){.fd = connection_fd(both[i]), .events = wanted};
    }
  }
  return count;
}
