/* gpus.c - one detached thread, one lock, and who is last to let go frees. */
#include "worker/gpus.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/background.h"
#include "base/clock.h"
#include "monitoring/log.h"

enum {
  SLICE_MS = 100,  /* one wait for an Xid: how soon the thread sees that it may go */
  CLOSE_MS = 1000, /* and how long it is waited for then */
  XIDS_MAX = 64,   /* told and not taken; further ones say nothing new */
};

struct gpus {
  pthread_mutex_t lock;
  pthread_cond_t changed; /* on the monotonic clock */
  int holders;            /* the loop, and the thread while it runs */
  bool closing;
  bool asked;  /* to look at once: others are followed now */
  bool listed; /* the list, or why there is none, is there */
  enum status status;
  char reason[FAIL_REASON_MAX];
  struct gpu_list list; /* written by the thread before it is `listed`, by nobody after */
  bool followed[GPUS_MAX];
  struct gpu_look look[GPUS_MAX];
  struct gpu_xid xid[XIDS_MAX];
  size_t xid_count;
};

static void let_go(struct gpus *gpus) {
  pthread_mutex_lock(&gpus->lock);
  bool last = --gpus->holders == 0;
  pthread_cond_broadcast(&gpus->changed);
  pthread_mutex_unlock(&gpus->lock);
  if (last) {
    pthread_cond_destroy(&gpus->changed);
    pthread_mutex_destroy(&gpus->lock);
    free(gpus);
  }
}

/* the thread ----------------------------------------------------------------------------------- */

static bool flag(struct gpus *gpus, const bool *which) {
  pthread_mutex_lock(&gpus->lock);
  bool set = *which;
  pthread_mutex_unlock(&gpus->lock);
  return set;
}

static void tell_list(struct gpus *gpus, enum status status) {
  pthread_mutex_lock(&gpus->lock);
  gpus->status = status;
  gpus->listed = true;
  snprintf(gpus->reason, sizeof gpus->reason, "%s", status != OK ? fail_reason() : "");
  pthread_cond_broadcast(&gpus->changed);
  pthread_mutex_unlock(&gpus->lock);
}

/* The library is asked without the lock: the loop never waits for it. */
static void read_one(struct gpus *gpus, struct nvml *nvml, size_t row) {
  struct gpu_look look = {.read = true};
  look.lost = nvml_read(nvml, &gpus->list.gpu[row], &look.reading) != OK;
  look.read_ms = clock_ms();
  pthread_mutex_lock(&gpus->lock);
  gpus->look[row] = look;
  pthread_mutex_unlock(&gpus->lock);
}

static void read_all(struct gpus *gpus, struct nvml *nvml) {
  pthread_mutex_lock(&gpus->lock);
  gpus->asked = false;
  pthread_mutex_unlock(&gpus->lock);
  for (size_t i = 0; i < gpus->list.count; i++) {
    if (flag(gpus, &gpus->followed[i])) {
      read_one(gpus, nvml, i);
    }
  }
}

static void keep_xid(struct gpus *gpus, const struct gpu_xid *xid) {
  pthread_mutex_lock(&gpus->lock);
  if (gpus->xid_count < XIDS_MAX) {
    gpus->xid[gpus->xid_count++] = *xid;
  }
  pthread_mutex_unlock(&gpus->lock);
}

/* Xids until the next look is due. */
static void listen(struct gpus *gpus, struct nvml *nvml, bool telling) {
  int64_t until_ms = clock_ms() + GPUS_LOOK_MS;
  while (clock_ms() < until_ms && !flag(gpus, &gpus->closing) && !flag(gpus, &gpus->asked)) {
    struct gpu_xid xid;
    int64_t begun_ms = clock_ms();
    bool told = telling && nvml_next_xid(nvml, &gpus->list, SLICE_MS, &xid);
    if (told) {
      keep_xid(gpus, &xid);
    } else if (clock_ms() - begun_ms < SLICE_MS) { /* it did not wait: no events, or it is lost */
      clock_sleep_ms(SLICE_MS);
    }
  }
}

