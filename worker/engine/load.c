/* load.c - two threads and one device between them. */
#include "worker/engine/load.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S INT64_C(1000000000)
#define MS_PER_S 1000

struct load {
  struct load_work work;
  pthread_t thread;
  pthread_mutex_t lock; /* of what follows */
  pthread_cond_t changed;
  enum load_state state;
  bool given_up;
  int64_t slice_ns, lent_ns; /* for how long the device is lent, and since when */
  void *made;                /* once ended: */
  enum status status;
  char reason[FAIL_REASON_MAX], field[FAIL_FIELD_MAX];
};

/* ---- the load's thread ---- */

static void become(struct load *load, enum load_state state) {
  load->state = state;
  pthread_cond_broadcast(&load->changed);
}

/* Called with the lock. */
static void wait_for_device(struct load *load) {
  become(load, LOAD_WAITS);
  while (load->state != LOAD_WORKS) {
    pthread_cond_wait(&load->changed, &load->lock);
  }
}

static enum status between(void *context) {
  struct load *load = context;
  pthread_mutex_lock(&load->lock);
  if (!load->given_up && clock_ns() - load->lent_ns >= load->slice_ns) {
    wait_for_device(load);
  }
  bool given_up = load->given_up;
  pthread_mutex_unlock(&load->lock);
  return given_up ? fail(UNAVAILABLE, "nobody waits for it any more") : OK;
}

static void beside(void *context, bool reading) {
  struct load *load = context;
  pthread_mutex_lock(&load->lock);
  if (reading) {
    become(load, LOAD_READS);
  } else if (load->state != LOAD_WORKS) {
    wait_for_device(load);
  }
  pthread_mutex_unlock(&load->lock);
}

static void *run(void *context) {
  struct load *load = context;
  const struct loader_pauses pauses = {.context = load, .between = between, .beside = beside};
  void *made = NULL;
  enum status status = load->work.make(load->work.context, &pauses, &made);
  pthread_mutex_lock(&load->lock);
  load->made = made;
  load->status = status;
  snprintf(load->reason, sizeof load->reason, "%s", status != OK ? fail_reason() : "");
  snprintf(load->field, sizeof load->field, "%s", status != OK ? fail_field_name() : "");
  become(load, LOAD_ENDED);
  pthread_mutex_unlock(&load->lock);
  return NULL;
}

/* ---- the engine's ---- */

static void destroy(struct load *load) {
  pthread_cond_destroy(&load->changed);
  pthread_mutex_destroy(&load->lock);
  free(load);
}

enum status load_begin(const struct load_work *work, struct load **out) {
  struct load *load = calloc(1, sizeof *load);
  if (load == NULL) {
    return fail(EXHAUSTED, "no memory to begin a load");
  }
  *load = (struct load){.work = *work, .state = LOAD_READS};
  pthread_mutex_init(&load->lock, NULL);
  pthread_cond_init(&load->changed, NULL);
  if (pthread_create(&load->thread, NULL, run, load) != 0) {
    destroy(load);
    return fail(EXHAUSTED, "no thread to load in");
  }
  *out = load;
  return OK;
}

/* Called with the lock. */
static void lend(struct load *load, int64_t slice_ns) {
  load->slice_ns = slice_ns;
  load->lent_ns = clock_ns();
  become(load, LOAD_WORKS);
  while (load->state == LOAD_WORKS) {
    pthread_cond_wait(&load->changed, &load->lock);
  }
}

enum load_state load_turn(struct load *load, int64_t slice_ms) {
  pthread_mutex_lock(&load->lock);
  if (load->state == LOAD_WAITS) {
    lend(load, slice_ms * NS_PER_MS);
  }
  enum load_state state = load->state;
  pthread_mutex_unlock(&load->lock);
  return state;
}

void load_wait(struct load *load, int64_t most_ms) {
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  int64_t ns = until.tv_nsec + most_ms % MS_PER_S * NS_PER_MS;
  until.tv_sec += (time_t)(most_ms / MS_PER_S + ns / NS_PER_S);
  until.tv_nsec = (long)(ns % NS_PER_S);
  pthread_mutex_lock(&load->lock);
  int over = 0;
  while (load->state == LOAD_READS && over != ETIMEDOUT) {
    over = pthread_cond_timedwait(&load->changed, &load->lock, &until);
  }
  pthread_mutex_unlock(&load->lock);
}

void load_give_up(struct load *load) {
  pthread_mutex_lock(&load->lock);
  load->given_up = true;
  pthread_mutex_unlock(&load->lock);
}

enum status load_end(struct load **pointer, void **out) {
  struct load *load = *pointer;
  pthread_mutex_lock(&load->lock);
  load->given_up = load->given_up || load->state != LOAD_ENDED;
  while (load->state != LOAD_ENDED) {
    if (load->state == LOAD_WAITS) {
      lend(load, 0);
    } else {
      pthread_cond_wait(&load->changed, &load->lock);
    }
  }
  pthread_mutex_unlock(&load->lock);
  pthread_join(load->thread, NULL);
  void *made = load->made;
  enum status status = load->status;
  if (status != OK) {
    (void)fail_field(status, load->field, "%s", load->reason);
  }
  destroy(load);
  *pointer = NULL;
  if (status != OK) {
    return status;
  }
  *out = made;
  return OK;
}
