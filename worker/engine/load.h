/* load.h - a model, or weights of adapters, on their way to the device while turns go on. A thread
 * of its own reads and hashes the files beside everything else, and packs weights only while the
 * engine lends it the device, a layer at a time: so a device still belongs to one thread at a time,
 * and what is taken of it is counted by one. */
#ifndef DARKROOM_WORKER_ENGINE_LOAD_H
#define DARKROOM_WORKER_ENGINE_LOAD_H

#include <stdint.h>

#include "worker/model/loader.h"

struct load;
/* What is made: make(context) is called in the load's thread, and stops where loader.h says. */
struct load_work {
  enum status (*make)(void *context, const struct loader_pauses *pauses, void **out);
  void *context;
};
enum load_state {
  LOAD_READS, /* files; leaves the device alone */
  LOAD_WAITS, /* for the device */
  LOAD_WORKS, /* the device is lent to it */
  LOAD_ENDED
};

/* Starts. What the work's context points to is borrowed until load_end. EXHAUSTED without memory or
 * a thread. */
enum status load_begin(const struct load_work *work, struct load **out);
/* Lends it the device until it has packed for so long and the layer is through, if it waits for
 * that; gives how it stands. Everything queued on the device may go on meanwhile. */
enum load_state load_turn(struct load *load, int64_t slice_ms);
/* Waits until it does something else than reading, or so long. */
void load_wait(struct load *load, int64_t most_ms);
/* Nobody wants it any more: it fails where it stops next. */
void load_give_up(struct load *load);
/* The outcome of the work, once it has ended; one that has not is given up and waited for. */
enum status load_end(struct load **load, void **out);

#endif
