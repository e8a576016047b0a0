/* shares.c - four allowances, asked before one of them is taken from. */
#include "broker/shares.h"

#include <stdbool.h>
#include <stdio.h>

#include "base/clock.h"
#include "broker/identity.h"
#include "monitoring/metrics.h"

struct share {
  const char *whose, *unit;
  struct allowance *allowance;
  uint64_t per_second, units;
};

static uint64_t of_row(uint32_t said, int64_t standard) {
  return said != 0 ? said : (uint64_t)standard;
}

static enum status refuse_share(const struct share *share, uint64_t wait_ms, struct refusal *why) {
  char limit[sizeof why->limit];
  snprintf(limit, sizeof limit, "%llu %s a second", (unsigned long long)share->per_second,
           share->unit);
  metric_add_labelled(M_REQUESTS_LIMITED, share->whose, 1);
  refuse(why, DARKROOM__V1__ERROR_CODE__ERROR_EXHAUSTED, NULL, limit,
         "this %s asks for more than its share", share->whose);
  why->retry_after_ms = wait_ms;
  return EXHAUSTED;
}

enum status shares_take(const struct shares_settings *settings, struct shares *own,
                        const struct identity *who, uint64_t messages, uint64_t bytes,
                        struct refusal *why) {
  if (own == NULL || who->tenant == NULL) {
    return OK;
  }
  const struct key_limits *row = &who->row.limits;
  const struct share shares[] = {
      {"connection", "messages", &own->messages, of_row(row->messages, settings->client_messages),
       messages},
      {"connection", "bytes", &own->bytes, of_row(row->kibibytes, settings->client_kib) * 1024,
       bytes},
      {"tenant", "messages", &who->tenant->shares.messages, (uint64_t)settings->tenant_messages,
       messages},
      {"tenant", "bytes", &who->tenant->shares.bytes, (uint64_t)settings->tenant_kib * 1024, bytes},
  };
  enum { COUNT = sizeof shares / sizeof shares[0] };
  int64_t now = clock_ms();
  for (size_t i = 0; i < COUNT; i++) {
    uint64_t wait_ms = 0;
    if (!allowance_has(shares[i].allowance, shares[i].per_second, shares[i].units, now, &wait_ms)) {
      return refuse_share(&shares[i], wait_ms, why);
    }
  }
  for (size_t i = 0; i < COUNT; i++) {
    allowance_take(shares[i].allowance, shares[i].per_second, shares[i].units, now);
  }
  return OK;
}
