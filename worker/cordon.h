/* cordon.h - whether a device is still trusted: a state machine over the ends of its engines.
 *
 * An engine may die of its job or of its device. A job that kills is a matter for the broker,
 * which gives it out alone until its guilt is proved; a device that kills strangers' jobs must not
 * be given more of them. So each end is laid at somebody's door:
 *
 *   - no job was inside, or all that were have been finished since: the device's;
 *   - one job was inside, alone, and had been lost elsewhere before: the job's, not the device's;
 *   - else one of the jobs that were inside. As many jobs are blamed as it takes to explain all
 *     such ends: one that was inside each explains them all, so it may kill as often as it likes.
 *     Once the device has finished a job after an end, that end counts no more: it works, and
 *     whatever dies in it dies of itself.
 *
 * The device's own ends and the jobs that would have to be blamed are added up over the last ten
 * minutes: at the limit it is cordoned. At once so when the driver tells of an error that only a
 * reset or a repair ends. It stays so until it is let in again.
 *
 * Jobs are known by what they ask for, not by their names: who is told that his job kills and
 * submits it again, a hundred times, has one job. Pure: the caller gives the time.
 */
#ifndef DARKROOM_WORKER_CORDON_H
#define DARKROOM_WORKER_CORDON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"

#define CORDON_WINDOW_MS 600000
#define CORDON_DEATHS_MAX 32            /* kept, and the largest limit that can be set */
#define CORDON_JOBS_MAX SCRIPT_LOOP_MAX /* as many jobs as a worker holds */
#define CORDON_REASON_BYTES_MAX 256

/* One end of an engine. */
struct cordon_death {
  int64_t at_ms;
  uint64_t job[CORDON_JOBS_MAX]; /* what those that were inside ask for, as a hash; the same once */
  size_t count;
  bool elsewhere; /* the one that was inside was alone, and had been lost before it came here */
  bool answered;  /* the device has finished a job since */
};

struct cordon {
  int limit; /* 0: never cordoned for its engines' ends */
  bool closed;
  int64_t since_ms;
  char reason[CORDON_REASON_BYTES_MAX];
  struct cordon_death death[CORDON_DEATHS_MAX]; /* the latest, oldest first */
  size_t count;
};

/* An engine of the device has died. what: how, for the reason. True: that closed it. */
bool cordon_died(struct cordon *cordon, const struct cordon_death *death, const char *what);
/* A job was finished by some engine of the worker: nobody dies of it. here: by one of this device.
 * True: that what is known now closed it. */
bool cordon_finished(struct cordon *cordon, uint64_t job, bool here, int64_t now_ms);
/* The driver has told an Xid of it, or that it is lost (0). True: that closed it. */
bool cordon_xid(struct cordon *cordon, uint32_t number, int64_t now_ms);
/* Trusted again, with nothing held against it. */
void cordon_open(struct cordon *cordon, int limit);

/* How many deaths and jobs speak against it now. */
int cordon_count(const struct cordon *cordon, int64_t now_ms);
/* What an Xid means, "" for one that we do not know; *fatal: whether it closes the device. */
const char *xid_meaning(uint32_t number, bool *fatal);

#endif
