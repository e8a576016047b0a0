/* allowance.c - see the header for the formula's source. */
#include "broker/allowance.h"

#include "base/limits.h"

#define SECOND_US INT64_C(1000000)
#define BURST_US (INT64_C(1000) * ALLOWANCE_BURST_MS)

/* Nothing is owed for longer than an hour, however much it was. */
static int64_t cost_us(uint64_t per_second, uint64_t units) {
  const uint64_t most = UINT64_C(3600) * (uint64_t)SECOND_US;
  return units < most / (uint64_t)SECOND_US * per_second
             ? (int64_t)(units * (uint64_t)SECOND_US / per_second)
             : (int64_t)most;
}

static int64_t owed_us(const struct allowance *allowance, int64_t now_ms) {
  int64_t owed = allowance->spent_us - now_ms * 1000;
  return owed > 0 ? owed : 0;
}

bool allowance_has(const struct allowance *allowance, uint64_t per_second, uint64_t units,
                   int64_t now_ms, uint64_t *wait_ms) {
  if (per_second == 0) {
    return true;
  }
  int64_t cost = cost_us(per_second, units);
  int64_t above =
      owed_us(allowance, now_ms) + (cost < BURST_US / 2 ? cost : BURST_US / 2) - BURST_US;
  if (above <= 0) {
    return true;
  }
  *wait_ms = (uint64_t)(above + 999) / 1000;
  return false;
}

void allowance_take(struct allowance *allowance, uint64_t per_second, uint64_t units,
                    int64_t now_ms) {
  if (per_second != 0) {
    allowance->spent_us = now_ms * 1000 + owed_us(allowance, now_ms) + cost_us(per_second, units);
  }
}
