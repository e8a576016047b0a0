/* allowance.h - how much of something may be taken a second, and how long to wait for more.
 *
 * The generic cell rate algorithm (ITU-T I.371, the virtual scheduling form): one number says until
 * when the allowance is spent.
 */
#ifndef DARKROOM_BROKER_ALLOWANCE_H
#define DARKROOM_BROKER_ALLOWANCE_H

#include <stdbool.h>
#include <stdint.h>

struct allowance {
  int64_t spent_us; /* until when what was taken is paid for; 0 at birth */
};

/* Whether `units` fit at `per_second` (0: any number fits) with ALLOWANCE_BURST_MS of them at once.
 * A piece of more than half of that counts as half: it fits when no more than the other half is
 * owed, and is paid for by what comes later. Takes nothing. *wait_ms: when they will fit, written
 * when false. */
bool allowance_has(const struct allowance *allowance, uint64_t per_second, uint64_t units,
                   int64_t now_ms, uint64_t *wait_ms);
void allowance_take(struct allowance *allowance, uint64_t per_second, uint64_t units,
                    int64_t now_ms);

#endif
