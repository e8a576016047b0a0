/* infotext.c - names and forms as AUTOMATIC1111 and its ControlNet extension write them; what it
 * has no name for has ours. */
#include "worker/media/infotext.h"

#include <stdbool.h>

typedef Darkroom__V1__Job Job;

static const char *file_name(const Darkroom__V1__Blob *blob) {
  return blob != NULL && blob->sha256 != NULL ? blob->sha256 : "file";
}

/* A name inside of quotes. */
static enum status put_name(const char *name, struct bytes *out) {
  for (; name != NULL && *name != '\0'; name++) {
    char c = *name == '"' || *name == '\\' || *name == '\n' ? '\'' : *name;
    TRY(bytes_append(out, &c, 1));
  }
  return OK;
}

static enum status put_numbers(const Job *job, struct bytes *out) {
  double strength = job->upscale != NULL ? job->upscale->strength : job->strength;
  if (job->has_strength || job->upscale != NULL) {
    TRY(bytes_printf(out, "Denoising strength: %g, ", strength));
  }
  if (job->clip_skip > 0) {
    TRY(bytes_printf(out, "Clip skip: %u, ", job->clip_skip + 1));
  }
  if (job->tiny_decoder) {
    TRY(bytes_append_text(out, "VAE Decoder: TAESD, "));
  }
  if (job->has_eta) {
    TRY(bytes_printf(out, "Eta: %g, ", job->eta));
  }
  return job->has_guidance_rescale ? bytes_printf(out, "CFG rescale: %g, ", job->guidance_rescale)
                                   : OK;
}

static enum status put_stages(const Job *job, struct bytes *out) {
  const Darkroom__V1__Upscale *upscale = job->upscale;
  if (upscale != NULL) {
    bool pixel = upscale->kind == DARKROOM__V1__UPSCALE_KIND__UPSCALE_PIXEL;
    TRY(bytes_printf(out, "Hires resize: %ux%u, Hires steps: %u, Hires upscaler: %s, ",
                     upscale->width, upscale->height,
                     upscale->has_steps ? upscale->steps : job->steps, pixel ? "Pixel" : "Latent"));
  }
  if (job->refiner != NULL) {
    TRY(bytes_append_text(out, "Refiner: \""));
    TRY(put_name(job->refiner->model, out));
    TRY(bytes_printf(out, "\", Refiner switch at: %g, ", job->refiner->start));
  }
  return OK;
}

static enum status put_controls(const Job *job, struct bytes *out) {
  for (size_t i = 0; i < job->n_control; i++) {
    const Darkroom__V1__Control *control = job->control[i];
    TRY(bytes_printf(out, "ControlNet %zu: \"Model: ", i));
    TRY(put_name(control->model, out));
    TRY(bytes_printf(out,
                     ", Weight: %g, Guidance Start: %g, Guidance End: %g, Control Mode: %s\", ",
                     control->scale, control->start, control->end,
                     control->guess ? "ControlNet is more important" : "Balanced"));
  }
  return OK;
}

static enum status put_adapters(const Job *job, struct bytes *out) {
  for (size_t i = 0; i < job->n_adapter; i++) {
    const Darkroom__V1__Adapter *adapter = job->adapter[i];
    TRY(bytes_append_text(out, i == 0 ? "Loras: \"" : ", "));
    TRY(put_name(adapter->name != NULL ? adapter->name : file_name(adapter->blob), out));
    TRY(bytes_printf(out, ": %g", adapter->weight));
  }
  return job->n_adapter > 0 ? bytes_append_text(out, "\", ") : OK;
}

static enum status put_embeddings(const Job *job, struct bytes *out) {
  for (size_t i = 0; i < job->n_embedding; i++) {
    const Darkroom__V1__Embedding *embedding = job->embedding[i];
    TRY(bytes_append_text(out, i == 0 ? "Embeddings: \"" : ", "));
    TRY(put_name(embedding->token, out));
    TRY(bytes_append_text(out, ": "));
    TRY(put_name(embedding->name != NULL ? embedding->name : file_name(embedding->blob), out));
  }
  return job->n_embedding > 0 ? bytes_append_text(out, "\", ") : OK;
}

enum status infotext_rest(const Job *job, struct bytes *out) {
  TRY(put_numbers(job, out));
  TRY(put_stages(job, out));
  TRY(put_controls(job, out));
  TRY(put_adapters(job, out));
  return put_embeddings(job, out);
}
