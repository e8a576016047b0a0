/* placement.c - free slots of the engines, and what follows for jobs and credits. */
#include "worker/placement.h"

#include <string.h>

#include "base/clock.h"
#include "worker/extras.h"

enum {
  HELD_SPARE = 8,       /* rows kept free for what was pushed before our last CLAIM was heard */
  PREFETCH_US = 250000, /* a job is fetched this long before a slot falls free: many round trips */
  SLOTS_FAR_MAX = 1 << 20, /* more than any engine has */
};

/* Whether the job is this engine's, inside it or waiting before it. */
static bool is_for(const struct held *held, size_t index) {
  return held->child == index && (held_in_engine(held) || held->state == HELD_WAITING);
}

/* An image in the making takes a slot; images that have no slot yet wait in the engine. Jobs that
 * are fetched for take none until they are as many as the slots: a place that is slow must not keep
 * the engine idle, and a flood of such jobs not be taken without end. Those that are slow take none
 * at all (inputs.c lets go of what is too many): the next one's place may be fast. */
int placement_free_slots(const struct worker *worker, size_t index) {
  int64_t now_ms = clock_ms();
  int slots = (int)worker->children.child[index].slots;
  int free_slots = slots;
  int fetching = 0;
  for (size_t i = 0; i < HELD_MAX; i++) {
    const struct held *held = &worker->held.row[i];
    if (is_for(held, index)) {
      free_slots -= (int)(held->images - held->received);
    } else if (held->state == HELD_FETCHING && held->child == index &&
               !held_fetches_slowly(held, now_ms)) {
      fetching += (int)held->images;
    }
  }
  return free_slots - (fetching > slots ? fetching - slots : 0);
}

bool placement_has_jobs(const struct worker *worker, size_t index) {
  for (size_t i = 0; i < HELD_MAX; i++) {
    if (held_in_engine(&worker->held.row[i]) && worker->held.row[i].child == index) {
      return true;
    }
  }
  return false;
}

/* Whether one of its jobs runs alone or is about to: then it takes nobody else. */
static bool is_taken_alone(const struct worker *worker, size_t index) {
  for (size_t i = 0; i < HELD_MAX; i++) {
    const struct held *held = &worker->held.row[i];
    if (held->alone && is_for(held, index)) {
      return true;
    }
  }
  return false;
}

/* Children may differ in what jobs name, as in their models. */
static bool can_do(const struct worker *worker, size_t index, const char *model,
                   const Darkroom__V1__Job *job) {
  const struct child *child = &worker->children.child[index];
  return child->state == CHILD_READY && child_model(child, model) != NULL &&
         (job == NULL || extras_on(worker, index, job));
}

/* One that is overfull is still found: its slots fall free, and the job waits in it. */
bool placement_child_for(const struct worker *worker, const char *model,
                         const Darkroom__V1__Job *job, size_t *out) {
  int best = INT32_MIN;
  for (size_t i = 0; i < worker->children.count; i++) {
    if (!can_do(worker, i, model, job)) {
      continue;
    }
    int free_slots = placement_free_slots(worker, i);
    free_slots -=
        is_taken_alone(worker, i) ? SLOTS_FAR_MAX : 0; /* then only when there is no other */
    if (free_slots > best) {
      best = free_slots;
      *out = i;
    }
  }
  return best != INT32_MIN;
}

bool placement_empty_child_for(const struct worker *worker, const Darkroom__V1__Job *job,
                               size_t *out) {
  for (size_t i = 0; i < worker->children.count; i++) {
    bool empty = can_do(worker, i, job->model, job);
    for (size_t row = 0; empty && row < HELD_MAX; row++) {
      empty = !is_for(&worker->held.row[row], i);
    }
    if (empty) {
      *out = i;
      return true;
    }
  }
  return false;
}

/* How many more pictures the spool may get. While the store is away those count that are still to
 * be made: they will lie there, too. */
