/* job_names.c - the words people use for priorities and states; samplers: job_samplers.c. */
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/nearest.h"
#include "proto/job.h"

/* Words in a table, by number; numbers without a word are NULL. */
struct words {
  const char *what;
  const char *field;
  const char *const *name;
  size_t count;
  Darkroom__V1__ErrorCode code;
};

/* "interactive, standard, ..." */
static void join(const struct words *words, char *text, size_t bytes) {
  size_t used = 0;
  text[0] = '\0';
  for (size_t i = 0; i < words->count; i++) {
    if (words->name[i] != NULL && used < bytes) {
      used += (size_t)snprintf(text + used, bytes - used, "%s%s", used == 0 ? "" : ", ",
                               words->name[i]);
    }
  }
}

static enum status word_find(const struct words *words, const char *name, size_t *index,
                             struct refusal *why) {
  struct nearest nearest = {.typed = name};
  for (size_t i = 0; i < words->count; i++) {
    if (words->name[i] != NULL && strcmp(words->name[i], name) == 0) {
      *index = i;
      return OK;
    }
    if (words->name[i] != NULL) {
      nearest_offer(&nearest, words->name[i]);
    }
  }
  char all[sizeof why->limit];
  join(words, all, sizeof all);
  if (nearest.name != NULL) {
    return refuse(why, words->code, words->field, all, "there is no %s \"%.32s\"; did you mean %s?",
                  words->what, name, nearest.name);
  }
  return refuse(why, words->code, words->field, all, "there is no %s \"%.32s\"; there are %s",
                words->what, name, all);
}

static const char *const priority_names[] = {
    [DARKROOM__V1__PRIORITY__PRIORITY_INTERACTIVE] = "interactive",
    [DARKROOM__V1__PRIORITY__PRIORITY_STANDARD] = "standard",
    [DARKROOM__V1__PRIORITY__PRIORITY_BULK] = "bulk",
};

static const char *const state_names[] = {
    [DARKROOM__V1__JOB_STATE__JOB_STATE_QUEUED] = "queued",
    [DARKROOM__V1__JOB_STATE__JOB_STATE_ASSIGNED] = "assigned",
    [DARKROOM__V1__JOB_STATE__JOB_STATE_RUNNING] = "running",
    [DARKROOM__V1__JOB_STATE__JOB_STATE_DELAYED] = "delayed",
    [DARKROOM__V1__JOB_STATE__JOB_STATE_SUCCEEDED] = "succeeded",
    [DARKROOM__V1__JOB_STATE__JOB_STATE_FAILED] = "failed",
    [DARKROOM__V1__JOB_STATE__JOB_STATE_CANCELLED] = "cancelled",
    [DARKROOM__V1__JOB_STATE__JOB_STATE_EXPIRED] = "expired",
    [DARKROOM__V1__JOB_STATE__JOB_STATE_QUARANTINED] = "quarantined",
};

static const struct words priorities = {"priority", "priority", priority_names,
                                        sizeof priority_names / sizeof priority_names[0],
                                        DARKROOM__V1__ERROR_CODE__ERROR_FIELD};
static const struct words states = {"job state", "state", state_names,
                                    sizeof state_names / sizeof state_names[0],
                                    DARKROOM__V1__ERROR_CODE__ERROR_FIELD};

static const char *word_name(const struct words *words, size_t index) {
  return index < words->count && words->name[index] != NULL ? words->name[index] : "unknown";
}

enum status job_priority_parse(const char *name, Darkroom__V1__Priority *priority,
                               struct refusal *why) {
  size_t index = 0;
  TRY(word_find(&priorities, name, &index, why));
  *priority = (Darkroom__V1__Priority)index;
  return OK;
}

const char *job_priority_name(Darkroom__V1__Priority priority) {
  return word_name(&priorities, (size_t)priority);
}

enum status job_state_parse(const char *name, Darkroom__V1__JobState *state, struct refusal *why) {
  size_t index = 0;
  TRY(word_find(&states, name, &index, why));
  *state = (Darkroom__V1__JobState)index;
  return OK;
}

const char *job_state_name(Darkroom__V1__JobState state) {
  return word_name(&states, (size_t)state);
}

bool job_state_terminal(Darkroom__V1__JobState state) {
  return state >= DARKROOM__V1__JOB_STATE__JOB_STATE_SUCCEEDED;
}
