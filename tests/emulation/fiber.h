/* fiber.h - stacks that take turns on one thread of the system; AddressSanitizer is told. */
#ifndef DARKROOM_EMULATION_FIBER_H
#define DARKROOM_EMULATION_FIBER_H

#include <cstddef>

namespace emulation {

struct Fiber {
  void *top;    /* where its registers are kept while another runs */
  void *bottom; /* of its stack */
  size_t bytes;
  void *fake; /* AddressSanitizer's own of it */
};

/* A fiber that starts in body, which never returns. Kept for good: there are as many as the largest
 * block had threads that waited. */
Fiber *fiber_make(void (*body)());
/* Goes on in `to`; returns when somebody goes back to `from`. */
void fiber_switch(Fiber *from, Fiber *to);

}  // namespace emulation

#endif
