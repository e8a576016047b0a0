/* hardware.h - the devices of this worker: what they are, how they are, and whether they are
 * trusted.
 *
 * Asks gpus.h for figures and Xids, cordon.h for the verdict, and does what follows from it: a
 * cordoned device gets no job, what it held goes back without guilt, everything else goes on.
 */
#ifndef DARKROOM_WORKER_HARDWARE_H
#define DARKROOM_WORKER_HARDWARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "worker/cordon.h"
#include "worker/devices.h"
#include "worker/gpus.h"
#include "worker/options.h"

struct worker;
struct held;

struct hardware {
  struct worker_devices devices;
  struct gpus *gpus; /* NULL: there are none, or nobody can say */
  struct cordon cordon[DEVICES_MAX];
  int64_t shown_ms; /* when the metrics were set */
};

#define HARDWARE_WORDS_BYTES_MAX 400

/* Finds out what --device means here. BAD_INPUT, with a field: the setting is wrong on this
 * machine; UNAVAILABLE: a device that this program was not built for. */
enum status hardware_open(struct hardware *hardware, const struct options *options);
void hardware_close(struct hardware *hardware);

/* A part of the turn: hears Xids, sets the metrics. */
void hardware_tend(struct worker *worker, int64_t now_ms);

/* An engine has ended, and its jobs are still held as it had them. True: its device is cordoned. */
bool hardware_engine_ended(struct worker *worker, size_t index, int64_t now_ms);
/* An engine has finished this job. */
void hardware_job_finished(struct worker *worker, size_t index, const struct held *held,
                           int64_t now_ms);
/* An operator lets every cordoned device in again: its engine is started, tests itself, and works.
 */
void hardware_let_in(struct worker *worker, int64_t now_ms);

/* One line that names the devices that are cordoned and says why; "" when none is. */
void hardware_write_cordons(const struct worker *worker, char words[HARDWARE_WORDS_BYTES_MAX]);
/* "ready", "loading", "away", "refused" or "cordoned". */
const char *hardware_state(const struct worker *worker, size_t index);
/* Why it is not ready; "" for one that is, or of which nothing is known. */
const char *hardware_reason(const struct worker *worker, size_t index);

#endif
