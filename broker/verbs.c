/* verbs.c - the table, made from proto/verbs.def, and what both kinds of verbs share. */
#include "broker/verbs.h"

#include "monitoring/metrics.h"
#include "proto/job.h"

/* A row per message that peers send, at its number; what only brokers say has none. A verb of the
 * contract whose halves are not written does not link. */
#define VERB_CLIENT(name, number, payload) [number] = {name, payload##_ask, payload##_answer},
#define VERB_WORKER(name, number, payload) VERB_CLIENT(name, number, payload)
#define VERB_BROKER(name, number, payload)
static const struct verb table[] = {
#define VERB(id, number, payload, sender) VERB_##sender(#id, number, payload)
#include "proto/verbs.def"
#undef VERB
};

const struct verb *verb_find(enum wire_verb verb) {
  size_t number = (size_t)verb;
  return number < sizeof table / sizeof table[0] && table[number].ask != NULL ? &table[number]
                                                                              : NULL;
}

enum status verb_check_id(struct request *request, const char *field, const char *id) {
  if (id != NULL && job_id_valid(id)) {
    return OK;
  }
  return refuse(&request->why, DARKROOM__V1__ERROR_CODE__ERROR_FIELD, field,
                "1..64 of [A-Za-z0-9._-]", "%s is %s", field, id == NULL ? "missing" : "not an id");
}

const char *verb_tenant(const struct request *request) {
  (void)request; /* the connection says it once there are keys */
  return "default";
}

/* Each broker counts what happened through it; the sum over brokers is the fleet's. */
void verb_count_ended(Darkroom__V1__JobState state, uint64_t jobs) {
  static const struct {
    Darkroom__V1__JobState state;
    enum metric metric;
  } rows[] = {
      {DARKROOM__V1__JOB_STATE__JOB_STATE_SUCCEEDED, M_JOBS_SUCCEEDED},
      {DARKROOM__V1__JOB_STATE__JOB_STATE_FAILED, M_JOBS_FAILED},
      {DARKROOM__V1__JOB_STATE__JOB_STATE_CANCELLED, M_JOBS_CANCELLED},
      {DARKROOM__V1__JOB_STATE__JOB_STATE_EXPIRED, M_JOBS_EXPIRED},
      {DARKROOM__V1__JOB_STATE__JOB_STATE_QUARANTINED, M_JOBS_QUARANTINED},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    if (rows[i].state == state && jobs > 0) {
      metric_add(rows[i].metric, (double)jobs);
    }
  }
}
