/* block.h - the threads of the block that runs, between block.cpp and warp.cpp. */
#ifndef DARKROOM_EMULATION_BLOCK_H
#define DARKROOM_EMULATION_BLOCK_H

#include <cuda_runtime.h>

#include <vector>

#include "tests/emulation/fiber.h"

namespace emulation {

constexpr int EXIT_REFUSED = 99;

struct Copy {
  void *to;
  const void *from;
  unsigned bytes, source_bytes;
  unsigned group; /* of the thread's; the open one if it is the next to be committed */
};

struct Thread {
  Place place;
  unsigned number;  /* in the block */
  Fiber *fiber;     /* NULL: has not begun, or has ended */
  const char *file; /* where it waits, NULL if it does not */
  int line;
  bool at_barrier;
  int vote;
  std::vector<Copy> copies; /* on their way */
  unsigned groups;          /* committed */
};

/* The running thread waits until somebody wakes it. */
void wait_here(const char *file, int line);
void wake(Thread *thread);
Thread *running_thread();
std::vector<Thread> &threads_of_block();

/* ---- warp.cpp ---- */

void start_warps(size_t threads);
/* Lanes that meet without it need wait no longer. */
void end_of_thread(Thread *thread);
/* Now and then a copy is done before anybody waits for it. */
void async_lapse(Thread *thread);

}  // namespace emulation

#endif