static void *watch(void *argument) {
  struct gpus *gpus = argument;
  struct nvml *nvml = NULL;
  enum status status = nvml_open(&nvml);
  status = status == OK ? nvml_list(nvml, &gpus->list) : status;
  tell_list(gpus, status);
  bool telling = status == OK && nvml_watch(nvml, &gpus->list) == OK;
  if (status == OK && !telling) {
    log_warning("gpus_tell_no_xid", log_text("reason", fail_reason()));
  }
  while (status == OK && !flag(gpus, &gpus->closing)) {
    read_all(gpus, nvml);
    listen(gpus, nvml, telling);
  }
  nvml_close(&nvml);
  let_go(gpus);
  return NULL;
}

/* the loop's side ------------------------------------------------------------------------------ */

static struct timespec later(int64_t ms) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  at.tv_sec += ms / 1000;
  at.tv_nsec += (ms % 1000) * 1000000;
  if (at.tv_nsec >= 1000000000) {
    at.tv_sec++;
    at.tv_nsec -= 1000000000;
  }
  return at;
}

static struct gpus *make(void) {
  struct gpus *gpus = calloc(1, sizeof *gpus);
  if (gpus != NULL) {
    pthread_condattr_t attributes;
    pthread_mutex_init(&gpus->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&gpus->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    gpus->holders = 2;
  }
  return gpus;
}

static enum status wait_for_list(struct gpus *gpus, int64_t patience_ms) {
  struct timespec until = later(patience_ms);
  enum status status = OK;
  pthread_mutex_lock(&gpus->lock);
  int waited = 0;
  while (!gpus->listed && waited != ETIMEDOUT) {
    waited = pthread_cond_timedwait(&gpus->changed, &gpus->lock, &until);
  }
  if (!gpus->listed) {
    status = fail(UNAVAILABLE, "the NVIDIA driver has not answered for %lld s",
                  (long long)(patience_ms / 1000));
  } else if (gpus->status != OK) {
    status = fail(gpus->status, "%s", gpus->reason);
  }
  pthread_mutex_unlock(&gpus->lock);
  return status;
}

enum status gpus_open(int64_t patience_ms, struct gpus **out) {
  struct gpus *gpus = make();
  if (gpus == NULL) {
    return fail(EXHAUSTED, "no memory");
  }
  enum status status = background_run(watch, gpus);
  if (status != OK) {
    gpus->holders = 1;
    let_go(gpus);
    return status;
  }
  status = wait_for_list(gpus, patience_ms);
  if (status != OK) {
    gpus_close(&gpus);
    return status;
  }
  *out = gpus;
  return OK;
}

void gpus_close(struct gpus **pointer) {
  struct gpus *gpus = *pointer;
  *pointer = NULL;
  if (gpus == NULL) {
    return;
  }
  struct timespec until = later(CLOSE_MS);
  pthread_mutex_lock(&gpus->lock);
  gpus->closing = true;
  int waited = 0;
  while (gpus->holders > 1 && waited != ETIMEDOUT) {
    waited = pthread_cond_timedwait(&gpus->changed, &gpus->lock, &until);
  }
  pthread_mutex_unlock(&gpus->lock);
  let_go(gpus);
}

const struct gpu_list *gpus_list(const struct gpus *gpus) { return &gpus->list; }

void gpus_follow(struct gpus *gpus, const size_t *rows, size_t count) {
  pthread_mutex_lock(&gpus->lock);
  for (size_t i = 0; i < count; i++) {
    gpus->followed[rows[i]] = true;
  }
  gpus->asked = true;
  pthread_mutex_unlock(&gpus->lock);
}

void gpus_look(struct gpus *gpus, size_t row, struct gpu_look *out) {
  pthread_mutex_lock(&gpus->lock);
  *out = gpus->look[row];
  pthread_mutex_unlock(&gpus->lock);
}

bool gpus_take_xid(struct gpus *gpus, struct gpu_xid *out) {
  pthread_mutex_lock(&gpus->lock);
  bool any = gpus->xid_count > 0;
  if (any) {
    *out = gpus->xid[0];
    gpus->xid_count--;
    memmove(&gpus->xid[0], &gpus->xid[1], gpus->xid_count * sizeof gpus->xid[0]);
  }
  pthread_mutex_unlock(&gpus->lock);
  return any;
}
