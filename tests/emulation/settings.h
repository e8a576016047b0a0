/* settings.h - what the environment asks of the emulation, and its dice. README.md lists them. */
#ifndef DARKROOM_EMULATION_SETTINGS_H
#define DARKROOM_EMULATION_SETTINGS_H

#include <cstddef>
#include <cstdint>

namespace emulation {

constexpr int DEVICES_OF_A_MACHINE_MAX = 64;

struct Settings {
  uint64_t seed;  /* 0: natural order of everything */
  int devices;    /* how many GPUs */
  size_t memory;  /* bytes of each */
  int capability; /* 10 * major + minor */
};
const Settings &settings();

/* Dice of their own for each purpose: a thread more in a block must not change the order of
 * streams. */
class Dice {
 public:
  explicit Dice(uint64_t salt);
  uint64_t draw();
  size_t below(size_t count); /* 0 when everything goes in natural order */
  bool one_in(size_t count);  /* false likewise */
 private:
  uint64_t state;
  bool natural;
};

/* What EMULATION_FAULT tells to fail. */
enum class Fault { launch, hang, skip, malloc, pin, copy, graph, library, count };
/* Counts another one of the kind; whether it is the one that fails. */
bool fault_strikes(Fault fault);

}  // namespace emulation

#endif
