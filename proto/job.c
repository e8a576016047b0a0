/* job.c - the limits of a job and its defaults: tables of what each field may be. What files it
 * brings is in job_inputs.c. */
#include "proto/job.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "proto/job_rules.h"

#define DEFAULT_STEPS 20
#define DEFAULT_GUIDANCE 7.5
#define DEFAULT_STRENGTH 0.8 /* as diffusers' pipelines: of an image, and with a mask */
#define DEFAULT_STRENGTH_MASKED 1.0

typedef Darkroom__V1__Job Job;

/* texts --------------------------------------------------------------------------------------- */

static enum status check_texts(const Job *job, struct refusal *why) {
  static const struct text_rule model = {"model", 1, JOB_MODEL_BYTES_MAX};
  static const struct text_rule prompt = {"prompt", 0, JOB_PROMPT_BYTES_MAX};
  static const struct text_rule negative = {"negative_prompt", 0, JOB_PROMPT_BYTES_MAX};
  TRY(rule_name(job->id, "id", why));
  TRY(rule_name(job->tenant, "tenant", why));
  if (job->prompt == NULL) {
    return refuse(why, RULE_FIELD, "prompt", "required", "prompt is missing");
  }
  TRY(rule_text(job->prompt, &prompt, why));
  TRY(job->negative_prompt == NULL ? OK : rule_text(job->negative_prompt, &negative, why));
  return job->model == NULL ? OK : rule_text(job->model, &model, why);
}

static enum status check_metadata(const Job *job, struct refusal *why) {
  static const struct text_rule key = {"metadata", 1, JOB_METADATA_KEY_BYTES_MAX};
  static const struct text_rule value = {"metadata", 0, JOB_METADATA_VALUE_BYTES_MAX};
  if (job->n_metadata > JOB_METADATA_MAX) {
    return refuse(why, RULE_FIELD, "metadata", "at most " TEXT_OF(JOB_METADATA_MAX) " pairs",
                  "metadata has %zu pairs", job->n_metadata);
  }
  for (size_t i = 0; i < job->n_metadata; i++) {
    const Darkroom__V1__KeyValue *pair = job->metadata[i];
    TRY(rule_text(pair->key != NULL ? pair->key : "", &key, why));
    TRY(rule_text(pair->value != NULL ? pair->value : "", &value, why));
  }
  return OK;
}

/* numbers ------------------------------------------------------------------------------------- */

#define MULTIPLE ", a multiple of " TEXT_OF(JOB_SIDE_PIXELS_MULTIPLE)
#define SIDE_LIMIT TEXT_OF(JOB_SIDE_PIXELS_MIN) ".." TEXT_OF(JOB_SIDE_PIXELS_MAX) MULTIPLE

/* Whole numbers of 32 bits. */
static const struct number_rule numbers[] = {
    RULE_NUMBER(Job, width, SIDE_LIMIT, JOB_SIDE_PIXELS_MIN, JOB_SIDE_PIXELS_MAX,
                JOB_SIDE_PIXELS_MULTIPLE),
    RULE_NUMBER(Job, height, SIDE_LIMIT, JOB_SIDE_PIXELS_MIN, JOB_SIDE_PIXELS_MAX,
                JOB_SIDE_PIXELS_MULTIPLE),
    RULE_NUMBER(Job, steps, "1.." TEXT_OF(JOB_STEPS_MAX), 1, JOB_STEPS_MAX, 1),
    RULE_NUMBER(Job, images, "1.." TEXT_OF(JOB_IMAGES_MAX), 1, JOB_IMAGES_MAX, 1),
    RULE_NUMBER(Job, clip_skip, "0.." TEXT_OF(JOB_CLIP_SKIP_MAX), 0, JOB_CLIP_SKIP_MAX, 1),
    RULE_NUMBER(Job, preview_every, "1.." TEXT_OF(JOB_STEPS_MAX), 1, JOB_STEPS_MAX, 1),
    RULE_NUMBER(Job, quality, "1..100", 1, 100, 1),
};

static const struct real_rule reals[] = {
    RULE_REAL(Job, guidance_scale, "0.." TEXT_OF(JOB_GUIDANCE_MAX), 0, JOB_GUIDANCE_MAX),
    RULE_REAL(Job, strength, "0..1", 0, 1),
    RULE_REAL(Job, eta, "0..1", 0, 1),
    RULE_REAL(Job, guidance_rescale, "0..1", 0, 1),
};

