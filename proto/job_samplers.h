/* job_samplers.h - the samplers and noise schedules of a job, by name and by number: all from
 * samplers.def. The same in cli, broker and worker. */
#ifndef DARKROOM_PROTO_JOB_SAMPLERS_H
#define DARKROOM_PROTO_JOB_SAMPLERS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"
#include "proto/darkroom.pb-c.h"
#include "proto/refusal.h"

/* Of a job that names none. */
#define JOB_SAMPLER_STANDARD DARKROOM__V1__SAMPLER__SAMPLER_DPMPP_2M

/* "euler", "dpmpp_2m_karras", ... <-> the two enums: a sampler's name, and behind it that of a
 * schedule other than the model's. Unknown names are refused with ERROR_UNKNOWN_SAMPLER, a
 * suggestion and the list. */
enum status job_sampler_parse(const char *name, Darkroom__V1__Sampler *sampler,
                              Darkroom__V1__NoiseSchedule *schedule, struct refusal *why);
/* The name, or NULL for a pair that is not offered; static. */
const char *job_sampler_name(Darkroom__V1__Sampler sampler, Darkroom__V1__NoiseSchedule schedule);
/* The index-th offered name, NULL past the end; static. */
const char *job_sampler_offered(size_t index);

/* As AUTOMATIC1111 shows them: "DPM++ 2M" and "Karras"; "" for the model's schedule, "unknown" for
 * a number that is not in the contract. */
const char *job_sampler_shown(Darkroom__V1__Sampler sampler);
const char *job_schedule_shown(Darkroom__V1__NoiseSchedule schedule);

/* Whether a job's sampler is known and goes with its schedule (ERROR_UNKNOWN_SAMPLER otherwise),
 * its eta and its spacing (ERROR_FIELD). What was left out counts as its default. */
enum status job_sampler_check(const Darkroom__V1__Job *job, struct refusal *why);

/* What --sampler takes, for a help text. */
extern const char job_sampler_help[];

#endif
