/* claim.c - what was said last is kept, and counted down as the broker counts it down: so nothing
 * is said while both agree. */
#include "worker/claim.h"

#include <string.h>

#include "base/backoff.h"
#include "base/clock.h"
#include "worker/placement.h"

enum { CLAIM_AGAIN_MS = 500 };

/* What a credit is worth: never more than the jobs in all. After one of two jobs a model that was
 * not pushed still counts two of itself, and one in all; to say that again would be a second CLAIM
 * over pushes that are on their way, and the broker would push for both. */
static uint32_t worth(const struct credit *credit, uint32_t jobs) {
  return credit->jobs < jobs ? credit->jobs : jobs;
}

static bool same_as_said(const struct worker *worker, const struct grant *grant) {
  if (grant->count != worker->said_count || grant->jobs != worker->said_jobs) {
    return false;
  }
  for (size_t i = 0; i < grant->count; i++) {
    if (strcmp(grant->credit[i].model, worker->said[i].model) != 0 ||
        worth(&grant->credit[i], grant->jobs) != worth(&worker->said[i], worker->said_jobs)) {
      return false;
    }
  }
  return true;
}

static void say_claim(struct worker *worker, const struct grant *grant) {
  Darkroom__V1__Credit row[MODELS_MAX];
  Darkroom__V1__Credit *rows[MODELS_MAX];
  for (size_t i = 0; i < grant->count; i++) {
    darkroom__v1__credit__init(&row[i]);
    row[i].model = (char *)grant->credit[i].model;
    row[i].has_jobs = row[i].has_max_side = 1;
    row[i].jobs = grant->credit[i].jobs;
    row[i].max_side = grant->credit[i].max_side;
    rows[i] = &row[i];
  }
  Darkroom__V1__Claim claim = DARKROOM__V1__CLAIM__INIT;
  claim.worker = (char *)worker->options->name;
  claim.has_generation = claim.has_jobs = claim.has_alone = 1;
  claim.generation = worker->generation;
  claim.jobs = grant->jobs;
  claim.alone = grant->jobs > 0; /* whoever has a slot will empty the rest of the engine for it */
  claim.n_credit = grant->count;
  claim.credit = rows;
  worker->claim_correlation = link_tell(&worker->link, WIRE_CLAIM, &claim.base);
  memcpy(worker->said, grant->credit, grant->count * sizeof worker->said[0]);
  worker->said_count = grant->count;
  worker->said_jobs = grant->jobs;
  worker->claim_stale = false;
}

void claim_tend(struct worker *worker) {
  if (worker->generation == 0 || worker->resuming || clock_ms() < worker->claim_due_ms) {
    return;
  }
  struct grant grant;
  placement_grant(worker, &grant);
  if (worker->claim_stale || !same_as_said(worker, &grant)) {
    say_claim(worker, &grant);
  }
}

/* A push under an older CLAIM than our last means that the broker still thinks it has those of the
 * last: saying it again puts that right. */
void claim_used(struct worker *worker, const Darkroom__V1__Assign *assign, uint64_t correlation) {
  if (correlation != worker->claim_correlation) {
    worker->claim_stale = true;
  }
  worker->said_jobs = assign->alone || worker->said_jobs == 0 ? 0 : worker->said_jobs - 1;
  for (size_t i = 0; i < worker->said_count; i++) {
    if (strcmp(worker->said[i].model, assign->job->model) == 0 && worker->said[i].jobs > 0) {
      worker->said[i].jobs--;
    }
  }
}

void claim_refused(struct worker *worker) {
  worker->said_count = 0;
  worker->claim_stale = true; /* also when there is nothing to grant: the broker shall know us */
  worker->claim_due_ms = clock_ms() + CLAIM_AGAIN_MS + backoff_jitter_ms(CLAIM_AGAIN_MS);
}
