/* readiness.c - a flag and a line of text under a lock. */
#include "worker/readiness.h"

#include <stdio.h>

void readiness_open(struct readiness *readiness) {
  *readiness = (struct readiness){.reason = "starting"};
  pthread_mutex_init(&readiness->lock, NULL);
}

void readiness_close(struct readiness *readiness) { pthread_mutex_destroy(&readiness->lock); }

void readiness_set(struct readiness *readiness, bool ready, const char *words) {
  pthread_mutex_lock(&readiness->lock);
  readiness->ready = ready;
  snprintf(readiness->reason, sizeof readiness->reason, "%s", words);
  pthread_mutex_unlock(&readiness->lock);
}

bool readiness_get(void *context, char *reason, size_t reason_bytes) {
  struct readiness *readiness = context;
  pthread_mutex_lock(&readiness->lock);
  bool ready = readiness->ready;
  snprintf(reason, reason_bytes, "%s", readiness->reason);
  pthread_mutex_unlock(&readiness->lock);
  return ready;
}
