/* verbs.c - the table of commands, and those that are one question with one answer. */
#include "cli/verbs.h"

#include <stdio.h>
#include <string.h>

#include "base/version.h"
#include "cli/completion.h"
#include "cli/show.h"
#include "proto/job.h"

#define SHOWN_STATES_MAX 16
#define COMPLETION_BYTES_MAX ((size_t)16 * 1024)

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

static enum exit_code run_get(const struct call *call) {
  Darkroom__V1__Get get = DARKROOM__V1__GET__INIT;
  get.id = (char *)call->argument;
  return ask_and_show(call, WIRE_GET, &get.base, WIRE_JOB_STATUS, show_status_message);
}

/* "queued,running" */
static enum status states_read(const char *text, Darkroom__V1__JobState *states, size_t *count,
                               struct refusal *why) {
  while (text != NULL && text[0] != '\0') {
    char word[32];
    size_t bytes = strcspn(text, ",");
    snprintf(word, sizeof word, "%.*s", (int)bytes, text);
    if (*count == SHOWN_STATES_MAX) {
      return refuse(why, DARKROOM__V1__ERROR_CODE__ERROR_FIELD, "state", "at most 16 states",
                    "--state names too many");
    }
    TRY(job_state_parse(word, &states[*count], why));
    (*count)++;
    text = text[bytes] == ',' ? text + bytes + 1 : NULL;
  }
  return OK;
}

static enum exit_code run_list(const struct call *call) {
  Darkroom__V1__List list = DARKROOM__V1__LIST__INIT;
  Darkroom__V1__JobState states[SHOWN_STATES_MAX];
  struct refusal why = {0};
  enum status status = states_read(call->options->state, states, &list.n_state, &why);
  if (status != OK) {
    return complain_refused(status, &why);
  }
  list.state = states;
  list.has_limit = 1;
  list.limit = (uint32_t)call->options->limit;
  return ask_and_show(call, WIRE_LIST, &list.base, WIRE_JOB_LIST, show_list_message);
}

static enum exit_code run_cancel(const struct call *call) {
  Darkroom__V1__Cancel cancel = DARKROOM__V1__CANCEL__INIT;
  cancel.id = (char *)call->argument;
  return ask_and_show(call, WIRE_CANCEL, &cancel.base, WIRE_CANCELLED, show_cancelled_message);
}

static enum exit_code run_explain(const struct call *call) {
  Darkroom__V1__Explain explain = DARKROOM__V1__EXPLAIN__INIT;
  explain.id = (char *)call->argument;
  return ask_and_show(call, WIRE_EXPLAIN, &explain.base, WIRE_EXPLANATION,
                      show_explanation_message);
}

static enum exit_code run_models(const struct call *call) {
  Darkroom__V1__Models models = DARKROOM__V1__MODELS__INIT;
  return ask_and_show(call, WIRE_MODELS, &models.base, WIRE_MODEL_LIST, show_models_message);
}

static enum exit_code run_status(const struct call *call) {
  Darkroom__V1__Status fleet = DARKROOM__V1__STATUS__INIT;
  return ask_and_show(call, WIRE_STATUS, &fleet.base, WIRE_FLEET_STATUS, show_fleet_message);
}

static enum exit_code run_version(const struct call *call) {
  printf(call->options->json ? "{\"version\":\"%s\"}\n" : "darkroom %s\n", DARKROOM_VERSION);
  return EXIT_CODE_OK;
}

static enum exit_code run_completion(const struct call *call) {
  (void)call;
  struct bytes script;
  bytes_open(&script, COMPLETION_BYTES_MAX);
  enum exit_code code = complain(completion_bash(&script));
  if (code == EXIT_CODE_OK) {
    fputs(bytes_text(&script), stdout);
  }
  bytes_close(&script);
  return code;
}

static const struct cli_verb verbs[] = {
    {"generate", USE_GENERATE, "PROMPT", "make pictures of a text and wait for them",
     "Submits a job, shows its progress, fetches its images and prints their paths on stdout;\n"
     "on stderr, where the time went. Without -o the images stay in the store and its paths or\n"
     "URLs are printed. PROMPT - reads the prompt from stdin, less the line end at its end.\n"
     "Ctrl-C cancels the job, a second one leaves at once.\n"
     "\nImages of s3: stores are fetched with AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,\n"
     "AWS_SESSION_TOKEN, AWS_REGION, AWS_ENDPOINT_URL_S3 and AWS_CA_BUNDLE, as the worker stores\n"
     "them. What cannot be fetched stays in the store: its URL is printed and the exit code is 3,\n"
     "74 or 77; darkroom watch ID -o fetches it later.\n"
     "\nExamples:\n"
     "  darkroom generate \"a lake at sunset\" -o lake.png\n"
     "  darkroom generate \"a lake\" --negative snow --seed 7 --count 4 -o lakes/\n"
     "  darkroom generate - -o - <prompt.txt >lake.png\n",
     run_generate},
    {"submit", USE_SUBMIT, "PROMPT", "put a job into the queue and print its id",
     "The id is printed once the queue has the job on disk. Repeating the command with the same\n"
     "--id and content changes nothing and prints the id again. PROMPT - reads it from stdin.\n",
     run_submit},
    {"watch", USE_WATCH, "ID", "follow a job to its end, like generate",
     "Ctrl-C leaves; the job goes on. Of a job that has ended, -o fetches the images at once.\n",
     run_watch},
    {"get", USE_GET, "ID", "show all that is known of a job", "", run_get},
    {"list", USE_LIST, NULL, "list jobs, the newest first", "", run_list},
    {"cancel", USE_CANCEL, "ID", "stop a job, waiting or running",
     "A running job stops at its next step. A job that has ended is left as it is.\n", run_cancel},
    {"requeue", USE_REQUEUE, "ID", "put a quarantined job back into the queue",
     "For the operator who has found out why it crashed its workers: its attempts are forgotten,\n"
     "and it goes in front of all that came after it. A job that is not in quarantine is left as\n"
     "it is.\n",
     run_requeue},
    {"bury", USE_BURY, "ID", "let a quarantined job fail for good",
     "Otherwise it does so by itself after three days. A job that is not in quarantine is left as\n"
     "it is.\n",
     run_bury},
    {"explain", USE_EXPLAIN, "ID", "say why a job waits, or what became of it", "", run_explain},
    {"models", USE_MODELS, NULL, "list the models of the fleet", "", run_models},
    {"status", USE_STATUS, NULL, "show the queue and the workers", "", run_status},
    {"version", USE_VERSION, NULL, "show the version of this program", "", run_version},
    {"completion", USE_COMPLETION, NULL, "print a script for bash that completes these words",
     "source <(darkroom completion) now, or darkroom completion >FILE with FILE in\n"
     "/etc/bash_completion.d/darkroom or ~/.local/share/bash-completion/completions/darkroom.\n",
     run_completion},
};

const struct cli_verb *cli_verb(size_t index) {
  return index < sizeof verbs / sizeof verbs[0] ? &verbs[index] : NULL;
}

const struct cli_verb *cli_verb_named(const char *name) {
  for (size_t i = 0; cli_verb(i) != NULL; i++) {
    if (strcmp(verbs[i].name, name) == 0) {
      return &verbs[i];
    }
  }
  return NULL;
}