static enum status check_long_numbers(const Job *job, struct refusal *why) {
  uint64_t last = job->seed > JOB_SEED_MAX || !job->has_images ? 0 : job->images - 1u;
  if (job->has_seed && job->seed + last > JOB_SEED_MAX) {
    return refuse(why, RULE_FIELD, "seed", "0..9007199254740991, with images - 1 added",
                  "seed is %llu", (unsigned long long)job->seed);
  }
  if (job->has_deadline_ms && (job->deadline_ms < 1 || job->deadline_ms > JOB_DEADLINE_MS_MAX)) {
    return refuse(why, RULE_FIELD, "deadline_ms", "1..604800000", "deadline_ms is %llu",
                  (unsigned long long)job->deadline_ms);
  }
  return OK;
}

static enum status check_numbers(const Job *job, struct refusal *why) {
  TRY(rule_numbers(job, numbers, RULES(numbers), why));
  TRY(check_long_numbers(job, why));
  return rule_reals(job, reals, RULES(reals), why);
}

_Static_assert(JOB_DEADLINE_MS_MAX == 604800000, "the limit's text says so");
_Static_assert(JOB_SEED_MAX == 9007199254740991, "the limit's text says so");

/* words --------------------------------------------------------------------------------------- */

static const struct word_rule words[] = {
    RULE_WORD(Job, priority, "interactive, standard, bulk", DARKROOM__V1__PRIORITY__PRIORITY_BULK),
    RULE_WORD(Job, format, "png, jpeg, webp", DARKROOM__V1__IMAGE_FORMAT__IMAGE_FORMAT_WEBP),
    RULE_WORD(Job, prompt_mode, "plain, long, weighted",
              DARKROOM__V1__PROMPT_MODE__PROMPT_MODE_WEIGHTED),
    RULE_WORD(Job, spacing, "model, leading, linspace, trailing",
              DARKROOM__V1__SPACING__SPACING_TRAILING),
    RULE_WORD(Job, preview_kind, "latent, tiny", DARKROOM__V1__PREVIEW_KIND__PREVIEW_TINY),
};

/* fields that say nothing without another ------------------------------------------------------ */

static bool lossy(const Job *job) {
  return job->has_format && job->format != DARKROOM__V1__IMAGE_FORMAT__IMAGE_FORMAT_PNG;
}

static enum status check_company(const Job *job, struct refusal *why) {
  const struct {
    bool given, fine;
    const char *field, *other;
  } rows[] = {
      {job->has_strength, job->image != NULL, "strength", "image"},
      {job->mask != NULL, job->image != NULL, "mask", "image"},
      {job->padding != NULL, job->image != NULL, "padding", "image"},
      {job->has_quality, lossy(job), "quality", "format jpeg or webp"},
      {job->has_preview_kind, job->has_preview_every, "preview_kind", "preview_every"},
      {job->refiner != NULL, job->upscale == NULL, "refiner", "no upscale: one second stage"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    if (rows[i].given && !rows[i].fine) {
      char limit[64];
      snprintf(limit, sizeof limit, "only with %s", rows[i].other);
      return refuse(why, RULE_FIELD, rows[i].field, limit, "%s goes with %s", rows[i].field,
                    rows[i].other);
    }
  }
  return OK;
}

enum status job_check(const Job *job, struct refusal *why) {
  TRY(check_texts(job, why));
  TRY(check_numbers(job, why));
  TRY(rule_words(job, words, RULES(words), why));
  TRY(job_sampler_check(job, why));
  TRY(check_metadata(job, why));
  TRY(check_company(job, why));
  TRY(job_check_stages(job, why));
  return job_check_inputs(job, why);
}

bool job_wants_tiny(const Job *job) {
  bool looks = job->has_preview_every && job->has_preview_kind &&
               job->preview_kind == DARKROOM__V1__PREVIEW_KIND__PREVIEW_TINY;
  return job->tiny_decoder || looks;
}

/* what is left out ---------------------------------------------------------------------------- */

#define DEFAULT(field, standard) \
  do {                           \
    if (!job->has_##field) {     \
      job->has_##field = 1;      \
      job->field = (standard);   \
    }                            \
  } while (0)

void job_defaults(Job *job) {
  DEFAULT(steps, DEFAULT_STEPS);
  DEFAULT(guidance_scale, DEFAULT_GUIDANCE);
  DEFAULT(images, 1);
  DEFAULT(sampler, JOB_SAMPLER_STANDARD);
  DEFAULT(noise_schedule, DARKROOM__V1__NOISE_SCHEDULE__NOISE_SCHEDULE_MODEL);
  DEFAULT(priority, DARKROOM__V1__PRIORITY__PRIORITY_STANDARD);
  DEFAULT(format, DARKROOM__V1__IMAGE_FORMAT__IMAGE_FORMAT_PNG);
  if (job->image != NULL) {
    bool masked = job->mask != NULL || job->padding != NULL;
    DEFAULT(strength, masked ? DEFAULT_STRENGTH_MASKED : DEFAULT_STRENGTH);
  }
}
