/* fiber.cpp - switching stacks. In assembly where we can: swapcontext asks the system for the signal
 * mask each time, ten times the cost of all the rest.
 */
#include "tests/emulation/fiber.h"

#include <sanitizer/common_interface_defs.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <vector>

#include "emulation/thread.h"

namespace emulation {

constexpr size_t STACK_BYTES = size_t{256} << 10; /* address space; what is touched is less */
constexpr size_t GUARD_BYTES = 4096;

static Fiber *coming_from; /* the fiber that was left last */
static void (*body_of_new)();

static void arrive(Fiber *fiber) {
  const void *bottom;
  size_t bytes;
  __sanitizer_finish_switch_fiber(fiber->fake, &bottom, &bytes);
  if (coming_from->bottom == nullptr) { /* the thread's own stack: learned on leaving it */
    coming_from->bottom = const_cast<void *>(bottom);
    coming_from->bytes = bytes;
  }
}

static void first_arrival() {
  Fiber fresh = {};
  arrive(&fresh);
  body_of_new();
  refuse("a fiber ended");
}

#if defined(__x86_64__)
extern "C" void emulation_switch_stack(void **from, void *to);
asm(R"(
.text
.globl emulation_switch_stack
.type emulation_switch_stack, @function
emulation_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size emulation_switch_stack, .-emulation_switch_stack
)");

static void *first_frame(Fiber *fiber) {
  auto *top = reinterpret_cast<void **>(static_cast<char *>(fiber->bottom) + fiber->bytes);
  *--top = nullptr; /* where a caller would be: keeps the stack aligned as after a call */
  *--top = reinterpret_cast<void *>(first_arrival);
  for (int i = 0; i < 6; i++) {
    *--top = nullptr;
  }
  return top;
}
static void go(Fiber *from, Fiber *to) { emulation_switch_stack(&from->top, to->top); }
#else
static void *first_frame(Fiber *fiber) {
  auto *context = new ucontext_t;
  getcontext(context);
  context->uc_stack.ss_sp = fiber->bottom;
  context->uc_stack.ss_size = fiber->bytes;
  context->uc_link = nullptr;
  makecontext(context, first_arrival, 0);
  return context;
}
static void go(Fiber *from, Fiber *to) {
  if (from->top == nullptr) {
    from->top = new ucontext_t;
  }
  swapcontext(static_cast<ucontext_t *>(from->top), static_cast<ucontext_t *>(to->top));
}
#endif

Fiber *fiber_make(void (*body)()) {
  size_t all = GUARD_BYTES + STACK_BYTES;
  void *block = mmap(nullptr, all, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (block == MAP_FAILED || mprotect(block, GUARD_BYTES, PROT_NONE) != 0) {
    refuse("no memory for the stack of a thread");
  }
  static auto &every = *new std::vector<Fiber *>; /* for as long as the process lives */
  auto *fiber = new Fiber{};
  every.push_back(fiber);
  fiber->bottom = static_cast<char *>(block) + GUARD_BYTES;
  fiber->bytes = STACK_BYTES;
  body_of_new = body;
  fiber->top = first_frame(fiber);
  return fiber;
}

void fiber_switch(Fiber *from, Fiber *to) {
  coming_from = from;
  __sanitizer_start_switch_fiber(&from->fake, to->bottom, to->bytes);
  go(from, to);
  arrive(from);
}

}  // namespace emulation
