/* stage.c - what a job asks of one model. */
#include "worker/engine/stage.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "proto/job.h"

static enum status check_side(const struct resident *resident, const char *field, uint32_t side,
                              struct refusal *why) {
  int multiple = resident_multiple(resident);
  if (side < (uint32_t)multiple || side > (uint32_t)resident->max_side ||
      side % (uint32_t)multiple != 0) {
    char limit[64];
    snprintf(limit, sizeof limit, "multiple of %d, %d..%d", multiple, multiple, resident->max_side);
    return refuse(why, DARKROOM__V1__ERROR_CODE__ERROR_FIELD, field, limit,
                  "%s %u does not go with model %s here", field, side, resident->id);
  }
  return OK;
}

static bool is_upscaled(enum stage_begin begin) {
  return begin == BEGIN_LATENTS || begin == BEGIN_PIXELS;
}

/* What the sampler's room calls a field, as the job has it: the part of the noise is the refiner's,
 * and a second pass has a strength and steps of its own. */
static const char *job_field(const struct stage_request *request, const char *field) {
  bool own = strcmp(field, "strength") == 0 || strcmp(field, "steps") == 0;
  if (own && is_upscaled(request->begin)) {
    return "upscale";
  }
  return strcmp(field, "denoising") == 0 ? "refiner" : field;
}

/* A failure of the sampler's room as a refusal of the job's. */
static enum status refuse_plan(const struct stage_request *request, struct refusal *why) {
  char reason[sizeof why->message], field[sizeof why->field];
  snprintf(reason, sizeof reason, "%s", fail_reason());
  snprintf(field, sizeof field, "%s", job_field(request, fail_field_name()));
  bool sampler = strcmp(field, "sampler") == 0 || strcmp(field, "noise_schedule") == 0;
  return refuse(why,
                sampler ? DARKROOM__V1__ERROR_CODE__ERROR_UNKNOWN_SAMPLER
                        : DARKROOM__V1__ERROR_CODE__ERROR_FIELD,
                field, NULL, "%s", reason);
}

/* From latents that noise is put on. */
static bool begins_clean(enum stage_begin begin) {
  return begin == BEGIN_IMAGE || is_upscaled(begin);
}

static enum spacing spacing_of(Darkroom__V1__Spacing spacing) {
  switch (spacing) {
    case DARKROOM__V1__SPACING__SPACING_LEADING:
      return SPACING_LEADING;
    case DARKROOM__V1__SPACING__SPACING_LINSPACE:
      return SPACING_LINSPACE;
    case DARKROOM__V1__SPACING__SPACING_TRAILING:
      return SPACING_TRAILING;
    default:
      return SPACING_DEFAULT;
  }
}

static enum prompt_mode mode_of(Darkroom__V1__PromptMode mode) {
  switch (mode) {
    case DARKROOM__V1__PROMPT_MODE__PROMPT_MODE_LONG:
      return PROMPT_MODE_LONG;
    case DARKROOM__V1__PROMPT_MODE__PROMPT_MODE_WEIGHTED:
      return PROMPT_MODE_WEIGHTED;
    default:
      return PROMPT_MODE_PLAIN;
  }
}

/* The job's sampler as plan_make names it; a number that is not in the contract has no name. */
static enum status fill_plan(const struct stage_request *request, struct arena *memory,
                             struct refusal *why, struct plan *out) {
  const Darkroom__V1__Job *job = request->job;
  const char *name =
      job_sampler_name(job->sampler, DARKROOM__V1__NOISE_SCHEDULE__NOISE_SCHEDULE_MODEL);
  struct plan_request plan = plan_request_make(
      request->resident->levels, name != NULL ? name : "unknown", (int)request->steps);
  plan.schedule = (enum noise_schedule)job->noise_schedule; /* the same numbers */
  plan.spacing = spacing_of(job->spacing);
  plan.eta = job->eta;
  plan.image = begins_clean(request->begin);
  plan.strength = request->strength;
  plan.begin = request->from;
  plan.end = request->to;
  enum status status = plan_make(memory, &plan, out);
  return status == BAD_INPUT ? refuse_plan(request, why) : status;
}

static enum status fill_shape(const struct stage_request *request, struct refusal *why,
                              struct stage *out) {
  bool larger = is_upscaled(request->begin);
  TRY(check_side(request->resident, larger ? "upscale" : "width", request->width, why));
  TRY(check_side(request->resident, larger ? "upscale" : "height", request->height, why));
  out->width = (int)request->width;
  out->height = (int)request->height;
  out->latent_width = out->width / request->resident->family->scale_factor;
  out->latent_height = out->height / request->resident->family->scale_factor;
  return OK;
}

/* A model with channels behind the latents' is told of the mask; one without has what the mask
 * keeps put back after every step. */
static enum status fill_mask(const struct stage_request *request, struct refusal *why,
                             struct stage *out) {
  const struct family *family = request->resident->family;
  out->planes = family->unet.in_channels - family->vae.latent_channels;
  out->keeps = request->masked && out->planes == 0;
  if (out->planes == 0) {
    return OK;
  }
  if (out->planes != 1 + family->vae.latent_channels) {
    return refuse(why, DARKROOM__V1__ERROR_CODE__ERROR_FIELD, "model", NULL,
                  "model %s wants %d channels beside the latents: not implemented",
                  request->resident->id, out->planes);
  }
  if (!request->masked) {
    return refuse(why, DARKROOM__V1__ERROR_CODE__ERROR_FIELD, "mask", "image and mask",
                  "model %s fills what a mask covers: it needs an image and a mask",
                  request->resident->id);
  }
  return request->begin != BEGIN_LATENTS
             ? OK
             : refuse(why, DARKROOM__V1__ERROR_CODE__ERROR_FIELD, "upscale", "pixel",
                      "model %s looks at the picture: it is upscaled by its pixels",
                      request->resident->id);
}

