/* warp.h - what the 32 lanes of a warp do together. */
#ifndef DARKROOM_EMULATION_WARP_H
#define DARKROOM_EMULATION_WARP_H

#include "emulation/thread.h"

namespace emulation {

/* The lanes of `mask` meet: each waits until all of them have come to the same line, then `all` is
 * called once with what each brought (lanes[i] is NULL for a lane that is not in the mask or has
 * ended), and may write into it; then they go on. mine may lie on the lane's own stack. */
using Together = void (*)(void *const lanes[32]);
void meet(unsigned mask, void *mine, Together all, const char *file, int line);

template <typename T>
struct Passed {
  T value, result;
  unsigned from; /* lane */
};

template <typename T>
void pass_values(void *const lanes[32]) {
  for (int lane = 0; lane < 32; lane++) {
    auto *to = static_cast<Passed<T> *>(lanes[lane]);
    if (to == nullptr) {
      continue;
    }
    auto *from = static_cast<Passed<T> *>(lanes[to->from & 31]);
    if (from != nullptr) {
      to->result = from->value;
    } else {
      memset(static_cast<void *>(&to->result), 0xff, sizeof(T)); /* undefined on a GPU */
    }
  }
}

template <typename T>
T take_from(unsigned mask, T value, unsigned from, const char *file, int line) {
  Passed<T> mine = {value, value, from};
  meet(mask, &mine, pass_values<T>, file, line);
  return mine.result;
}

struct Ballot {
  int value;
  unsigned votes, voters;
};
unsigned ballot(unsigned mask, int value, unsigned *voters, const char *file, int line);

/* The lane to read from, or the own one where it would leave its segment of `width` lanes. */
static inline unsigned lane_within(int lane, int width) {
  unsigned own = here->lane, first = own & ~static_cast<unsigned>(width - 1);
  bool inside = lane >= static_cast<int>(first) && lane < static_cast<int>(first) + width;
  return inside ? static_cast<unsigned>(lane) : own;
}

}  // namespace emulation

#define EMULATION_AT const char *file = __builtin_FILE(), int line = __builtin_LINE()

template <typename T>
static inline T __shfl_sync(unsigned mask, T value, int lane, int width = 32, EMULATION_AT) {
  unsigned first = emulation::here->lane & ~static_cast<unsigned>(width - 1);
  unsigned from = first + (static_cast<unsigned>(lane) & static_cast<unsigned>(width - 1));
  return emulation::take_from(mask, value, from, file, line);
}
template <typename T>
static inline T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32, EMULATION_AT) {
  int from = static_cast<int>(emulation::here->lane ^ static_cast<unsigned>(lanes));
  return emulation::take_from(mask, value, emulation::lane_within(from, width), file, line);
}
template <typename T>
static inline T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32,
                                 EMULATION_AT) {
  int from = static_cast<int>(emulation::here->lane + by);
  return emulation::take_from(mask, value, emulation::lane_within(from, width), file, line);
}
template <typename T>
static inline T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32, EMULATION_AT) {
  int from = static_cast<int>(emulation::here->lane) - static_cast<int>(by);
  return emulation::take_from(mask, value, emulation::lane_within(from, width), file, line);
}
static inline void __syncwarp(unsigned mask = 0xffffffffu, EMULATION_AT) {
  emulation::meet(mask, nullptr, nullptr, file, line);
}
static inline unsigned __ballot_sync(unsigned mask, int value, EMULATION_AT) {
  unsigned voters;
  return emulation::ballot(mask, value, &voters, file, line);
}
static inline int __any_sync(unsigned mask, int value, EMULATION_AT) {
  unsigned voters;
  return emulation::ballot(mask, value, &voters, file, line) != 0;
}
static inline int __all_sync(unsigned mask, int value, EMULATION_AT) {
  unsigned voters;
  return emulation::ballot(mask, value, &voters, file, line) == voters;
}

#undef EMULATION_AT

#endif
