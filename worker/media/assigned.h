/* assigned.h - the attempt's Assign, unpacked for the time of a task. */
#ifndef DARKROOM_WORKER_MEDIA_ASSIGNED_H
#define DARKROOM_WORKER_MEDIA_ASSIGNED_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/status.h"
#include "proto/darkroom.pb-c.h"

struct assigned {
  struct arena *arena;
  Darkroom__V1__Assign *assign; /* has a job */
};

/* BAD_INPUT for what cannot be read. */
enum status assigned_open(const struct bytes *packed, struct assigned *out);
/* Safe on a zeroed one. */
void assigned_close(struct assigned *assigned);

#endif
