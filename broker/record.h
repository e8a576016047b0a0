/* record.h - the record of a job, as Redis tells it, made into the contract's JobStatus. */
#ifndef DARKROOM_BROKER_RECORD_H
#define DARKROOM_BROKER_RECORD_H

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "proto/darkroom.pb-c.h"

/* From the reply of get: {position, field, value...}. Texts are borrowed from the reply, the rest
 * is in the arena. */
enum status record_status(const redisReply *reply, struct arena *arena, bool with_job,
                          Darkroom__V1__JobStatus **out);

/* From one row of list. */
enum status record_listed(const redisReply *row, struct arena *arena,
                          Darkroom__V1__JobStatus **out);

#endif
