/* job_name.h - what a job is called inside the queue, where ids of different tenants never meet.
 *
 * On the wire a job has an id, and its tenant is its sender's. In records, events, watches and
 * leases it has a name: tenant/id; of the tenant "default", which is everybody where no door is
 * locked, the id alone. Neither part has a '/'.
 */
#ifndef DARKROOM_BROKER_JOB_NAME_H
#define DARKROOM_BROKER_JOB_NAME_H

#include "base/arena.h"
#include "base/limits.h"
#include "base/status.h"

/* *out: the name in the arena, or the id itself. tenant NULL: "default". EXHAUSTED. */
enum status job_name(struct arena *arena, const char *tenant, const char *id, const char **out);
/* The id in a name: its end. */
const char *job_name_id(const char *name);
/* Its tenant, written into text. Gives text. */
const char *job_name_tenant(const char *name, char text[JOB_ID_BYTES_MAX + 1]);

#endif
