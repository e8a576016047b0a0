/* block.cpp - runs a kernel: block after block, the threads of one taking turns.
 *
 * A thread runs until it waits for others (a barrier, a meeting of its warp) or ends; then the dice
 * say which of those that can go on does. A thread gets a fiber of its own only when it waits, so a
 * kernel that never waits is a plain loop on one stack.
 */
#include <sanitizer/asan_interface.h>

#include <unistd.h>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>

#include "tests/emulation/block.h"
#include "tests/emulation/fiber.h"
#include "tests/emulation/machine.h"

/* The linker's names for the ends of the section of all __shared__ variables; none if it has none. */
extern "C" char __start_emulated_shared[] __attribute__((weak));
extern "C" char __stop_emulated_shared[] __attribute__((weak));

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace emulation {

const Place *here;

static struct {
  const std::function<void()> *body;
  std::vector<Thread> threads;
  std::vector<Thread *> ready; /* the next is taken from behind in natural order */
  Thread *running;
  Fiber *main;
  std::vector<Fiber *> idle;
  unsigned ended, waiting;
  int voted;
  const char *file; /* the barrier that threads wait in */
  int line;
} block;

static Dice &thread_dice() {
  static Dice dice(1);
  return dice;
}

void refuse(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fprintf(stderr, "emulation: ");
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  if (block.running != nullptr) {
    const Place &p = block.running->place;
    fprintf(stderr, " (thread %u,%u,%u of block %u,%u,%u)", p.thread.x, p.thread.y, p.thread.z,
            blockIdx.x, blockIdx.y, blockIdx.z);
  }
  fprintf(stderr, "\n");
  fflush(nullptr);
  _exit(EXIT_REFUSED);
}

/* ---- who runs next ---- */

static Thread *take_ready() {
  if (block.ready.empty()) {
    return nullptr;
  }
  size_t last = block.ready.size() - 1;
  std::swap(block.ready[last], block.ready[last - thread_dice().below(last + 1)]);
  Thread *thread = block.ready.back();
  block.ready.pop_back();
  return thread;
}

static Fiber *fiber_in_use;
static void run_threads_on_this_fiber();

static Fiber *free_fiber() {
  if (block.idle.empty()) {
    return fiber_make(run_threads_on_this_fiber);
  }
  Fiber *fiber = block.idle.back();
  block.idle.pop_back();
  return fiber;
}

/* Leaves the fiber in use for the thread's own, a free one if it has not begun, or the caller of all
 * when there is none. */
static void go_to(Thread *next) {
  Fiber *from = fiber_in_use;
  Fiber *to = next == nullptr ? block.main : next->fiber != nullptr ? next->fiber : free_fiber();
  block.running = next;
  if (to == from) {
    return;
  }
  fiber_in_use = to;
  fiber_switch(from, to);
  fiber_in_use = from;
}

static void step_into(Thread *thread) {
  block.running = thread;
  here = &thread->place;
  threadIdx = thread->place.thread;
}

static void run_threads_on_this_fiber() {
  while (true) {
    block.running->fiber = nullptr;
    step_into(block.running);
    (*block.body)();
    end_of_thread(block.running);
    block.ended++;
    Thread *next = take_ready();
    if (next != nullptr && next->fiber == nullptr) {
      block.running = next;
      continue;
    }
    block.idle.push_back(fiber_in_use);
    go_to(next); /* comes back when somebody gives this fiber a new thread */
  }
}

void wait_here(const char *file, int line) {
  Thread *thread = block.running;
  thread->file = file;
  thread->line = line;
  thread->fiber = fiber_in_use;
  go_to(take_ready());
  step_into(thread);
  thread->file = nullptr;
}

void wake(Thread *thread) { block.ready.push_back(thread); }
Thread *running_thread() { return block.running; }
std::vector<Thread> &threads_of_block() { return block.threads; }

/* ---- the barrier of a block ---- */

/* All that wait in it came to the same line; names of files are compared only where pointers differ. */
static bool same_place(const char *file, int line) {
  return block.line == line && (block.file == file || strcmp(block.file, file) == 0);
}

static int result_of(Vote vote) {
  int all = static_cast<int>(block.threads.size());
  return vote == Vote::count ? block.voted
         : vote == Vote::all ? block.voted == all
                             : block.voted > 0;
}

int block_barrier(Vote vote, int value, const char *file, int line) {
  Thread *thread = block.running;
  if (block.waiting > 0 && !same_place(file, line)) {
    refuse("threads of a block wait at different barriers: %s:%d and %s:%d", file, line, block.file,
           block.line);
  }
  block.file = file;
  block.line = line;
  async_lapse(thread);
  block.voted += value != 0;
  block.waiting++;
  if (block.waiting < block.threads.size()) {
    thread->at_barrier = true;
    wait_here(file, line);
    return thread->vote;
  }
  int result = result_of(vote);
  for (size_t i = block.threads.size(); i-- > 0;) {
    if (block.threads[i].at_barrier) {
      block.threads[i].at_barrier = false;
      block.threads[i].vote = result;
      wake(&block.threads[i]);
    }
  }
  block.waiting = 0;
  block.voted = 0;
  return result;
}

/* ---- a block ---- */

static void explain_standstill() {
  for (const Thread &thread : block.threads) {
    if (thread.file != nullptr) {
      refuse("a barrier that not all threads reach: %u of %zu have ended, thread %u waits at %s:%d",
             block.ended, block.threads.size(), thread.number, thread.file, thread.line);
    }
  }
}

static void *shared_block;
static size_t shared_room, shared_bytes;
void *dynamic_shared() { return shared_block; }
size_t dynamic_shared_bytes() { return shared_bytes; }

/* By hand: between the variables lie AddressSanitizer's guards, over which memset would fall. */
__attribute__((no_sanitize("address"), optimize("no-tree-loop-distribute-patterns"))) static void
fill_poison(char *first, size_t bytes) {
  size_t at = 0;
  for (; at < bytes && reinterpret_cast<uintptr_t>(first + at) % 8 != 0; at++) {
    first[at] = -1;
  }
  for (; at + 8 <= bytes; at += 8) {
    *reinterpret_cast<uint64_t *>(first + at) = UINT64_MAX;
  }
  for (; at < bytes; at++) {
    first[at] = -1;
  }
}

static void poison_shared() {
  if (__start_emulated_shared != nullptr) {
    fill_poison(__start_emulated_shared,
                static_cast<size_t>(__stop_emulated_shared - __start_emulated_shared));
  }
  if (shared_bytes > 0) {
    fill_poison(static_cast<char *>(shared_block), shared_bytes);
  }
}

static void make_shared(size_t bytes) {
  constexpr size_t guard = 256;
  if (shared_room < bytes + guard) {
    free(shared_block);
    shared_room = bytes + guard;
    shared_block = aligned_alloc(1024, (shared_room + 1023) / 1024 * 1024);
  }
  ASAN_UNPOISON_MEMORY_REGION(shared_block, shared_room);
  ASAN_POISON_MEMORY_REGION(static_cast<char *>(shared_block) + bytes, shared_room - bytes);
  shared_bytes = bytes;
}

static void make_threads(const dim3 &size) {
  block.threads.clear();
  block.threads.resize(size_t{size.x} * size.y * size.z);
  for (unsigned i = 0; i < block.threads.size(); i++) {
    Thread &thread = block.threads[i];
    thread.number = i;
    thread.place.thread = {i % size.x, i / size.x % size.y, i / size.x / size.y};
    thread.place.lane = i % 32;
    thread.place.warp = i / 32;
  }
}

static void run_block(uint3 place) {
  poison_shared();
  blockIdx = place;
  block.ended = block.waiting = 0;
  block.voted = 0;
  start_warps(block.threads.size());
  for (size_t i = block.threads.size(); i-- > 0;) {
    block.threads[i].fiber = nullptr;
    block.ready.push_back(&block.threads[i]);
  }
  go_to(take_ready());
  block.running = nullptr;
  if (block.ended < block.threads.size()) {
    explain_standstill();
  }
}

void run_kernel(const Shape &shape, const std::function<void()> &thread) {
  static Dice dice(2);
  Fiber own = {};
  block.body = &thread;
  block.main = fiber_in_use = &own;
  blockDim = shape.block;
  gridDim = shape.grid;
  make_threads(shape.block);
  make_shared(shape.shared_bytes);
  size_t count = size_t{shape.grid.x} * shape.grid.y * shape.grid.z;
  std::vector<unsigned> order(count);
  for (size_t i = 0; i < count; i++) {
    order[i] = static_cast<unsigned>(i);
  }
  for (size_t i = 0; i < count; i++) {
    std::swap(order[i], order[i + dice.below(count - i)]);
    unsigned n = order[i];
    run_block({n % shape.grid.x, n / shape.grid.x % shape.grid.y, n / shape.grid.x / shape.grid.y});
  }
  here = nullptr;
}

}  // namespace emulation
