/* options.c - the table of settings, and the job they describe. */
#include "cli/options.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "proto/endpoint.h"
#include "proto/job.h"
#include "s3/place.h"

#define OF_JOB (USE_GENERATE | USE_SUBMIT)
#define OF_WATCHED (USE_GENERATE | USE_WATCH)
#define FIELD(name) offsetof(struct options, name)

const struct setting options_table[] = {
    ENDPOINTS_SETTING(struct options),
    {.name = "patience-ms",
     .type = SETTING_INTEGER,
     .field = FIELD(patience_ms),
     .standard = "30000",
     .min = 100,
     .max = 86400000,
     .help = "how long to keep trying when no broker or no S3 store answers, milliseconds"},
    {.name = "json",
     .type = SETTING_FLAG,
     .field = FIELD(json),
     .standard = "false",
     .help = "the answer as one line of JSON on stdout"},
    {.name = "quiet",
     .type = SETTING_FLAG,
     .field = FIELD(quiet),
     .standard = "false",
     .letter = 'q',
     .uses = OF_WATCHED,
     .help = "no progress on stderr"},
    {.name = "output",
     .type = SETTING_TEXT,
     .field = FIELD(output),
     .min = 1,
     .max = 4096,
     .letter = 'o',
     .uses = OF_WATCHED,
     .help = "where the images go: a file, a folder (ID-INDEX.png), or - for stdout"},
    S3_SETTINGS(struct options, OF_WATCHED),
    {.name = "negative",
     .type = SETTING_TEXT,
     .field = FIELD(negative),
     .uses = OF_JOB,
     .help = "what the picture should not show"},
    {.name = "steps",
     .type = SETTING_INTEGER,
     .field = FIELD(steps),
     .min = 1,
     .max = JOB_STEPS_MAX,
     .uses = OF_JOB,
     .help = "denoising steps (the broker's default is 20)"},
    {.name = "guidance",
     .type = SETTING_NUMBER,
     .field = FIELD(guidance),
     .min = 0,
     .max = JOB_GUIDANCE_MAX,
     .uses = OF_JOB,
     .help = "guidance scale (the broker's default is 7.5); 1 or less is none, in half the time"},
    {.name = "seed",
     .type = SETTING_INTEGER,
     .field = FIELD(seed),
     .min = 0,
     .max = (double)JOB_SEED_MAX,
     .uses = OF_JOB,
     .help = "seed of the first image, the next has one more; left out: drawn by the broker"},
    {.name = "size",
     .type = SETTING_TEXT,
     .field = FIELD(size),
     .min = 1,
     .max = 16,
     .uses = OF_JOB,
     .help = "WIDTHxHEIGHT in pixels, multiples of 8; left out: the model's own"},
    {.name = "sampler",
     .type = SETTING_TEXT,
     .field = FIELD(sampler),
     .min = 1,
     .max = JOB_SAMPLER_BYTES_MAX,
     .uses = OF_JOB,
     .help = job_sampler_help},
    {.name = "model",
     .type = SETTING_TEXT,
     .field = FIELD(model),
     .min = 1,
     .max = JOB_MODEL_BYTES_MAX,
     .uses = OF_JOB,
     .help = "the model's id (darkroom models); left out: the fleet's default"},
    {.name = "count",
     .type = SETTING_INTEGER,
     .field = FIELD(count),
     .min = 1,
     .max = JOB_IMAGES_MAX,
     .uses = OF_JOB,
     .help = "how many images (the broker's default is 1)"},
    {.name = "priority",
     .type = SETTING_TEXT,
     .field = FIELD(priority),
     .min = 1,
     .max = 32,
     .uses = OF_JOB,
     .help = "interactive, standard or bulk (the broker's default is standard)"},
    {.name = "deadline-ms",
     .type = SETTING_INTEGER,
     .field = FIELD(deadline_ms),
     .min = 1,
     .max = JOB_DEADLINE_MS_MAX,
     .uses = OF_JOB,
     .help = "milliseconds from now after which the job is not started any more"},
    {.name = "id",
     .type = SETTING_TEXT,
     .field = FIELD(id),
     .min = 1,
     .max = JOB_ID_BYTES_MAX,
     .uses = OF_JOB,
     .help = "the job's id; the same id and content again is the same job"},
    {.name = "state",
     .type = SETTING_TEXT,
     .field = FIELD(state),
     .min = 1,
     .max = STATE_BYTES_MAX,
     .uses = USE_LIST,
     .help = "only jobs in these states, comma separated (queued,running,...)"},
    {.name = "limit",
     .type = SETTING_INTEGER,
     .field = FIELD(limit),
     .standard = "100",
     .min = 1,
     .max = LIST_JOBS_MAX,
     .uses = USE_LIST,
     .help = "at most so many jobs, the newest first"},
};
const size_t options_count = sizeof options_table / sizeof options_table[0];

