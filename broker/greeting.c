/* greeting.c - INFO says run, version, eviction policy and whether there is an AOF; only CONFIG GET
 * says appendfsync, and an ACL may forbid that: then we say that we could not see it, and go on. */
#include "broker/greeting.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/redis_error.h"
#include "broker/scripts.h"
#include "monitoring/log.h"

enum { VERSION_MIN = 7 }; /* scripts say in their first line what they do */

/* Copies the value of "name:value\r\n" from an INFO text; "" when it is not there. */
static void info_value(const char *info, const char *name, char *out, size_t size) {
  out[0] = '\0';
  size_t length = strlen(name);
  for (const char *line = info; line != NULL; line = strchr(line, '\n')) {
    line += line[0] == '\n';
    if (strncmp(line, name, length) == 0 && line[length] == ':') {
      snprintf(out, size, "%.*s", (int)strcspn(line + length + 1, "\r\n"), line + length + 1);
      return;
    }
  }
}

enum status greeting_refused(const char *what, const redisReply *reply) {
  if (reply->type != REDIS_REPLY_ERROR) {
    return fail(BAD_INPUT, "Redis answers %s with something else", what);
  }
  const struct redis_error_class_row *row = redis_error_class(redis_error_read(reply->str).class);
  int length = (int)strcspn(reply->str, "\r\n");
  return row->final_at_start
             ? fail(BAD_INPUT, "Redis refuses %s (%s): %.*s", what, row->name, length, reply->str)
             : fail(UNAVAILABLE, "Redis refuses %s (%s): %.*s", what, row->name, length,
                    reply->str);
}

/* A replica may become the master, or its name may soon lead to another: that is waited for. The
 * rest stays as it is until somebody changes it. */
static enum status judge_server(const char *info, const char *version) {
  char loading[8], role[16], mode[16], host[128], port[8];
  info_value(info, "loading", loading, sizeof loading);
  info_value(info, "role", role, sizeof role);
  info_value(info, "redis_mode", mode, sizeof mode);
  info_value(info, "master_host", host, sizeof host);
  info_value(info, "master_port", port, sizeof port);
  if (strcmp(mode, "sentinel") == 0) {
    return fail(BAD_INPUT, "this is a Redis Sentinel, which keeps no queue: name the Redis itself");
  }
  if (strcmp(mode, "cluster") == 0) {
    return fail(BAD_INPUT,
                "Redis runs as a cluster: the queue needs one that is not "
                "(cluster-enabled no)");
  }
  if (strtol(version, NULL, 10) < VERSION_MIN) {
    return fail(BAD_INPUT, "Redis is too old: its version is %s and must be %d or later", version,
                VERSION_MIN);
  }
  if (strcmp(loading, "1") == 0) {
    return fail(UNAVAILABLE, "Redis is loading its data");
  }
  if (strcmp(role, "slave") == 0) {
    return fail(UNAVAILABLE,
                "Redis is a replica of %s:%s: waiting until it is the master, or its "
                "name leads to the master",
                host, port);
  }
  return OK;
}

static enum status take_info(struct greeting *greeting, const redisReply *reply) {
  if (reply->type != REDIS_REPLY_STRING) {
    return greeting_refused("INFO", reply);
  }
  info_value(reply->str, "run_id", greeting->run, sizeof greeting->run);
  info_value(reply->str, "redis_version", greeting->version, sizeof greeting->version);
  info_value(reply->str, "maxmemory_policy", greeting->eviction, sizeof greeting->eviction);
  info_value(reply->str, "aof_enabled", greeting->aof, sizeof greeting->aof);
  return judge_server(reply->str, greeting->version);
}

/* {name value name value}; what is missing could not be seen. */
static enum status take_config(struct greeting *greeting, const redisReply *reply) {
  greeting->appendfsync[0] = '\0';
  greeting->skips_fsync = false;
  for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i + 1 < reply->elements; i += 2) {
    const char *name = reply->element[i]->str, *value = reply->element[i + 1]->str;
    if (name != NULL && value != NULL && strcmp(name, "appendfsync") == 0) {
      snprintf(greeting->appendfsync, sizeof greeting->appendfsync, "%s", value);
    } else if (name != NULL && value != NULL && strcmp(name, "no-appendfsync-on-rewrite") == 0) {
      greeting->skips_fsync = strcmp(value, "yes") == 0;
    }
  }
  return OK;
}