static uint64_t spool_room(const struct worker *worker) {
  struct spool_use use =
      worker->store.away ? held_expected_total(&worker->held) : held_unstored_total(&worker->held);
  uint64_t images = (uint64_t)worker->options->spool_images;
  uint64_t bytes = (uint64_t)worker->options->spool_mib << 20;
  return use.pictures < images && use.bytes < bytes ? images - use.pictures : 0;
}

/* A store that has refused ever since the worker was started may have the wrong keys: jobs are
 * better off with another worker. */
static bool taking(const struct worker *worker) {
  bool hopeless = worker->store.refused && !worker->store.proven;
  return worker->generation != 0 && !worker->draining && !hopeless && !worker->spool_watch.full &&
         spool_room(worker) > 0 && held_count(&worker->held) < HELD_MAX - HELD_SPARE;
}

/* While the store is away no more jobs than the spool has room for, each having as many images as a
 * job may; one at least, else none would ever be taken where the limit is small. */
static uint32_t at_most(const struct worker *worker, uint32_t jobs) {
  uint64_t most = spool_room(worker) / JOB_IMAGES_MAX;
  most = most > 0 ? most : 1;
  return worker->store.away && jobs > most ? (uint32_t)most : jobs;
}

/* A job of this engine ends within PREFETCH_US: the next one may be on its way already. */
static bool soon_free(const struct worker *worker, size_t index) {
  uint64_t turn_us = child_turn_median_us(&worker->children.child[index]);
  for (size_t i = 0; i < HELD_MAX; i++) {
    const struct held *held = &worker->held.row[i];
    if (held->state == HELD_RUNNING && held->child == index && turn_us > 0 &&
        (held->steps - held->step) * turn_us < PREFETCH_US) {
      return true;
    }
  }
  return false;
}

static uint32_t child_grant(const struct worker *worker, size_t index) {
  int free_slots = is_taken_alone(worker, index) ? -1 : placement_free_slots(worker, index);
  if (free_slots > 0) {
    return (uint32_t)free_slots;
  }
  return free_slots == 0 && soon_free(worker, index) ? 1 : 0;
}

static void add_credit(struct grant *grant, const struct child_model *model, uint32_t jobs) {
  size_t at = 0;
  while (at < grant->count && strcmp(grant->credit[at].model, model->id) != 0) {
    at++;
  }
  if (at == MODELS_MAX) {
    return;
  }
  struct credit *credit = &grant->credit[at];
  if (at == grant->count) {
    grant->count++;
    *credit = (struct credit){.model = model->id, .max_side = model->max_side};
  }
  credit->jobs += jobs;
  credit->max_side = model->max_side < credit->max_side ? model->max_side : credit->max_side;
}

/* Engines may differ in their models. Then the sum of their slots may be more than the models that
 * turn up can use: two slots for x or y and two for z are not four for x and y. The least that any
 * model could get alone is right whatever comes; the rest is granted as soon as that is used. */
static uint32_t total(const struct grant *grant, uint32_t sum) {
  uint32_t least = sum;
  for (size_t i = 0; i < grant->count; i++) {
    uint32_t jobs = grant->credit[i].jobs;
    least = jobs > 0 && jobs < least ? jobs : least;
  }
  return least;
}

void placement_grant(const struct worker *worker, struct grant *out) {
  uint32_t sum = 0;
  bool takes = taking(worker);
  out->count = 0;
  for (size_t i = 0; i < worker->children.count; i++) {
    const struct child *child = &worker->children.child[i];
    if (child->state != CHILD_READY) {
      continue;
    }
    uint32_t jobs = takes ? child_grant(worker, i) : 0;
    sum += jobs;
    for (size_t m = 0; m < child->model_count; m++) {
      add_credit(out, &child->model[m], jobs);
    }
  }
  out->jobs = at_most(worker, total(out, sum));
  for (size_t i = 0; i < out->count; i++) {
    out->credit[i].jobs = at_most(worker, out->credit[i].jobs);
  }
}
