/* caption.c - infotext as AUTOMATIC1111 writes it, and two JSON objects around proto/json.c. */
#include "worker/media/caption.h"

#include <inttypes.h>
#include <stdbool.h>

#include "base/limits.h"
#include "images/encode.h"
#include "proto/job.h"
#include "proto/job_content.h"
#include "proto/job_samplers.h"
#include "proto/json.h"
#include "worker/media/infotext.h"

enum {
  SHORT_HASH_LETTERS = 10, /* what AUTOMATIC1111 shows of a model's sha256 */
  NAMES_MAX = 2 + CONTROLS_MAX + JOB_ADAPTERS_MAX + 2 * JOB_EMBEDDINGS_MAX, /* models' too */
  WORDS_BYTES_MAX = 128,                                                    /* around a name */
  NUMBERS_BYTES_MAX = 2048,
};
_Static_assert(2 * JOB_PROMPT_BYTES_MAX + NAMES_MAX * (JOB_NAME_BYTES_MAX + WORDS_BYTES_MAX) +
                       NUMBERS_BYTES_MAX <=
                   ENCODE_INFOTEXT_BYTES_MAX,
               "the longest infotext fits into any picture");
_Static_assert(6 * (2 * JOB_PROMPT_BYTES_MAX +
                    JOB_METADATA_MAX * (JOB_METADATA_KEY_BYTES_MAX + JOB_METADATA_VALUE_BYTES_MAX) +
                    JOB_INPUTS_MAX * (BLOB_URL_BYTES_MAX + JOB_NAME_BYTES_MAX)) +
                       JOB_INPUTS_MAX * 512 + 16 * 1024 <=
                   CAPTION_BYTES_MAX,
               "and the largest job beside it");

uint64_t caption_seed(const struct caption *caption) { return caption->job->seed + caption->index; }

static const char *text_or_empty(const char *text) { return text != NULL ? text : ""; }

static bool means_known(const struct caption_means *means) { return means->device[0] != '\0'; }

static enum status means_infotext(const struct caption_means *means, struct bytes *out) {
  return means_known(means) ? bytes_printf(out, "Device: %s, Precision: %s, Determinism: %s, ",
                                           means->device, means->element, means->determinism)
                            : OK;
}

/* A member of a JSON object, with the comma before the next; the texts are words of ours. */
static enum status means_json(const struct caption_means *means, struct bytes *out) {
  return means_known(means)
             ? bytes_printf(out, "\"device\":\"%s\",\"element\":\"%s\",\"determinism\":\"%s\",",
                            means->device, means->element, means->determinism)
             : OK;
}

enum status caption_infotext(const struct caption *caption, struct bytes *out) {
  const Darkroom__V1__Job *job = caption->job;
  TRY(bytes_printf(out, "%s\n", text_or_empty(job->prompt)));
  if (job->negative_prompt != NULL && job->negative_prompt[0] != '\0') {
    TRY(bytes_printf(out, "Negative prompt: %s\n", job->negative_prompt));
  }
  TRY(bytes_printf(out, "Steps: %u, Sampler: %s, ", job->steps, job_sampler_shown(job->sampler)));
  const char *schedule = job_schedule_shown(job->noise_schedule);
  if (schedule[0] != '\0') {
    TRY(bytes_printf(out, "Schedule type: %s, ", schedule));
  }
  TRY(bytes_printf(out, "CFG scale: %g, Seed: %" PRIu64 ", Size: %ux%u, ", job->guidance_scale,
                   caption_seed(caption), job->width, job->height));
  if (caption->model_sha256[0] != '\0') {
    TRY(bytes_printf(out, "Model hash: %.*s, ", SHORT_HASH_LETTERS, caption->model_sha256));
  }
  TRY(bytes_printf(out, "Model: %s, ", text_or_empty(job->model)));
  TRY(infotext_rest(job, out));
  TRY(means_infotext(&caption->means, out));
  return bytes_printf(out, "Version: darkroom %s", caption->version);
}

/* A copy that shares all texts: the message itself is never changed. Files are their SHA-256: where
 * they lay is nobody's business. */
static enum status anonymous(const struct caption *caption, struct job_content *content) {
  TRY(job_content_open(caption->job, content));
  job_content_leave_places_out(content);
  Darkroom__V1__Job *job = &content->job;
  job->id = NULL;
  job->tenant = NULL;
  job->has_images = 0;
  job->has_priority = 0;
  job->has_deadline_ms = 0;
  job->n_metadata = 0;
  job->has_preview_every = 0;
  job->has_preview_kind = 0;
  job->has_seed = 1;
  job->seed = caption_seed(caption);
  return OK;
}

enum status caption_parameters(const struct caption *caption, struct bytes *out) {
  struct job_content content;
  TRY(anonymous(caption, &content));
  TRY(bytes_printf(out, "{\"darkroom\":\"%s\",\"model_sha256\":\"%s\",", caption->version,
                   caption->model_sha256));
  TRY(means_json(&caption->means, out));
  TRY(bytes_append_text(out, "\"parameters\":"));
  TRY(job_to_json(&content.job, out));
  return bytes_append_text(out, "}");
}

enum status caption_sidecar(const struct caption *caption, const Darkroom__V1__Artifact *image,
                            struct bytes *out) {
  TRY(bytes_printf(
      out, "{\"darkroom\":\"%s\",\"worker\":\"%s\",\"fence\":%" PRIu64 ",\"model_sha256\":\"%s\",",
      caption->version, caption->worker, caption->fence, caption->model_sha256));
  TRY(means_json(&caption->means, out));
  TRY(bytes_append_text(out, "\"image\":"));
  TRY(message_to_json(&image->base, out));
  TRY(bytes_append_text(out, ",\"job\":"));
  TRY(job_to_json(caption->job, out));
  return bytes_append_text(out, "}\n");
}
