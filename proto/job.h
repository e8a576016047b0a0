/* job.h - a job made from bytes or flags: its names, defaults, limits and digest. The same in cli,
 * broker and worker.
 *
 * The broker's order: job_check, job_defaults, job_digest, then fill in model, size, seed and id,
 * and check the size against the model. So a repeated submit has the same digest even when the
 * broker draws the seed.
 */
#ifndef DARKROOM_PROTO_JOB_H
#define DARKROOM_PROTO_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "proto/darkroom.pb-c.h"
#include "proto/job_samplers.h"
#include "proto/refusal.h"

#define JOB_DIGEST_BYTES 32
#define JOB_SEED_MAX \
  ((UINT64_C(1) << 53) - 1) /* exact in JSON and in a PNG's text, and torch takes it */
#define JOB_METADATA_KEY_BYTES_MAX 64
#define JOB_METADATA_VALUE_BYTES_MAX 1024

/* Holds what was sent against every limit; a field that was left out is fine, save the prompt.
 * BAD_INPUT fills *why: ERROR_FIELD with field and limit, ERROR_UNKNOWN_SAMPLER for a sampler or
 * schedule that is not known or does not go together. why may be NULL. Whether the model exists and
 * takes the size is for the broker. */
enum status job_check(const Darkroom__V1__Job *job, struct refusal *why);

/* Fills in what was left out and does not depend on the fleet: steps, guidance, images, sampler,
 * noise schedule, priority, format, negative prompt (""). Allocates nothing; the added text is
 * static. */
void job_defaults(Darkroom__V1__Job *job);

/* SHA-256 of the job's content without id and tenant: equal for equal requests. BAD_INPUT if it
 * cannot be packed. */
enum status job_digest(const Darkroom__V1__Job *job, uint8_t digest[JOB_DIGEST_BYTES]);

/* The size that a complete job's pictures have in the end: a second pass may change it. */
uint32_t job_picture_width(const Darkroom__V1__Job *job);
uint32_t job_picture_height(const Darkroom__V1__Job *job);

/* Whether the picture, or looks at it on its way, are decoded by the model's tiny decoder. */
bool job_wants_tiny(const Darkroom__V1__Job *job);

/* 1-64 of [A-Za-z0-9._-], the first a letter or digit: ids of jobs and workers, and safe as part of
 * a path or key. */
bool job_id_valid(const char *id);

/* A fresh id for a client: 128 random bits, 26 lower-case letters and digits. id holds
 * JOB_ID_TEXT_MAX bytes. */
#define JOB_ID_TEXT_MAX 65
enum status job_id_make(char *id);

/* "interactive", "standard", "bulk". */
enum status job_priority_parse(const char *name, Darkroom__V1__Priority *priority,
                               struct refusal *why);
const char *job_priority_name(Darkroom__V1__Priority priority);

/* "queued", "running", ...; "unknown" for a number not in the contract. */
const char *job_state_name(Darkroom__V1__JobState state);
enum status job_state_parse(const char *name, Darkroom__V1__JobState *state, struct refusal *why);
/* SUCCEEDED and below: nothing follows. */
bool job_state_terminal(Darkroom__V1__JobState state);

#endif
