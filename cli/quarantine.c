/* quarantine.c - requeue and bury: an operator's word on a job that crashed its workers too often.
 */
#include <stdio.h>

#include "cli/show.h"
#include "cli/verbs.h"
#include "proto/job.h"

/* Prints the id as it was typed, and nothing else that came from elsewhere but a known state. */
static enum exit_code review(const struct call *call, enum wire_verb verb,
                             const ProtobufCMessage *message, const char *done) {
  enum exit_code code = EXIT_CODE_OK;
  const Darkroom__V1__Reviewed *reviewed =
      (const Darkroom__V1__Reviewed *)verb_ask(call, verb, message, WIRE_REVIEWED, &code);
  if (reviewed != NULL) {
    printf("%s: %s (%s)\n", call->argument, reviewed->moved ? done : "it is not in quarantine",
           job_state_name(reviewed->state));
  }
  return code;
}

enum exit_code run_requeue(const struct call *call) {
  Darkroom__V1__Requeue requeue = DARKROOM__V1__REQUEUE__INIT;
  requeue.id = (char *)call->argument;
  requeue.tenant = (char *)call->options->tenant;
  return review(call, WIRE_REQUEUE, &requeue.base, "it is back in the queue");
}

enum exit_code run_bury(const struct call *call) {
  Darkroom__V1__Bury bury = DARKROOM__V1__BURY__INIT;
  bury.id = (char *)call->argument;
  bury.tenant = (char *)call->options->tenant;
  return review(call, WIRE_BURY, &bury.base, "it has failed for good");
}
