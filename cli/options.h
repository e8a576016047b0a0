/* options.h - every setting of the client, one table for all verbs. */
#ifndef DARKROOM_CLI_OPTIONS_H
#define DARKROOM_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/settings.h"
#include "proto/darkroom.pb-c.h"
#include "proto/refusal.h"

/* The verbs as bits, for the rows that only some take. */
enum verb_use {
  USE_GENERATE = 1 << 0,
  USE_SUBMIT = 1 << 1,
  USE_WATCH = 1 << 2,
  USE_GET = 1 << 3,
  USE_LIST = 1 << 4,
  USE_CANCEL = 1 << 5,
  USE_EXPLAIN = 1 << 6,
  USE_MODELS = 1 << 7,
  USE_STATUS = 1 << 8,
  USE_VERSION = 1 << 9,
  USE_REQUEUE = 1 << 10,
  USE_BURY = 1 << 11,
  USE_COMPLETION = 1 << 12,
  USE_KEYS = 1 << 13,
};

#define STATE_BYTES_MAX 128 /* of --state */

struct options {
  const char *broker; /* endpoints, comma separated */
  const char *key;    /* file, NULL: none */
  int64_t patience_ms;
  bool json;
  bool quiet;
  const char *output;   /* NULL: leave the images in the store */
  const char *previews; /* where pictures on their way go; NULL: nowhere */
  int s3_addressing;    /* enum s3_addressing */
  const char *s3_proxy;
  const char *tenant; /* an operator's: whose jobs */
  const char *keyring, *may, *server_key;
  int64_t grace_s;
  const char *state;
  int64_t limit;

  /* of a job; what was not given stays out of the message, so that the broker's defaults hold */
  const char *id;
  const char *negative;
  int64_t steps;
  double guidance;
  int64_t seed;
  const char *size;
  const char *sampler;
  const char *model;
  int64_t count;
  const char *priority;
  int64_t deadline_ms;
  int prompt_mode, spacing, format; /* indices of their words, -1: left out */
  int64_t clip_skip, quality, preview_every;
  double eta, guidance_rescale;
  bool preview_tiny, tiny_decoder;

  /* files and second stages (attachments.c) */
  const char *store; /* where files go that are too large to travel in the job */
  const char *image, *mask, *pad;
  double strength;
  const char *controls, *loras, *embeddings; /* lists */
  bool guess;
  const char *upscale, *refiner, *sizes;
  int upscale_kind;
  double upscale_strength;
  int64_t upscale_steps;
};

extern const struct setting options_table[];
extern const size_t options_count;

/* The job that prompt and options describe, checked. Texts are borrowed; id is the client's own
 * when none was given, and must hold JOB_ID_TEXT_MAX bytes. BAD_INPUT fills *why. */
enum status options_job(const struct options *options, const char *prompt, char *id,
                        Darkroom__V1__Job *job, struct refusal *why);

#endif
