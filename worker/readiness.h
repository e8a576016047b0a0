/* readiness.h - whether the worker can work, told by its loop and asked by the admin thread: the
 * one thing they share. */
#ifndef DARKROOM_WORKER_READINESS_H
#define DARKROOM_WORKER_READINESS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "monitoring/health.h"

struct readiness {
  pthread_mutex_t lock;
  bool ready;
  char reason[HEALTH_REASON_BYTES_MAX];
};

void readiness_open(struct readiness *readiness);
void readiness_close(struct readiness *readiness);
/* words: why it is not ready; of one that is, what is amiss all the same, or "". */
void readiness_set(struct readiness *readiness, bool ready, const char *words);
/* The callback of health_options. */
bool readiness_get(void *readiness, char *reason, size_t reason_bytes);

#endif
