/* reply.c - elements of Redis's answers, and the words of the scripts. */
#include "broker/reply.h"

#include <stdlib.h>
#include <string.h>

/* ---- elements -------------------------------------------------------------------------------- */

/* Lua gives integers or texts, as each script found handy; both are read. Fences are always texts:
 * they are compared as such. */
uint64_t reply_number(const redisReply *reply) {
  if (reply->type == REDIS_REPLY_INTEGER) {
    return reply->integer < 0 ? 0 : (uint64_t)reply->integer;
  }
  return reply->str != NULL ? strtoull(reply->str, NULL, 10) : 0;
}

const char *reply_text(const redisReply *reply) { return reply->str != NULL ? reply->str : ""; }

const char *reply_text_at(const redisReply *reply, size_t index) {
  return index < reply->elements ? reply_text(reply->element[index]) : "";
}

uint64_t reply_number_at(const redisReply *reply, size_t index) {
  return index < reply->elements ? reply_number(reply->element[index]) : 0;
}

/* ---- words <-> numbers ----------------------------------------------------------------------- */

static const char *const state_words[] = {
    [DARKROOM__V1__JOB_STATE__JOB_STATE_QUEUED] = "QUEUED",
    [DARKROOM__V1__JOB_STATE__JOB_STATE_ASSIGNED] = "ASSIGNED",
    [DARKROOM__V1__JOB_STATE__JOB_STATE_RUNNING] = "RUNNING",
    [DARKROOM__V1__JOB_STATE__JOB_STATE_DELAYED] = "DELAYED",
    [DARKROOM__V1__JOB_STATE__JOB_STATE_SUCCEEDED] = "SUCCEEDED",
    [DARKROOM__V1__JOB_STATE__JOB_STATE_FAILED] = "FAILED",
    [DARKROOM__V1__JOB_STATE__JOB_STATE_CANCELLED] = "CANCELLED",
    [DARKROOM__V1__JOB_STATE__JOB_STATE_EXPIRED] = "EXPIRED",
    [DARKROOM__V1__JOB_STATE__JOB_STATE_QUARANTINED] = "QUARANTINED",
};
enum { STATE_WORDS = sizeof state_words / sizeof state_words[0] };

size_t reply_word(const char *const *words, size_t count, const char *word) {
  for (size_t i = 1; i < count; i++) { /* 0 is no row of an enum of the contract */
    if (words[i] != NULL && strcmp(words[i], word) == 0) {
      return i;
    }
  }
  return 0;
}

const char *reply_state_word(Darkroom__V1__JobState state) {
  return state != 0 && (unsigned)state < STATE_WORDS ? state_words[state] : "";
}

Darkroom__V1__JobState reply_state(const char *word) {
  return (Darkroom__V1__JobState)reply_word(state_words, STATE_WORDS, word);
}
