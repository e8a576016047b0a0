/* job.c - the limits of a job, its defaults, its digest and its id. */
#include "proto/job.h"

#include <errno.h>
#include <math.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <utf8proc.h>

#include "base/bytes.h"
#include "base/limits.h"

#define FIELD DARKROOM__V1__ERROR_CODE__ERROR_FIELD
#define UNKNOWN_SAMPLER DARKROOM__V1__ERROR_CODE__ERROR_UNKNOWN_SAMPLER
#define SAMPLER_LAST DARKROOM__V1__SAMPLER__SAMPLER_DPMPP_2M
#define PRIORITY_LAST DARKROOM__V1__PRIORITY__PRIORITY_BULK

#define DEFAULT_STEPS 20
#define DEFAULT_GUIDANCE 7.5

#define TEXT(x) #x
#define TEXT_OF(x) TEXT(x)

typedef Darkroom__V1__Job Job;

/* texts --------------------------------------------------------------------------------------- */

struct text_rule {
  const char *field;
  size_t min, max; /* bytes */
};

static enum status check_text(const char *text, const struct text_rule *rule, struct refusal *why) {
  char limit[48];
  size_t bytes = strnlen(text, rule->max + 1);
  snprintf(limit, sizeof limit, "%zu..%zu bytes of UTF-8", rule->min, rule->max);
  if (bytes < rule->min || bytes > rule->max) {
    return refuse(why, FIELD, rule->field, limit, "%s is %s", rule->field,
                  bytes < rule->min ? "empty" : "too long");
  }
  for (size_t i = 0; i < bytes;) {
    utf8proc_int32_t point = 0;
    utf8proc_ssize_t took =
        utf8proc_iterate((const utf8proc_uint8_t *)text + i, (utf8proc_ssize_t)(bytes - i), &point);
    if (took <= 0) {
      return refuse(why, FIELD, rule->field, limit, "%s is not UTF-8: byte %zu", rule->field, i);
    }
    i += (size_t)took;
  }
  return OK;
}

static bool letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool job_id_valid(const char *id) {
  size_t bytes = strnlen(id, JOB_ID_BYTES_MAX + 1);
  for (size_t i = 0; i < bytes; i++) {
    bool inner = i > 0 && strchr("._-", id[i]) != NULL;
    if (!letter_or_digit(id[i]) && !inner) {
      return false;
    }
  }
  return bytes >= 1 && bytes <= JOB_ID_BYTES_MAX;
}

static enum status check_name(const char *name, const char *field, struct refusal *why) {
  if (name == NULL || job_id_valid(name)) {
    return OK;
  }
  return refuse(why, FIELD, field,
                "1.." TEXT_OF(JOB_ID_BYTES_MAX) " of A-Za-z0-9._-, the first a letter or digit",
                "%s cannot be used", field);
}

static enum status check_texts(const Job *job, struct refusal *why) {
  static const struct text_rule model = {"model", 1, JOB_MODEL_BYTES_MAX};
  static const struct text_rule prompt = {"prompt", 0, JOB_PROMPT_BYTES_MAX};
  static const struct text_rule negative = {"negative_prompt", 0, JOB_PROMPT_BYTES_MAX};
  TRY(check_name(job->id, "id", why));
  TRY(check_name(job->tenant, "tenant", why));
  if (job->prompt == NULL) {
    return refuse(why, FIELD, "prompt", "required", "prompt is missing");
  }
  TRY(check_text(job->prompt, &prompt, why));
  TRY(job->negative_prompt == NULL ? OK : check_text(job->negative_prompt, &negative, why));
  return job->model == NULL ? OK : check_text(job->model, &model, why);
}

/* numbers ------------------------------------------------------------------------------------- */

struct number_rule {
  const char *field;
  const char *limit;
  uint64_t min, max, multiple;
};

static enum status check_number(protobuf_c_boolean given, uint64_t value,
                                const struct number_rule *rule, struct refusal *why) {
  bool fine = value >= rule->min && value <= rule->max && value % rule->multiple == 0;
  return !given || fine ? OK
                        : refuse(why, FIELD, rule->field, rule->limit, "%s is %llu", rule->field,
                                 (unsigned long long)value);
}