/* Exactly "512x384". */
static enum status size_read(const char *size, Darkroom__V1__Job *job, struct refusal *why) {
  char *end = NULL;
  unsigned long width = strtoul(size, &end, 10);
  bool fine = isdigit((unsigned char)size[0]) && *end == 'x' && isdigit((unsigned char)end[1]);
  unsigned long height = fine ? strtoul(end + 1, &end, 10) : 0;
  if (!fine || *end != '\0') {
    return refuse(why, DARKROOM__V1__ERROR_CODE__ERROR_FIELD, "size", "WIDTHxHEIGHT, like 512x384",
                  "--size \"%.16s\" cannot be read", size);
  }
  job->has_width = 1;
  job->width = (uint32_t)width;
  job->has_height = 1;
  job->height = (uint32_t)height;
  return OK;
}

static enum status words_read(const struct options *options, Darkroom__V1__Job *job,
                              struct refusal *why) {
  if (options->size != NULL) {
    TRY(size_read(options->size, job, why));
  }
  if (options->sampler != NULL) {
    TRY(job_sampler_parse(options->sampler, &job->sampler, &job->noise_schedule, why));
    job->has_sampler = 1;
    job->has_noise_schedule = 1;
  }
  if (options->priority != NULL) {
    TRY(job_priority_parse(options->priority, &job->priority, why));
    job->has_priority = 1;
  }
  return OK;
}

static void numbers_set(const struct options *options, Darkroom__V1__Job *job) {
  job->has_steps = options->steps != SETTING_UNSET;
  job->steps = job->has_steps ? (uint32_t)options->steps : 0;
  job->has_guidance_scale = !isnan(options->guidance);
  job->guidance_scale = job->has_guidance_scale ? options->guidance : 0;
  job->has_seed = options->seed != SETTING_UNSET;
  job->seed = job->has_seed ? (uint64_t)options->seed : 0;
  job->has_images = options->count != SETTING_UNSET;
  job->images = job->has_images ? (uint32_t)options->count : 0;
  job->has_deadline_ms = options->deadline_ms != SETTING_UNSET;
  job->deadline_ms = job->has_deadline_ms ? (uint64_t)options->deadline_ms : 0;
}

/* The id is always the client's: only then is a repeat after silence the same job. protobuf-c's
 * texts are not const, but nothing writes to them. */
enum status options_job(const struct options *options, const char *prompt, char *id,
                        Darkroom__V1__Job *job, struct refusal *why) {
  darkroom__v1__job__init(job);
  if (options->id != NULL) {
    snprintf(id, JOB_ID_TEXT_MAX, "%s", options->id);
  } else {
    TRY(job_id_make(id));
  }
  job->id = id;
  job->prompt = (char *)prompt;
  job->negative_prompt = (char *)options->negative;
  job->model = (char *)options->model;
  numbers_set(options, job);
  TRY(words_read(options, job, why));
  return job_check(job, why);
}
