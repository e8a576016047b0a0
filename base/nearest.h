/* nearest.h - "did you mean": the name closest to what was typed. */
#ifndef DARKROOM_BASE_NEAREST_H
#define DARKROOM_BASE_NEAREST_H

#include <stddef.h>

/* Names are offered one after another; the closest one so far is kept. Start with {.typed = text}.
 */
struct nearest {
  const char *typed;
  const char *name; /* NULL while none is close enough to be worth suggesting */
  size_t distance;
};

/* Considers one more name (at most 64 bytes; longer ones are passed over). Keeps the pointer, not a
 * copy. */
void nearest_offer(struct nearest *nearest, const char *name);

#endif
