/* verbs.c - the commands that are one question with one answer. */
#include "cli/verbs.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "base/version.h"
#include "cli/show.h"
#include "proto/job.h"

#define SHOWN_STATES_MAX 16

const ProtobufCMessage *verb_ask(const struct call *call, enum wire_verb verb,
                                 const ProtobufCMessage *message, enum wire_verb answer_verb,
                                 enum exit_code *code) {
  struct question question = {verb, message, answer_verb, call->options->patience_ms};
  ProtobufCMessage *answer = NULL;
  struct refusal why = {0};
  enum status status = link_ask(call->link, &question, call->arena, &answer, &why);
  *code = EXIT_CODE_OK;
  if (status != OK) {
    *code = complain_refused(status, &why);
    return NULL;
  }
  if (call->options->json) {
    *code = show_json(answer);
    return NULL;
  }
  return answer;
}

/* Asks, and shows the answer as JSON or through its own show_ function. */
static enum exit_code ask_and_show(const struct call *call, enum wire_verb verb,
                                   const ProtobufCMessage *message, enum wire_verb answer_verb,
                                   void (*show)(const ProtobufCMessage *)) {
  enum exit_code code = EXIT_CODE_OK;
  const ProtobufCMessage *answer = verb_ask(call, verb, message, answer_verb, &code);
  if (answer != NULL) {
    show(answer);
  }
  return code;
}

#define SHOW(name, type, shower)                      \
  static void name(const ProtobufCMessage *message) { \
    shower((const Darkroom__V1__##type *)message);    \
  }
SHOW(show_status_message, JobStatus, show_status)
SHOW(show_list_message, JobList, show_list)
SHOW(show_cancelled_message, Cancelled, show_cancelled)
SHOW(show_explanation_message, Explanation, show_explanation)
SHOW(show_models_message, ModelList, show_models)
SHOW(show_fleet_message, FleetStatus, show_fleet)

enum exit_code run_get(const struct call *call) {
  Darkroom__V1__Get get = DARKROOM__V1__GET__INIT;
  get.id = (char *)call->argument;
  get.tenant = (char *)call->options->tenant;
  return ask_and_show(call, WIRE_GET, &get.base, WIRE_JOB_STATUS, show_status_message);
}

/* "queued,running"; none is all of them. */
static enum status states_read(const char *text, Darkroom__V1__JobState *states, size_t *count,
                               struct refusal *why) {
  char list[STATE_BYTES_MAX + 1];
  const char *word[SHOWN_STATES_MAX];
  size_t words = 0;
  if (text == NULL) {
    return OK;
  }
  snprintf(list, sizeof list, "%s", text);
  TRY(text_split("state", list, SHOWN_STATES_MAX, word, &words));
  for (size_t i = 0; i < words; i++) {
    TRY(job_state_parse(word[i], &states[i], why));
  }
  *count = words;
  return OK;
}

enum exit_code run_list(const struct call *call) {
  Darkroom__V1__List list = DARKROOM__V1__LIST__INIT;
  Darkroom__V1__JobState states[SHOWN_STATES_MAX];
  struct refusal why = {0};
  enum status status = states_read(call->options->state, states, &list.n_state, &why);
  if (status != OK) {
    return complain_refused(status, &why);
  }
  list.state = states;
  list.tenant = (char *)call->options->tenant;
  list.has_limit = 1;
  list.limit = (uint32_t)call->options->limit;
  return ask_and_show(call, WIRE_LIST, &list.base, WIRE_JOB_LIST, show_list_message);
}

enum exit_code run_cancel(const struct call *call) {
  Darkroom__V1__Cancel cancel = DARKROOM__V1__CANCEL__INIT;
  cancel.id = (char *)call->argument;
  cancel.tenant = (char *)call->options->tenant;
  return ask_and_show(call, WIRE_CANCEL, &cancel.base, WIRE_CANCELLED, show_cancelled_message);
}

enum exit_code run_explain(const struct call *call) {
  Darkroom__V1__Explain explain = DARKROOM__V1__EXPLAIN__INIT;
  explain.id = (char *)call->argument;
  explain.tenant = (char *)call->options->tenant;
  return ask_and_show(call, WIRE_EXPLAIN, &explain.base, WIRE_EXPLANATION,
                      show_explanation_message);
}

enum exit_code run_models(const struct call *call) {
  Darkroom__V1__Models models = DARKROOM__V1__MODELS__INIT;
  return ask_and_show(call, WIRE_MODELS, &models.base, WIRE_MODEL_LIST, show_models_message);
}

enum exit_code run_status(const struct call *call) {
  Darkroom__V1__Status fleet = DARKROOM__V1__STATUS__INIT;
  return ask_and_show(call, WIRE_STATUS, &fleet.base, WIRE_FLEET_STATUS, show_fleet_message);
}

enum exit_code run_version(const struct call *call) {
  printf(call->options->json ? "{\"version\":\"%s\"}\n" : "darkroom %s\n", DARKROOM_VERSION);
  return EXIT_CODE_OK;
}