/* Numbers of the picture's origin, in the order of families (family.h): what a job does not say is
 * that of a whole picture of the stage's own size. */
static void fill_sizes(const struct stage_request *request, const struct stage *stage,
                       bool negative, struct condition *out) {
  const Darkroom__V1__Sizes standard = DARKROOM__V1__SIZES__INIT;
  const Darkroom__V1__Sizes *said = request->job->sizes != NULL ? request->job->sizes : &standard;
  const struct family_row *row = stage->resident->family->row;
  uint32_t width = (uint32_t)stage->width, height = (uint32_t)stage->height;
  const double sizes[CONDITION_SIZES_MAX] = {
      said->has_original_height ? said->original_height : height,
      said->has_original_width ? said->original_width : width,
      said->crop_top,
      said->crop_left,
      said->has_target_height ? said->target_height : height,
      said->has_target_width ? said->target_width : width};
  out->size_count = row->sizes;
  for (int i = 0; i < row->sizes; i++) {
    out->sizes[i] = (float)sizes[i];
  }
  if (row->scored) {
    out->sizes[row->sizes - 1] = (float)(negative ? request->negative_score : request->score);
  }
}

static struct condition condition_of(const struct stage_request *request, const struct stage *stage,
                                     bool negative) {
  const Darkroom__V1__Job *job = request->job;
  bool told = stage->resident->family->unet.guidance_width > 0;
  bool silent = negative && job->negative_prompt == NULL;
  struct condition condition = {.prompt = silent     ? ""
                                          : negative ? job->negative_prompt
                                                     : job->prompt,
                                .silent = silent,
                                .mode = mode_of(job->prompt_mode),
                                .clip_skip = negative ? 0 : (int)job->clip_skip,
                                .negative = negative,
                                .guidance = told ? stage->guidance : 0.0f};
  fill_sizes(request, stage, negative, &condition);
  return condition;
}

enum status stage_fill(const struct stage_request *request, struct arena *memory,
                       struct refusal *why, struct stage *out) {
  const Darkroom__V1__Job *job = request->job;
  bool told = request->resident->family->unet.guidance_width > 0;
  struct stage stage = {.resident = request->resident,
                        .begin = request->begin,
                        .guided = (float)job->guidance_scale > 1.0f && !told,
                        .guidance = (float)job->guidance_scale,
                        .rescale = (float)job->guidance_rescale};
  TRY(fill_shape(request, why, &stage));
  TRY(fill_mask(request, why, &stage));
  TRY(fill_plan(request, memory, why, &stage.plan));
  stage.positive = condition_of(request, &stage, false);
  stage.negative = condition_of(request, &stage, true);
  *out = stage;
  return OK;
}

void stage_adapt(struct stage *stage, const struct adapted *adapted, const struct worded *worded) {
  const struct adaptation *adaptation = adapted != NULL ? adapted->adaptation : NULL;
  const struct embeddings *embeddings = worded != NULL ? worded->embeddings : NULL;
  stage->positive.adaptation = stage->negative.adaptation = adaptation;
  stage->positive.embeddings = stage->negative.embeddings = embeddings;
  if (adaptation != NULL) {
    stage->adapters = adaptation_table(adaptation, NETWORK_UNET);
    stage->merged = adaptation_merged(adaptation);
    stage->merged_number = stage->merged != NULL ? adapted->number : 0;
  }
}

static enum status condition_nets(struct stage *stage, struct conditionings *conditionings,
                                  struct arena *scratch) {
  for (int i = 0; i < stage->controls.count; i++) {
    struct stage_control *control = &stage->controls.row[i];
    struct control *net = control->net->control;
    if (control->cond == NULL) {
      TRY(conditionings_hold_for(conditionings, net, scratch, stage->cond, &control->cond));
    }
    if (stage->uncond != NULL && control->uncond == NULL) {
      TRY(conditionings_hold_for(conditionings, net, scratch, stage->uncond, &control->uncond));
    }
  }
  return OK;
}

enum status stage_condition(struct stage *stage, struct conditionings *conditionings,
                            struct arena *scratch) {
  if (stage->guided && stage->uncond == NULL) {
    TRY(conditionings_hold(conditionings, stage->resident, scratch, &stage->negative,
                           &stage->uncond));
  }
  if (stage->cond == NULL) {
    TRY(conditionings_hold(conditionings, stage->resident, scratch, &stage->positive,
                           &stage->cond));
  }
  return condition_nets(stage, conditionings, scratch);
}

void stage_close(struct stage *stage) {
  for (int i = 0; i < stage->controls.count; i++) {
    conditionings_release(&stage->controls.row[i].cond);
    conditionings_release(&stage->controls.row[i].uncond);
  }
  conditionings_release(&stage->cond);
  conditionings_release(&stage->uncond);
}

int stage_rows(const struct stage *stage) { return stage->guided ? 2 : 1; }

int64_t stage_cells(const struct stage *stage) {
  return (int64_t)stage->latent_width * stage->latent_height;
}

bool stage_encodes(const struct stage *stage) {
  return stage->begin == BEGIN_IMAGE || stage->begin == BEGIN_PIXELS || stage->keeps ||
         stage->planes > 0;
}

bool stage_same_shape(const struct stage *a, const struct stage *b) {
  return a->resident == b->resident && a->latent_width == b->latent_width &&
         a->latent_height == b->latent_height;
}
