/* queue_read.c - the reading half: what each script returned, checked before it is believed. */
#include <string.h>

#include "broker/job_name.h"
#include "broker/queue.h"
#include "broker/record.h"
#include "broker/reply.h"
#include "broker/upkeep.h"

/* ---- replies --------------------------------------------------------------------------------- */

/* A script of ours that answers otherwise is a fault of ours (or of a Redis that is none): BROKEN,
 * told to the peer as INTERNAL, and the broker goes on. */
static enum status odd(const char *script) {
  fail(BROKEN, "the script %s returned something else", script);
  return BROKEN;
}

/* The reply as an array of at least count elements. */
static enum status take_array(const struct redis *redis, size_t call, size_t count,
                              const redisReply **out) {
  const redisReply *reply = NULL;
  TRY(redis_answer(redis, call, &reply));
  if (reply->type != REDIS_REPLY_ARRAY || reply->elements < count) {
    return odd("call");
  }
  *out = reply;
  return OK;
}

/* ---- of clients ------------------------------------------------------------------------------ */

enum status queue_submit_reply(const struct redis *redis, size_t call, struct submit_reply *out) {
  const redisReply *reply = NULL;
  TRY(take_array(redis, call, 1, &reply));
  const char *word = reply_text_at(reply, 0);
  if (strcmp(word, "CONFLICT") == 0) {
    *out = (struct submit_reply){.outcome = SUBMIT_CONFLICT};
    return OK;
  }
  if (strcmp(word, "FULL") == 0) {
    *out = (struct submit_reply){.outcome = SUBMIT_FULL};
    return OK;
  }
  bool existed = strcmp(word, "EXISTED") == 0;
  size_t at = existed ? 2 : 1;
  Darkroom__V1__JobState state = reply_state(reply_text_at(reply, at - 1));
  if (state == 0) {
    return odd("submit");
  }
  *out = (struct submit_reply){.outcome = existed ? SUBMIT_EXISTED : SUBMIT_QUEUED,
                               .state = state,
                               .version = reply_number_at(reply, at),
                               .position = reply_number_at(reply, at + 1),
                               .seed = reply_number_at(reply, at + 2)};
  return OK;
}

enum status queue_get_reply(const struct redis *redis, size_t call, struct arena *arena,
                            bool with_job, Darkroom__V1__JobStatus **out) {
  const redisReply *reply = NULL;
  TRY(take_array(redis, call, 0, &reply));
  if (reply->elements > 0) {
    return record_status(reply, arena, with_job, out);
  }
  *out = NULL;
  return OK;
}

enum status queue_list_reply(const struct redis *redis, size_t call, struct arena *arena,
                             struct listed *rows, size_t max, size_t *count) {
  const redisReply *reply = NULL;
  TRY(take_array(redis, call, 0, &reply));
  for (size_t i = 0; i < reply->elements && *count < max; i++) {
    const redisReply *row = reply->element[i];
    TRY(record_listed(row, arena, &rows[*count].status));
    rows[*count].born = reply_number_at(row, 1);
    *count += 1;
  }
  return OK;
}

enum status queue_cancel_reply(const struct redis *redis, size_t call, bool *found,
                               Darkroom__V1__CancelOutcome *outcome,
                               Darkroom__V1__JobState *state) {
  static const char *const words[] = {
      [DARKROOM__V1__CANCEL_OUTCOME__CANCEL_REMOVED] = "REMOVED",
      [DARKROOM__V1__CANCEL_OUTCOME__CANCEL_SIGNALLED] = "SIGNALLED",
      [DARKROOM__V1__CANCEL_OUTCOME__CANCEL_ALREADY] = "ALREADY",
  };
  const redisReply *reply = NULL;
  TRY(take_array(redis, call, 1, &reply));
  bool is_there = strcmp(reply_text_at(reply, 0), "NOT_FOUND") != 0;
  size_t word = reply_word(words, sizeof words / sizeof words[0], reply_text_at(reply, 0));
  Darkroom__V1__JobState now = reply_state(reply_text_at(reply, 1));
  if (is_there && (word == 0 || now == 0)) {
    return odd("cancel");
  }
  *found = is_there;
  *outcome = (Darkroom__V1__CancelOutcome)word;
  *state = now;
  return OK;
}

