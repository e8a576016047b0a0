/* upkeep.h - the queue's calls that no peer asks for: clock, sweep, fleet, gauges, audit. As in
 * queue.h a function appends the call and another reads its reply.
 */
#ifndef DARKROOM_BROKER_UPKEEP_H
#define DARKROOM_BROKER_UPKEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/status.h"
#include "broker/redis.h"

size_t queue_tick(struct redis *redis);
size_t queue_sweep(struct redis *redis, uint64_t retention_ms);
struct swept {
  bool more;
  uint64_t lapsed, cancelled, expired, quarantined, failed;
  const char *model[SCRIPT_LOOP_MAX]; /* with waiting jobs */
  size_t models;
};
enum status queue_sweep_reply(const struct redis *redis, size_t call, struct swept *out);

/* devices: with what each worker has told of its devices, which only STATUS shows. */
size_t queue_fleet(struct redis *redis, bool devices);
enum status queue_fleet_reply(const struct redis *redis, size_t call, const redisReply **out);

size_t queue_stats(struct redis *redis);
struct stats {
  uint64_t queued, assigned, running, delayed, succeeded, failed, cancelled, expired, quarantined,
      oldest_wait_ms;
  uint64_t depth[3]; /* QUEUED by class */
};
enum status queue_stats_reply(const struct redis *redis, size_t call, struct stats *out);

/* Changes nothing; its answer is for whoever looks after Redis: whether everything is permitted and
 * writes are taken. */
size_t queue_trial(struct redis *redis);

size_t queue_audit(struct redis *redis);
enum status queue_audit_reply(const struct redis *redis, size_t call, const redisReply **out);

#endif