static enum status check_guidance(const Job *job, struct refusal *why) {
  double value = job->guidance_scale;
  bool fine = isfinite(value) && value >= 0 && value <= JOB_GUIDANCE_MAX;
  return !job->has_guidance_scale || fine
             ? OK
             : refuse(why, FIELD, "guidance_scale", "0.." TEXT_OF(JOB_GUIDANCE_MAX),
                      "guidance_scale is %g", value);
}

#define SIDE_LIMIT             \
  TEXT_OF(JOB_SIDE_PIXELS_MIN) \
  ".." TEXT_OF(JOB_SIDE_PIXELS_MAX) ", a multiple of " TEXT_OF(JOB_SIDE_PIXELS_MULTIPLE)

static enum status check_numbers(const Job *job, struct refusal *why) {
  static const struct number_rule width = {"width", SIDE_LIMIT, JOB_SIDE_PIXELS_MIN,
                                           JOB_SIDE_PIXELS_MAX, JOB_SIDE_PIXELS_MULTIPLE};
  static const struct number_rule height = {"height", SIDE_LIMIT, JOB_SIDE_PIXELS_MIN,
                                            JOB_SIDE_PIXELS_MAX, JOB_SIDE_PIXELS_MULTIPLE};
  static const struct number_rule steps = {"steps", "1.." TEXT_OF(JOB_STEPS_MAX), 1, JOB_STEPS_MAX,
                                           1};
  static const struct number_rule images = {"images", "1.." TEXT_OF(JOB_IMAGES_MAX), 1,
                                            JOB_IMAGES_MAX, 1};
  static const struct number_rule seed = {"seed", "0..9007199254740991, with images - 1 added", 0,
                                          JOB_SEED_MAX, 1};
  static const struct number_rule deadline = {"deadline_ms", "1..604800000", 1, JOB_DEADLINE_MS_MAX,
                                              1};
  TRY(check_number(job->has_width, job->width, &width, why));
  TRY(check_number(job->has_height, job->height, &height, why));
  TRY(check_number(job->has_steps, job->steps, &steps, why));
  TRY(check_number(job->has_images, job->images, &images, why));
  uint64_t last = job->seed > JOB_SEED_MAX || !job->has_images ? 0 : job->images - 1u;
  TRY(check_number(job->has_seed, job->seed + last, &seed, why));
  TRY(check_number(job->has_deadline_ms, job->deadline_ms, &deadline, why));
  return check_guidance(job, why);
}

_Static_assert(JOB_DEADLINE_MS_MAX == 604800000, "the limit's text says so");
_Static_assert(JOB_SEED_MAX == 9007199254740991, "the limit's text says so");

/* words --------------------------------------------------------------------------------------- */

/* An enum of the contract runs from 1 without holes. */
static bool known(int value, int last) { return value >= 1 && value <= last; }

static enum status check_sampler(const Job *job, struct refusal *why) {
  Darkroom__V1__Sampler sampler =
      job->has_sampler ? job->sampler : DARKROOM__V1__SAMPLER__SAMPLER_DPMPP_2M;
  Darkroom__V1__NoiseSchedule schedule = job->has_noise_schedule
                                             ? job->noise_schedule
                                             : DARKROOM__V1__NOISE_SCHEDULE__NOISE_SCHEDULE_MODEL;
  if (!known((int)sampler, SAMPLER_LAST)) {
    return refuse(why, UNKNOWN_SAMPLER, "sampler", "euler, euler_a, ddim, dpmpp_2m",
                  "there is no sampler %d", (int)sampler);
  }
  if (!known((int)schedule, DARKROOM__V1__NOISE_SCHEDULE__NOISE_SCHEDULE_KARRAS)) {
    return refuse(why, UNKNOWN_SAMPLER, "noise_schedule", "model, karras",
                  "there is no noise schedule %d", (int)schedule);
  }
  if (job_sampler_name(sampler, schedule) == NULL) {
    return refuse(why, UNKNOWN_SAMPLER, "noise_schedule", "model, for this sampler",
                  "%s has no karras schedule",
                  job_sampler_name(sampler, DARKROOM__V1__NOISE_SCHEDULE__NOISE_SCHEDULE_MODEL));
  }
  return OK;
}

