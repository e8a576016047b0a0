/* redis_error.c - the two tables. Redis has no numbers for its errors, only words; those of
 * versions 7.0 to 8 are here. */
#include "broker/redis_error.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

static const struct redis_error_class_row classes[REDIS_ERROR_CLASSES] = {
    [REDIS_WRONG_SERVER] = {"wrong_server", "the queue's Redis is not the one that takes writes",
                            UNAVAILABLE, false},
    [REDIS_BUSY] = {"busy", "the queue's Redis is busy", UNAVAILABLE, false},
    [REDIS_FULL] = {"full", "the queue's Redis has no memory left", EXHAUSTED, false},
    [REDIS_UNSAVED] = {"unsaved", "the queue's Redis cannot write to its disk", UNAVAILABLE, false},
    [REDIS_FORBIDDEN] = {"forbidden", "the queue's Redis does not permit it", UNAVAILABLE, true},
    [REDIS_SCRIPT_GONE] = {"script_gone", "the queue's Redis has forgotten a script", UNAVAILABLE,
                           false},
    [REDIS_OURS] = {"ours", "a script of the queue failed", BROKEN, true},
};

/* Matched at the start of the reply and up to the end of a word, the first row that fits. Errors
 * that begin with ERR are told apart by the words after it. */
static const struct row {
  const char *start;
  struct redis_error error;
} rows[] = {
    {"READONLY", {REDIS_WRONG_SERVER, true}},
    {"MASTERDOWN", {REDIS_WRONG_SERVER, true}},
    {"NOREPLICAS", {REDIS_WRONG_SERVER, true}},
    {"MOVED", {REDIS_WRONG_SERVER, true}},
    {"ASK", {REDIS_WRONG_SERVER, true}},
    {"REDIRECT", {REDIS_WRONG_SERVER, true}},
    {"CLUSTERDOWN", {REDIS_WRONG_SERVER, true}},
    {"LOADING", {REDIS_BUSY, false}},
    {"BUSY", {REDIS_BUSY, false}},
    {"UNKILLABLE", {REDIS_BUSY, false}},
    {"TRYAGAIN", {REDIS_BUSY, false}},
    {"ERR max number of clients", {REDIS_BUSY, true}}, /* and it has closed the connection */
    {"OOM", {REDIS_FULL, false}},
    {"MISCONF", {REDIS_UNSAVED, false}},
    {"NOPERM", {REDIS_FORBIDDEN, false}}, /* rights change under a connection, both ways */
    {"ERR The user executing the script", {REDIS_FORBIDDEN, false}}, /* NOPERM inside, before 7.2 */
    {"NOAUTH", {REDIS_FORBIDDEN, true}}, /* this is not who we logged in to: a proxy switched */
    {"WRONGPASS", {REDIS_FORBIDDEN, true}},
    {"DENIED", {REDIS_FORBIDDEN, true}}, /* protected mode */
    {"ERR AUTH", {REDIS_FORBIDDEN, true}},
    {"ERR Client sent AUTH", {REDIS_FORBIDDEN, true}},
    {"ERR invalid password", {REDIS_FORBIDDEN, true}},
    {"ERR DB index", {REDIS_FORBIDDEN, false}},
    {"ERR SELECT", {REDIS_FORBIDDEN, false}},
    {"ERR unknown command", {REDIS_FORBIDDEN, false}}, /* renamed, as where Redis is rented */
    {"ERR Unknown Redis command", {REDIS_FORBIDDEN, false}},
    {"ERR This Redis command is not allowed", {REDIS_FORBIDDEN, false}},
    {"ERR Invalid command passed to redis.acl_check_cmd", {REDIS_FORBIDDEN, false}},
    {"NOSCRIPT", {REDIS_SCRIPT_GONE, false}},
};

/* EXECABORT, WRONGTYPE, CROSSSLOT, our RECORD, any other ERR: calling again will not help, and it
 * is for us to mend. */
static const struct redis_error anything_else = {REDIS_OURS, false};

struct redis_error redis_error_read(const char *text) {
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    size_t length = strlen(rows[i].start);
    if (strncmp(text, rows[i].start, length) == 0 &&
        strchr(" ,.:(\r\n", text[length]) != NULL) { /* which finds the NUL at the end, too */
      return rows[i].error;
    }
  }
  return anything_else;
}

const struct redis_error_class_row *redis_error_class(enum redis_error_class class) {
  assert(class < REDIS_ERROR_CLASSES);
  return &classes[class];
}