static enum status take_script(struct greeting *greeting, const redisReply *reply) {
  (void)greeting;
  return reply->type == REDIS_REPLY_STRING ? OK : greeting_refused("SCRIPT LOAD", reply);
}

/* The questions before the scripts, in order. */
static const struct question {
  const char *command[4];
  size_t words;
  enum status (*take)(struct greeting *, const redisReply *);
} questions[] = {
    {{"INFO"}, 1, take_info},
    {{"CONFIG", "GET", "appendfsync", "no-appendfsync-on-rewrite"}, 4, take_config},
};
enum { QUESTIONS = sizeof questions / sizeof questions[0] };

/* All at once: one round trip, and the replies are told apart by their order. Loading the scripts
 * on every connection makes NOSCRIPT rare, and nothing relies on its never coming. */
enum status greeting_ask(struct greeting *greeting, struct connection *connection,
                         const struct bytes *sources, size_t login) {
  *greeting = (struct greeting){.login = login};
  for (size_t i = 0; i < QUESTIONS; i++) {
    TRY(connection_command(connection, questions[i].command, questions[i].words));
  }
  for (size_t i = 0; i < SCRIPTS_LOADED; i++) {
    TRY(connection_command(connection,
                           (const char *const[]){"SCRIPT", "LOAD", bytes_text(&sources[i])}, 3));
  }
  return OK;
}

enum status greeting_take(struct greeting *greeting, const redisReply *reply) {
  if (greeting->login > 0) {
    greeting->login--;
    return reply->type != REDIS_REPLY_ERROR ? OK : greeting_refused("the login", reply);
  }
  size_t at = greeting->taken++;
  return at < QUESTIONS ? questions[at].take(greeting, reply) : take_script(greeting, reply);
}

bool greeting_done(const struct greeting *greeting) {
  return greeting->login == 0 && greeting->taken == QUESTIONS + SCRIPTS_LOADED;
}

/* What breaks a promise is refused, what cannot be seen is only warned of. */
enum status greeting_judge(const struct greeting *greeting, bool allow_unsafe) {
  if (greeting->run[0] == '\0') {
    return fail(UNAVAILABLE, "Redis does not tell its run_id");
  }
  bool evicts = strcmp(greeting->eviction, "noeviction") != 0;
  bool keeps = strcmp(greeting->aof, "1") == 0;
  bool seen = greeting->appendfsync[0] != '\0';
  bool synced = !seen || (strcmp(greeting->appendfsync, "always") == 0 && !greeting->skips_fsync);
  if (allow_unsafe) {
    if (evicts || !keeps || !synced) {
      log_warning("redis_unsafe", log_text("maxmemory_policy", greeting->eviction),
                  log_text("appendonly", keeps ? "yes" : "no"),
                  log_text("appendfsync", seen ? greeting->appendfsync : "unseen"));
    }
    return OK;
  }
  if (evicts) {
    return fail(BAD_INPUT,
                "Redis may evict jobs: maxmemory-policy is %s and must be noeviction (or "
                "--allow-unsafe-redis)",
                greeting->eviction);
  }
  if (!keeps) {
    return fail(
        BAD_INPUT,
        "Redis keeps no log on disk: appendonly is no and must be yes (or --allow-unsafe-redis)");
  }
  if (greeting->skips_fsync && strcmp(greeting->appendfsync, "always") == 0) {
    return fail(BAD_INPUT,
                "Redis may lose accepted jobs: no-appendfsync-on-rewrite is yes and must be no (or "
                "--allow-unsafe-redis)");
  }
  if (!synced) {
    return fail(BAD_INPUT,
                "Redis may lose accepted jobs: appendfsync is %s and must be always (or "
                "--allow-unsafe-redis)",
                greeting->appendfsync);
  }
  if (!seen) {
    log_warning("redis_appendfsync_unseen",
                log_text("hint", "CONFIG GET is forbidden: make sure appendfsync is always"));
  }
  return OK;
}
