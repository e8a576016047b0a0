/* allowance.c - see the header for the formula's source. */
#include "broker/allowance.h"

#include "base/limits.h"

#define SECOND_US INT64_C(1000000)

static int64_t cost_us(uint64_t per_second, uint64_t units) {
  uint64_t most = UINT64_MAX / (uint64_t)SECOND_US;
  uint64_t counted = units < most ? units : most;
  return (int64_t)(counted * (uint64_t)SECOND_US / per_second);
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
  int64_t owed = owed_us(allowance, now_ms);
  int64_t above = owed + cost_us(per_second, units) - ALLOWANCE_BURST_MS * 1000;
  if (owed == 0 || above <= 0) {
    return true;
  }
  int64_t until = above < owed ? above : owed;
  *wait_ms = (uint64_t)(until + 999) / 1000;
  return false;
}

void allowance_take(struct allowance *allowance, uint64_t per_second, uint64_t units,
                    int64_t now_ms) {
  if (per_second != 0) {
    allowance->spent_us = now_ms * 1000 + owed_us(allowance, now_ms) + cost_us(per_second, units);
  }
}
