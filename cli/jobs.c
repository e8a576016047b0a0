/* jobs.c - generate, submit and watch. */
#include <stdio.h>
#include <string.h>

#include "cli/attachments.h"
#include "cli/fetch.h"
#include "cli/follow.h"
#include "cli/previews.h"
#include "cli/progress.h"
#include "cli/prompt.h"
#include "cli/show.h"
#include "cli/verbs.h"
#include "proto/job.h"

static bool to_stdout(const struct options *options) {
  return options->output != NULL && strcmp(options->output, "-") == 0;
}

/* What can be known to fail before a machine works for it. */
static enum exit_code output_check(const struct options *options) {
  if (options->json && to_stdout(options)) {
    fprintf(stderr, "darkroom: --json and -o - both want stdout\n");
    return EXIT_CODE_USAGE;
  }
  enum exit_code code = previews_check(options);
  return code != EXIT_CODE_OK ? code : fetch_check(options->output, options->count);
}

static enum exit_code say_failure(const Darkroom__V1__JobStatus *status) {
  struct refusal why = {0};
  if (status->error == NULL) {
    fprintf(stderr, "darkroom: the job is %s\n", job_state_name(status->state));
  } else {
    refusal_from_error(status->error, &why);
    fprintf(stderr, "darkroom: the job is %s: %s (%s)\n", job_state_name(status->state),
            why.message, refusal_code_name(why.code));
  }
  return EXIT_CODE_JOB;
}

/* What was asked and not done to the letter. */
static void say_warnings(const struct options *options, const Darkroom__V1__JobStatus *status) {
  char copy[SHOW_SAFE_BYTES_MAX];
  for (size_t i = 0; !options->quiet && i < status->n_warning; i++) {
    fprintf(stderr, "darkroom: warning: %s\n", show_safe(status->warning[i], copy));
  }
}

/* The pictures of a job that succeeded; why there are none otherwise. */
static enum exit_code deliver(const struct call *call, const Darkroom__V1__JobStatus *status) {
  enum exit_code code = EXIT_CODE_OK;
  if (call->options->json) {
    code = show_json(&status->base);
  }
  if (status->state != DARKROOM__V1__JOB_STATE__JOB_STATE_SUCCEEDED) {
    return say_failure(status);
  }
  say_warnings(call->options, status);
  if (code == EXIT_CODE_OK) {
    code = fetch_images(status, call->options, call->options->json ? stderr : stdout);
  }
  if (status->timings != NULL && !call->options->quiet) {
    progress_timings(status->timings);
  }
  return code;
}

static enum exit_code follow_and_deliver(const struct call *call, const char *id,
                                         Darkroom__V1__Job *job) {
  struct following following = {
      .options = call->options, .link = call->link, .arena = call->arena, .id = id, .job = job};
  Darkroom__V1__JobStatus *status = NULL;
  enum exit_code code = follow(&following, &status);
  if (status == NULL) {
    return code;
  }
  enum exit_code delivered = deliver(call, status);
  return code != EXIT_CODE_OK ? code : delivered;
}

static enum status make_job(const struct call *call, struct luggage *luggage, char *id,
                            Darkroom__V1__Job *job, struct refusal *why) {
  const char *prompt = NULL;
  *luggage = (struct luggage){.options = call->options, .arena = call->arena};
  TRY(prompt_take(call->argument, stdin, call->arena, &prompt, why));
  TRY(options_job(call->options, prompt, id, job, why));
  return attachments_add(luggage, job, why);
}

/* All that can be known to be wrong is, before anything is sent anywhere. */
enum exit_code run_generate(const struct call *call) {
  char id[JOB_ID_TEXT_MAX];
  Darkroom__V1__Job job;
  struct luggage luggage;
  struct refusal why = {0};
  enum status status = make_job(call, &luggage, id, &job, &why);
  enum exit_code code = status == OK ? output_check(call->options) : complain_refused(status, &why);
  code = code == EXIT_CODE_OK ? luggage_send(&luggage) : code;
  luggage_close(&luggage);
  return code != EXIT_CODE_OK ? code : follow_and_deliver(call, id, &job);
}

enum exit_code run_watch(const struct call *call) {
  enum exit_code code = output_check(call->options);
  return code != EXIT_CODE_OK ? code : follow_and_deliver(call, call->argument, NULL);
}

static enum exit_code submit(const struct call *call, const char *id, Darkroom__V1__Job *job) {
  Darkroom__V1__Submit submit = DARKROOM__V1__SUBMIT__INIT;
  struct refusal why = {0};
  submit.job = job;
  struct question question = {WIRE_SUBMIT, &submit.base, WIRE_SUBMITTED,
                              call->options->patience_ms};
  ProtobufCMessage *answer = NULL;
  enum status status = link_ask(call->link, &question, call->arena, &answer, &why);
  if (status != OK) {
    return complain_refused(status, &why);
  }
  if (call->options->json) {
    return show_json(answer);
  }
  printf("%s\n", id);
  return EXIT_CODE_OK;
}

enum exit_code run_submit(const struct call *call) {
  char id[JOB_ID_TEXT_MAX];
  Darkroom__V1__Job job;
  struct luggage luggage;
  struct refusal why = {0};
  enum status status = make_job(call, &luggage, id, &job, &why);
  enum exit_code code = status == OK ? luggage_send(&luggage) : complain_refused(status, &why);
  luggage_close(&luggage);
  return code != EXIT_CODE_OK ? code : submit(call, id, &job);
}
