/* record.c - a table of record fields: each row says how its value gets into the status. */
#include "broker/record.h"

#include <stddef.h>
#include <string.h>

#include "broker/job_name.h"
#include "broker/reply.h"
#include "proto/job.h"
#include "proto/job_inputs.h"
#include "proto/wire.h"

enum { US_PER_MS = 1000 };

/* A status in the making; times are kept until all are there. */
struct draft {
  Darkroom__V1__JobStatus *status;
  Darkroom__V1__Error *error;
  struct arena *arena;
  uint64_t submitted_us, started_us, finished_us;
  bool with_job;
};

typedef enum status (*take_field)(struct draft *draft, const redisReply *value);

static enum status take_state(struct draft *draft, const redisReply *value) {
  draft->status->state = reply_state(reply_text(value));
  draft->status->has_state = true;
  return draft->status->state != 0 ? OK
                                   : fail(BROKEN, "a record has the state %s", reply_text(value));
}

static enum status take_worker(struct draft *draft, const redisReply *value) {
  draft->status->worker = value->str;
  return OK;
}

static enum status take_error_text(struct draft *draft, const redisReply *value) {
  draft->error->message = value->str;
  draft->status->error = draft->error;
  return OK;
}

static enum status take_error_field(struct draft *draft, const redisReply *value) {
  draft->error->field = value->str;
  return OK;
}

static enum status take_error_code(struct draft *draft, const redisReply *value) {
  draft->error->code = (Darkroom__V1__ErrorCode)reply_number(value);
  draft->error->has_code = draft->error->code != 0;
  return OK;
}

/* A status says of a file that came inline how large it is: beside all pictures of a job the file
 * itself would not fit. */
static void leave_inline_out(Darkroom__V1__Job *job) {
  struct job_input input;
  for (size_t at = 0; job_input_at(job, at, &input); at++) {
    if (input.blob->has_inline_) {
      input.blob->has_bytes = 1;
      input.blob->bytes = input.blob->inline_.len;
      input.blob->has_inline_ = 0;
    }
  }
}

static enum status take_job(struct draft *draft, const redisReply *value) {
  ProtobufCMessage *job = NULL;
  if (draft->with_job) {
    TRY(wire_unpack_type(&darkroom__v1__job__descriptor, (const uint8_t *)value->str, value->len,
                         draft->arena, &job, NULL));
  }
  draft->status->job = (Darkroom__V1__Job *)job;
  if (job != NULL) {
    leave_inline_out(draft->status->job);
  }
  return OK;
}

/* What complete stored: a status with images and timings only. */
static enum status take_result(struct draft *draft, const redisReply *value) {
  ProtobufCMessage *message = NULL;
  TRY(wire_unpack_type(&darkroom__v1__job_status__descriptor, (const uint8_t *)value->str,
                       value->len, draft->arena, &message, NULL));
  Darkroom__V1__JobStatus *result = (Darkroom__V1__JobStatus *)message;
  draft->status->images = result->images;
  draft->status->n_images = result->n_images;
  draft->status->warning = result->warning;
  draft->status->n_warning = result->n_warning;
  draft->status->timings = result->timings;
  return OK;
}

#define NUMBER(type, member)                                                       \
  static enum status take_##member(struct draft *draft, const redisReply *value) { \
    draft->status->member = (type)reply_number(value);                             \
    draft->status->has_##member = true;                                            \
    return OK;                                                                     \
  }
NUMBER(uint32_t, step)
NUMBER(uint32_t, steps)
NUMBER(uint32_t, fails)
NUMBER(uint32_t, crashes)
NUMBER(uint32_t, handoffs)
NUMBER(uint32_t, losses)
NUMBER(uint64_t, fence)
NUMBER(uint64_t, version)
#undef NUMBER

#define TIME(member)                                                               \
  static enum status take_##member(struct draft *draft, const redisReply *value) { \
    draft->member = reply_number(value);                                           \
    return OK;                                                                     \
  }
TIME(submitted_us)
TIME(started_us)
TIME(finished_us)
#undef TIME

/* In the order of list.lua's rows as far as those go (LISTED of them, behind id and born). Fields
 * of the record that are not here are the scripts' own and are left out. */