static enum status check_words(const Job *job, struct refusal *why) {
  if (job->has_priority && !known((int)job->priority, PRIORITY_LAST)) {
    return refuse(why, FIELD, "priority", "interactive, standard, bulk", "there is no priority %d",
                  (int)job->priority);
  }
  if (job->has_format && job->format != DARKROOM__V1__IMAGE_FORMAT__IMAGE_FORMAT_PNG) {
    return refuse(why, FIELD, "format", "png", "there is no image format %d", (int)job->format);
  }
  return check_sampler(job, why);
}

static enum status check_metadata(const Job *job, struct refusal *why) {
  static const struct text_rule key = {"metadata", 1, JOB_METADATA_KEY_BYTES_MAX};
  static const struct text_rule value = {"metadata", 0, JOB_METADATA_VALUE_BYTES_MAX};
  if (job->n_metadata > JOB_METADATA_MAX) {
    return refuse(why, FIELD, "metadata", "at most " TEXT_OF(JOB_METADATA_MAX) " pairs",
                  "metadata has %zu pairs", job->n_metadata);
  }
  for (size_t i = 0; i < job->n_metadata; i++) {
    const Darkroom__V1__KeyValue *pair = job->metadata[i];
    TRY(check_text(pair->key != NULL ? pair->key : "", &key, why));
    TRY(check_text(pair->value != NULL ? pair->value : "", &value, why));
  }
  return OK;
}

enum status job_check(const Job *job, struct refusal *why) {
  TRY(check_texts(job, why));
  TRY(check_numbers(job, why));
  TRY(check_words(job, why));
  return check_metadata(job, why);
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
  static char nothing[1] = "";
  DEFAULT(steps, DEFAULT_STEPS);
  DEFAULT(guidance_scale, DEFAULT_GUIDANCE);
  DEFAULT(images, 1);
  DEFAULT(sampler, DARKROOM__V1__SAMPLER__SAMPLER_DPMPP_2M);
  DEFAULT(noise_schedule, DARKROOM__V1__NOISE_SCHEDULE__NOISE_SCHEDULE_MODEL);
  DEFAULT(priority, DARKROOM__V1__PRIORITY__PRIORITY_STANDARD);
  DEFAULT(format, DARKROOM__V1__IMAGE_FORMAT__IMAGE_FORMAT_PNG);
  if (job->negative_prompt == NULL) {
    job->negative_prompt = nothing;
  }
}

/* identity ------------------------------------------------------------------------------------ */

/* protobuf-c packs fields in the order of their numbers, so equal contents are equal bytes. Fields
 * that this version does not know are left out: another broker of the fleet may know them and must
 * come to the same digest. */
enum status job_digest(const Job *job, uint8_t digest[JOB_DIGEST_BYTES]) {
  Job content = *job;
  content.id = NULL;
  content.tenant = NULL;
  content.base.n_unknown_fields = 0;
  content.base.unknown_fields = NULL;
  size_t size = darkroom__v1__job__get_packed_size(&content);
  struct bytes packed;
  bytes_open(&packed, FRAME_BYTES_MAX);
  uint8_t *room = NULL;
  enum status status = bytes_reserve(&packed, size, &room);
  if (status == OK) {
    packed.length = darkroom__v1__job__pack(&content, room);
    unsigned digest_bytes = JOB_DIGEST_BYTES;
    int done = EVP_Digest(packed.data, packed.length, digest, &digest_bytes, EVP_sha256(), NULL);
    status = done == 1 ? OK : fail(BROKEN, "sha256 failed");
  } else {
    status = fail(BAD_INPUT, "a job of %zu bytes: a frame holds %d", size, FRAME_BYTES_MAX);
  }
  bytes_close(&packed);
  return status;
}

/* Base 32 without the letters that look like digits. */
enum status job_id_make(char *id) {
  static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";
  enum { CHARACTERS = 26 };
  uint8_t random[CHARACTERS];
  if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) {
    return fail(BROKEN, "getrandom: %s", strerror(errno));
  }
  for (int i = 0; i < CHARACTERS; i++) {
    id[i] = alphabet[random[i] % 32];
  }
  id[CHARACTERS] = '\0';
  return OK;
}
