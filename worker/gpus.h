/* gpus.h - the GPUs of this machine, watched by a thread that may hang without harm.
 *
 * What a sick GPU does to the driver's library is its own affair: the thread shares one page of
 * figures with the loop, is never waited for longer than is said here, and if it hangs the figures
 * only grow old. All functions are for one thread, the loop's.
 */
#ifndef DARKROOM_WORKER_GPUS_H
#define DARKROOM_WORKER_GPUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/nvml.h"

#define GPUS_LOOK_MS 5000 /* how often each GPU's figures are read */

struct gpus;

/* Starts the thread and waits for its list of GPUs, at most so long. UNAVAILABLE: there is no
 * driver, or it did not answer in time; the reason says which. */
enum status gpus_open(int64_t patience_ms, struct gpus **out);
/* Lets the thread go; waits for it a second at most. */
void gpus_close(struct gpus **gpus);

/* As it was at the start; borrowed until close. */
const struct gpu_list *gpus_list(const struct gpus *gpus);
/* These rows of the list are read from now on, at once first; until then none is. */
void gpus_follow(struct gpus *gpus, const size_t *rows, size_t count);

/* What was read last of a row. */
struct gpu_look {
  bool read;       /* at all */
  bool lost;       /* the driver reaches it no more */
  int64_t read_ms; /* when, on clock_ms */
  struct gpu_reading reading;
};
void gpus_look(struct gpus *gpus, size_t row, struct gpu_look *out);
/* The next Xid that has been told since; false: there is none. */
bool gpus_take_xid(struct gpus *gpus, struct gpu_xid *out);

#endif