enum status queue_review_reply(const struct redis *redis, size_t call, enum review *out,
                               Darkroom__V1__JobState *state) {
  static const char *const words[] = {[REVIEW_DONE] = "OK",
                                      [REVIEW_ALREADY] = "ALREADY",
                                      [REVIEW_LATE] = "LATE",
                                      [REVIEW_NOT_FOUND] = "NOT_FOUND"};
  const redisReply *reply = NULL;
  TRY(take_array(redis, call, 1, &reply));
  size_t at = 0;
  while (at < sizeof words / sizeof words[0] && strcmp(words[at], reply_text_at(reply, 0)) != 0) {
    at++;
  }
  Darkroom__V1__JobState now = reply_state(reply_text_at(reply, 1));
  bool known = at == REVIEW_NOT_FOUND || (at < REVIEW_NOT_FOUND && now != 0);
  if (!known) {
    return odd("requeue or bury");
  }
  *out = (enum review)at;
  *state = now;
  return OK;
}

enum status queue_explain_reply(const struct redis *redis, size_t call, const redisReply **out) {
  const redisReply *reply = NULL;
  TRY(take_array(redis, call, 0, &reply));
  if (reply->elements % 2 != 0) {
    return odd("explain");
  }
  *out = reply;
  return OK;
}

/* ---- of workers ------------------------------------------------------------------------------ */

enum status queue_hello_reply(const struct redis *redis, size_t call, uint64_t *generation,
                              struct namesake *taken) {
  const redisReply *reply = NULL;
  TRY(redis_answer(redis, call, &reply));
  if (reply->type == REDIS_REPLY_ARRAY && strcmp(reply_text_at(reply, 0), "TAKEN") == 0) {
    *generation = 0;
    *taken = (struct namesake){.host = reply_text_at(reply, 1),
                               .since_us = reply_number_at(reply, 2),
                               .heard_ms = reply_number_at(reply, 3)};
    return OK;
  }
  uint64_t number = reply_number(reply);
  if (number == 0) {
    return odd("worker_hello");
  }
  *generation = number;
  return OK;
}

enum status queue_claim_reply(const struct redis *redis, size_t call, enum claim_outcome *outcome,
                              struct assigned *jobs, size_t *count) {
  const redisReply *reply = NULL;
  size_t given = 0;
  TRY(take_array(redis, call, 1, &reply));
  const char *word = reply_text_at(reply, 0);
  for (size_t i = 1; i < reply->elements && i <= SCRIPT_LOOP_MAX; i++) {
    const redisReply *row = reply->element[i];
    if (row->type != REDIS_REPLY_ARRAY || row->elements != 5 || row->element[3]->str == NULL) {
      return odd("claim");
    }
    jobs[i - 1] = (struct assigned){.job = reply_text_at(row, 0),
                                    .fence = reply_number_at(row, 1),
                                    .queued_us = reply_number_at(row, 2),
                                    .packed = (const uint8_t *)row->element[3]->str,
                                    .packed_bytes = row->element[3]->len,
                                    .alone = reply_number_at(row, 4) != 0};
    given = i;
  }
  *outcome = strcmp(word, "OK") == 0         ? CLAIM_GIVEN
             : strcmp(word, "WITHHELD") == 0 ? CLAIM_WITHHELD
                                             : CLAIM_STALE;
  *count = given;
  return OK;
}

enum status queue_ack_reply(const struct redis *redis, size_t call, Darkroom__V1__AckResult *result,
                            const char **detail) {
  static const char *const words[] = {
      [DARKROOM__V1__ACK_RESULT__ACK_OK] = "OK",
      [DARKROOM__V1__ACK_RESULT__ACK_ALREADY] = "ALREADY",
      [DARKROOM__V1__ACK_RESULT__ACK_STALE] = "STALE",
      [DARKROOM__V1__ACK_RESULT__ACK_CANCELLED] = "CANCELLED",
      [DARKROOM__V1__ACK_RESULT__ACK_GONE] = "GONE",
  };
  const redisReply *reply = NULL;
  TRY(take_array(redis, call, 1, &reply));
  size_t word = reply_word(words, sizeof words / sizeof words[0], reply_text_at(reply, 0));
  if (word == 0) {
    return odd("call");
  }
  *result = (Darkroom__V1__AckResult)word;
  *detail = reply_text_at(reply, 1);
  return OK;
}

