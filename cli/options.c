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
#include "proto/keys.h"
#include "s3/place.h"

#define OF_JOB (USE_GENERATE | USE_SUBMIT)
#define OF_WATCHED (USE_GENERATE | USE_WATCH)
#define OF_ONE_TENANT \
  (USE_WATCH | USE_GET | USE_LIST | USE_CANCEL | USE_EXPLAIN | USE_REQUEUE | USE_BURY)
#define FIELD(name) offsetof(struct options, name)

const struct setting options_table[] = {
    ENDPOINTS_SETTING(struct options),
    KEY_SETTING(struct options,
                "file with your key (darkroom keys generate), for brokers at tcp://; left out: the "
                "brokers ask for none"),
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
     .uses = OF_WATCHED | USE_KEYS,
     .help = "where the images go: a file, a folder (ID-INDEX.png, .jpg or .webp), or - for "
             "stdout; of keys: the key's file (NAME.key)"},
    {.name = "tenant",
     .type = SETTING_TEXT,
     .field = FIELD(tenant),
     .min = 1,
     .max = JOB_ID_BYTES_MAX,
     .uses = OF_ONE_TENANT,
     .help = "whose jobs, for an operator's key; left out: your own"},
    {.name = "keyring",
     .type = SETTING_TEXT,
     .field = FIELD(keyring),
     .min = 1,
     .max = KEY_PATH_BYTES_MAX - 1,
     .uses = USE_KEYS,
     .help = "the brokers' file of keys; generate without it makes a key that is in none"},
    {.name = "may",
     .type = SETTING_TEXT,
     .field = FIELD(may),
     .min = 1,
     .max = 1024,
     .uses = USE_KEYS,
     .help = "what a new key is for, as in a keyring's row: \"tenant=acme roles=submit\", "
             "\"roles=work worker=render-*\" (docs/keys.md)"},
    {.name = "server-key",
     .type = SETTING_TEXT,
     .field = FIELD(server_key),
     .min = 1,
     .max = KEY_PATH_BYTES_MAX - 1,
     .uses = USE_KEYS,
     .help = "the brokers' public key, or a file that has it: kept in the new key's file"},
    {.name = "grace-s",
     .type = SETTING_INTEGER,
     .field = FIELD(grace_s),
     .standard = "86400",
     .min = 0,
     .max = 31536000,
     .uses = USE_KEYS,
     .help = "seconds for which rotate lets the old key open doors beside the new one"},
    {.name = "previews",
     .type = SETTING_TEXT,
     .field = FIELD(previews),
     .min = 1,
     .max = 4096,
     .uses = OF_WATCHED,
     .help = "where small pictures of the way go: a folder (ID-INDEX-STEP.jpg), or a file for the "
             "newest; --preview-every says how many are made"},
    S3_SETTINGS(struct options, OF_WATCHED | OF_JOB),
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
    {.name = "image",
     .type = SETTING_TEXT,
     .field = FIELD(image),
     .min = 1,
     .max = 4096,
     .uses = OF_JOB,
     .help = "picture to begin from: a PNG, JPEG or WebP file, or its URL (s3://, https://, "
             "file:///, with #sha256=HEX behind it to hold it to its hash)"},
    {.name = "strength",
     .type = SETTING_NUMBER,
     .field = FIELD(strength),
     .max = 1,
     .uses = OF_JOB,
     .help = "how much of the image is drawn anew, 0 to 1 (0.8, with a mask or padding 1)"},
    {.name = "mask",
     .type = SETTING_TEXT,
     .field = FIELD(mask),
     .min = 1,
     .max = 4096,
     .uses = OF_JOB,
     .help = "picture that is light where the image may change, as --image"},
    {.name = "pad",
     .type = SETTING_TEXT,
     .field = FIELD(pad),
     .min = 1,
     .max = 64,
     .uses = OF_JOB,
     .help = "LEFT,TOP,RIGHT,BOTTOM pixels around the image to be drawn, multiples of 8"},
    {.name = "control",
     .type = SETTING_LIST,
     .field = FIELD(controls),
     .min = 1,
     .max = 4096,
     .uses = OF_JOB,
     .help = "NAME=FILE[:SCALE[:START[:END]]]: a control net and the picture it follows; up to 4"},
    {.name = "guess",
     .type = SETTING_FLAG,
     .field = FIELD(guess),
     .standard = "false",
     .uses = OF_JOB,
     .help = "control nets guess what their pictures show: for weak prompts"},
    {.name = "lora",
     .type = SETTING_LIST,
     .field = FIELD(loras),
     .min = 1,
     .max = 4096,
     .uses = OF_JOB,
     .help = "NAME or FILE.safetensors[:WEIGHT[:TEXT_WEIGHT]]: an adapter of the fleet, or one of "
             "your own; up to 8"},
    {.name = "embedding",
     .type = SETTING_LIST,
     .field = FIELD(embeddings),
     .min = 1,
     .max = 4096,
     .uses = OF_JOB,
     .help = "TOKEN=NAME or TOKEN=FILE.safetensors: what a word of the prompt stands for; up to 8"},
    {.name = "store",
     .type = SETTING_TEXT,
     .field = FIELD(store),
     .min = 1,
     .max = 2048,
     .uses = OF_JOB,
     .help = "where files go that are too large to travel in the job (160 KiB of all together), by "
             "their hash: a place that workers read, best their own store: file:///FOLDER or "
             "s3://BUCKET/PREFIX"},
    {.name = "clip-skip",
     .type = SETTING_INTEGER,
     .field = FIELD(clip_skip),
     .max = JOB_CLIP_SKIP_MAX,
     .uses = OF_JOB,
     .help = "layers of the text encoder left out, as diffusers counts (\"Clip skip 2\" elsewhere "
             "is 1 here)"},
    {.name = "prompt-mode",
     .type = SETTING_CHOICE,
     .field = FIELD(prompt_mode),
     .choices = "plain|long|weighted",
     .uses = OF_JOB,
     .help =
         "plain: 75 tokens, the rest is cut; long: chunks of 75; weighted: chunks, and (word:1.3)"},
    {.name = "spacing",
     .type = SETTING_CHOICE,
     .field = FIELD(spacing),
     .choices = "model|leading|linspace|trailing",
     .uses = OF_JOB,
     .help = "how the steps are spread; left out: as the model's configuration says"},
    {.name = "eta",
     .type = SETTING_NUMBER,
     .field = FIELD(eta),
     .max = 1,
     .uses = OF_JOB,
     .help = "how much noise a sampler adds again, 0 to 1; left out: the sampler's own"},
    {.name = "guidance-rescale",
     .type = SETTING_NUMBER,
     .field = FIELD(guidance_rescale),
     .max = 1,
     .uses = OF_JOB,
     .help = "against pictures that guidance makes too bright, 0 to 1"},
    {.name = "upscale",
     .type = SETTING_TEXT,
     .field = FIELD(upscale),
     .min = 1,
     .max = 16,
     .uses = OF_JOB,
     .help = "a second pass in another size: WIDTHxHEIGHT, or 2x with --size"},
    {.name = "upscale-kind",
     .type = SETTING_CHOICE,
     .field = FIELD(upscale_kind),
     .choices = "latent|pixel",
     .uses = OF_JOB,
     .help = "what is made larger in between"},
    {.name = "upscale-strength",
     .type = SETTING_NUMBER,
     .field = FIELD(upscale_strength),
     .max = 1,
     .uses = OF_JOB,
     .help = "--strength of the second pass (0.6)"},
    {.name = "upscale-steps",
     .type = SETTING_INTEGER,
     .field = FIELD(upscale_steps),
     .min = 1,
     .max = JOB_STEPS_MAX,
     .uses = OF_JOB,
     .help = "steps of the second pass; left out: --steps"},
    {.name = "refiner",
     .type = SETTING_TEXT,
     .field = FIELD(refiner),
     .min = 1,
     .max = 256,
     .uses = OF_JOB,
     .help = "NAME[:START]: a model that takes over for the last steps (from 0.8 of them on)"},
    {.name = "sizes",
     .type = SETTING_TEXT,
     .field = FIELD(sizes),
     .min = 1,
     .max = 64,
     .uses = OF_JOB,
     .help = "ORIGINAL_WIDTH,HEIGHT,CROP_LEFT,TOP,TARGET_WIDTH,HEIGHT that SDXL is told"},
    {.name = "format",
     .type = SETTING_CHOICE,
     .field = FIELD(format),
     .choices = "png|jpeg|webp",
     .uses = OF_JOB,
     .help = "of the picture's file; left out: png"},
    {.name = "quality",
     .type = SETTING_INTEGER,
     .field = FIELD(quality),
     .min = 1,
     .max = 100,
     .uses = OF_JOB,
     .help = "of jpeg and webp (90)"},
    {.name = "preview-every",
     .type = SETTING_INTEGER,
     .field = FIELD(preview_every),
     .min = 1,
     .max = JOB_STEPS_MAX,
     .uses = OF_JOB,
     .help = "a small picture of the way every so many steps, in the events"},
    {.name = "preview-tiny",
     .type = SETTING_FLAG,
     .field = FIELD(preview_tiny),
     .standard = "false",
     .uses = OF_JOB,
     .help = "previews by the model's tiny decoder"},
    {.name = "tiny-decoder",
     .type = SETTING_FLAG,
     .field = FIELD(tiny_decoder),
     .standard = "false",
     .uses = OF_JOB,
     .help = "the picture itself by the model's tiny decoder: fast, and a little worse"},
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
  if (!fine || *end != '\0' || width > UINT32_MAX || height > UINT32_MAX) {
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
  job->has_clip_skip = options->clip_skip != SETTING_UNSET;
  job->clip_skip = job->has_clip_skip ? (uint32_t)options->clip_skip : 0;
  job->has_quality = options->quality != SETTING_UNSET;
  job->quality = job->has_quality ? (uint32_t)options->quality : 0;
  job->has_preview_every = options->preview_every != SETTING_UNSET;
  job->preview_every = job->has_preview_every ? (uint32_t)options->preview_every : 0;
  job->has_eta = !isnan(options->eta);
  job->eta = job->has_eta ? options->eta : 0;
  job->has_guidance_rescale = !isnan(options->guidance_rescale);
  job->guidance_rescale = job->has_guidance_rescale ? options->guidance_rescale : 0;
  job->has_deadline_ms = options->deadline_ms != SETTING_UNSET;
  job->deadline_ms = job->has_deadline_ms ? (uint64_t)options->deadline_ms : 0;
}

/* The words of a choice stand in the order of the contract's numbers, which begin with 1. */
static void choices_set(const struct options *options, Darkroom__V1__Job *job) {
  job->has_prompt_mode = options->prompt_mode >= 0;
  job->has_spacing = options->spacing >= 0;
  job->has_format = options->format >= 0;
  if (job->has_prompt_mode) {
    job->prompt_mode = (Darkroom__V1__PromptMode)(options->prompt_mode + 1);
  }
  if (job->has_spacing) {
    job->spacing = (Darkroom__V1__Spacing)(options->spacing + 1);
  }
  if (job->has_format) {
    job->format = (Darkroom__V1__ImageFormat)(options->format + 1);
  }
  if (options->preview_tiny) {
    job->has_preview_kind = 1;
    job->preview_kind = DARKROOM__V1__PREVIEW_KIND__PREVIEW_TINY;
  }
  job->has_tiny_decoder = job->tiny_decoder = options->tiny_decoder;
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
  choices_set(options, job);
  TRY(words_read(options, job, why));
  return job_check(job, why);
}