static const struct {
  const char *name;
  take_field take;
} fields[] = {
    {"state", take_state},
    {"step", take_step},
    {"steps", take_steps},
    {"fails", take_fails},
    {"crashes", take_crashes},
    {"handoffs", take_handoffs},
    {"worker", take_worker},
    {"fence", take_fence},
    {"error_code", take_error_code},
    {"error_text", take_error_text},
    {"error_field", take_error_field},
    {"submitted_us", take_submitted_us},
    {"finished_us", take_finished_us},
    {"version", take_version},
    {"losses", take_losses},
    {"started_us", take_started_us},
    {"job", take_job},
    {"result", take_result},
};
enum { FIELDS = sizeof fields / sizeof fields[0], LISTED = 15, LISTED_FROM = 2 };

static enum status begin(struct draft *draft, struct arena *arena, bool with_job) {
  *draft = (struct draft){.arena = arena, .with_job = with_job};
  draft->status = arena_take(arena, sizeof *draft->status);
  draft->error = arena_take(arena, sizeof *draft->error);
  if (draft->status == NULL || draft->error == NULL) {
    return EXHAUSTED;
  }
  darkroom__v1__job_status__init(draft->status);
  darkroom__v1__error__init(draft->error);
  return OK;
}

static uint64_t span(uint64_t from, uint64_t to) { return to > from ? to - from : 0; }

static bool names_field(const Darkroom__V1__Error *error) {
  bool code = error->code == DARKROOM__V1__ERROR_CODE__ERROR_INPUT ||
              error->code == DARKROOM__V1__ERROR_CODE__ERROR_FIELD;
  return code && error->field != NULL && error->field[0] != '\0';
}

/* Times of the queue go beside those that the worker measured. */
static enum status end(struct draft *draft) {
  Darkroom__V1__JobStatus *status = draft->status;
  status->has_submitted_ms = true;
  status->submitted_ms = draft->submitted_us / US_PER_MS;
  status->has_finished_ms = draft->finished_us != 0;
  status->finished_ms = draft->finished_us / US_PER_MS;
  if (status->state == DARKROOM__V1__JOB_STATE__JOB_STATE_SUCCEEDED) {
    status->error = NULL; /* of an earlier attempt */
  }
  if (!names_field(draft->error)) {
    draft->error->field = NULL; /* the same */
  }
  if (draft->started_us == 0 && draft->finished_us == 0) {
    return OK;
  }
  if (status->timings == NULL) {
    status->timings = arena_take(draft->arena, sizeof *status->timings);
    if (status->timings == NULL) {
      return EXHAUSTED;
    }
    darkroom__v1__timings__init(status->timings);
  }
  if (draft->started_us != 0) {
    status->timings->has_queue_us = true;
    status->timings->queue_us = span(draft->submitted_us, draft->started_us);
  }
  if (draft->finished_us != 0) {
    status->timings->has_total_us = true;
    status->timings->total_us = span(draft->submitted_us, draft->finished_us);
  }
  return OK;
}

static take_field find_field(const char *name) {
  for (size_t i = 0; i < FIELDS; i++) {
    if (strcmp(fields[i].name, name) == 0) {
      return fields[i].take;
    }
  }
  return NULL;
}

enum status record_status(const redisReply *reply, struct arena *arena, bool with_job,
                          Darkroom__V1__JobStatus **out) {
  struct draft draft;
  TRY(begin(&draft, arena, with_job));
  for (size_t i = 1; i + 1 < reply->elements; i += 2) {
    take_field take = find_field(reply_text(reply->element[i]));
    if (take != NULL && reply->element[i + 1]->str != NULL) {
      TRY(take(&draft, reply->element[i + 1]));
    }
  }
  if (draft.status->state == DARKROOM__V1__JOB_STATE__JOB_STATE_QUEUED) {
    draft.status->has_position = true;
    draft.status->position = reply_number(reply->element[0]);
  }
  TRY(end(&draft));
  *out = draft.status;
  return OK;
}

enum status record_listed(const redisReply *row, struct arena *arena,
                          Darkroom__V1__JobStatus **out) {
  struct draft draft;
  if (row->type != REDIS_REPLY_ARRAY || row->elements != LISTED + LISTED_FROM) {
    return fail(BROKEN, "the script list returned something else");
  }
  TRY(begin(&draft, arena, false));
  draft.status->id = (char *)job_name_id(row->element[0]->str);
  for (size_t i = 0; i < LISTED; i++) {
    if (row->element[i + LISTED_FROM]->str != NULL) {
      TRY(fields[i].take(&draft, row->element[i + LISTED_FROM]));
    }
  }
  TRY(end(&draft));
  *out = draft.status;
  return OK;
}