enum status queue_beat_reply(const struct redis *redis, size_t call, const Darkroom__V1__Beat *beat,
                             struct arena *arena, Darkroom__V1__Orders *out) {
  const redisReply *reply = NULL;
  Darkroom__V1__Orders orders = DARKROOM__V1__ORDERS__INIT;
  TRY(take_array(redis, call, 1, &reply));
  if (reply_number_at(reply, 0) == 0) {
    orders.has_hello_again = orders.hello_again = true;
    *out = orders;
    return OK;
  }
  orders.cancel = arena_take(arena, (beat->n_progress + 1) * sizeof *orders.cancel);
  orders.stale = arena_take(arena, (beat->n_progress + 1) * sizeof *orders.stale);
  orders.cancel_fence = arena_take(arena, (beat->n_progress + 1) * sizeof *orders.cancel_fence);
  orders.stale_fence = arena_take(arena, (beat->n_progress + 1) * sizeof *orders.stale_fence);
  if (orders.cancel == NULL || orders.stale == NULL || orders.cancel_fence == NULL ||
      orders.stale_fence == NULL) {
    return EXHAUSTED;
  }
  if (reply->elements != beat->n_progress + 1) {
    return odd("beat");
  }
  for (size_t i = 0; i < beat->n_progress; i++) {
    const char *verdict = reply_text_at(reply, i + 1);
    char *id = (char *)job_name_id(beat->progress[i]->id);
    if (strcmp(verdict, "CANCEL") == 0) {
      orders.cancel_fence[orders.n_cancel_fence++] = beat->progress[i]->fence;
      orders.cancel[orders.n_cancel++] = id;
    } else if (strcmp(verdict, "STALE") == 0) {
      orders.stale_fence[orders.n_stale_fence++] = beat->progress[i]->fence;
      orders.stale[orders.n_stale++] = id;
    }
  }
  *out = orders;
  return OK;
}

/* ---- of the broker itself -------------------------------------------------------------------- */

enum status queue_sweep_reply(const struct redis *redis, size_t call, struct swept *out) {
  const redisReply *reply = NULL;
  TRY(take_array(redis, call, 6, &reply));
  *out = (struct swept){0};
  out->more = reply_number_at(reply, 0) != 0;
  out->lapsed = reply_number_at(reply, 1);
  out->cancelled = reply_number_at(reply, 2);
  out->expired = reply_number_at(reply, 3);
  out->quarantined = reply_number_at(reply, 4);
  out->failed = reply_number_at(reply, 5);
  for (size_t i = 6; i < reply->elements && out->models < SCRIPT_LOOP_MAX; i++) {
    out->model[out->models++] = reply_text_at(reply, i);
  }
  return OK;
}

enum status queue_fleet_reply(const struct redis *redis, size_t call, const redisReply **out) {
  const redisReply *reply = NULL;
  TRY(take_array(redis, call, 3, &reply));
  if (reply->element[1]->type != REDIS_REPLY_ARRAY ||
      reply->element[2]->type != REDIS_REPLY_ARRAY) {
    return odd("fleet");
  }
  *out = reply;
  return OK;
}

enum status queue_stats_reply(const struct redis *redis, size_t call, struct stats *out) {
  const redisReply *reply = NULL;
  TRY(take_array(redis, call, sizeof *out / sizeof(uint64_t), &reply));
  uint64_t *fields = &out->queued; /* the struct has the script's order */
  for (size_t i = 0; i < sizeof *out / sizeof(uint64_t); i++) {
    fields[i] = reply_number_at(reply, i);
  }
  return OK;
}

enum status queue_audit_reply(const struct redis *redis, size_t call, const redisReply **out) {
  return take_array(redis, call, 0, out);
}
