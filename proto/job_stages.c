/* job_stages.c - what a job asks for besides its one picture of one size: a second pass, a second
 * model, numbers about its origin, room around an image. */
#include <math.h>
#include <string.h>

#include "base/limits.h"
#include "proto/job.h"
#include "proto/job_rules.h"

typedef Darkroom__V1__Job Job;
typedef Darkroom__V1__Upscale Upscale;
typedef Darkroom__V1__Refiner Refiner;
typedef Darkroom__V1__Sizes Sizes;
typedef Darkroom__V1__Padding Padding;

#define MULTIPLE ", a multiple of " TEXT_OF(JOB_SIDE_PIXELS_MULTIPLE)
#define SIDE_LIMIT TEXT_OF(JOB_SIDE_PIXELS_MIN) ".." TEXT_OF(JOB_SIDE_PIXELS_MAX) MULTIPLE
#define PADDING_LIMIT "0.." TEXT_OF(JOB_SIDE_PIXELS_MAX) MULTIPLE

static const struct number_rule upscale_numbers[] = {
    RULE_NUMBER_OF(Upscale, "upscale", width, SIDE_LIMIT, JOB_SIDE_PIXELS_MIN, JOB_SIDE_PIXELS_MAX,
                   JOB_SIDE_PIXELS_MULTIPLE),
    RULE_NUMBER_OF(Upscale, "upscale", height, SIDE_LIMIT, JOB_SIDE_PIXELS_MIN, JOB_SIDE_PIXELS_MAX,
                   JOB_SIDE_PIXELS_MULTIPLE),
    RULE_NUMBER_OF(Upscale, "upscale", steps, "1.." TEXT_OF(JOB_STEPS_MAX), 1, JOB_STEPS_MAX, 1),
};
static const struct real_rule upscale_reals[] = {
    RULE_REAL_OF(Upscale, "upscale", strength, "0..1", 0, 1),
};
static const struct word_rule upscale_words[] = {
    {"upscale.kind", "latent, pixel", RULE_AT(Upscale, kind),
     DARKROOM__V1__UPSCALE_KIND__UPSCALE_PIXEL},
};

static enum status check_upscale(const Job *job, struct refusal *why) {
  const Upscale *upscale = job->upscale;
  if (upscale == NULL) {
    return OK;
  }
  if (!upscale->has_width || !upscale->has_height) {
    return refuse(why, RULE_FIELD, "upscale", "with width and height",
                  "upscale does not say to what size");
  }
  TRY(rule_numbers(upscale, upscale_numbers, RULES(upscale_numbers), why));
  TRY(rule_reals(upscale, upscale_reals, RULES(upscale_reals), why));
  TRY(rule_words(upscale, upscale_words, RULES(upscale_words), why));
  bool smaller = (job->has_width && upscale->width < job->width) ||
                 (job->has_height && upscale->height < job->height);
  return smaller ? refuse(why, RULE_FIELD, "upscale", "at least width and height",
                          "upscale is smaller than the picture")
                 : OK;
}

static const struct real_rule refiner_reals[] = {
    RULE_REAL_OF(Refiner, "refiner", start, "0..1", 0, 1),
    RULE_REAL_OF(Refiner, "refiner", score, "0.." TEXT_OF(JOB_SCORE_MAX), 0, JOB_SCORE_MAX),
    RULE_REAL_OF(Refiner, "refiner", negative_score, "0.." TEXT_OF(JOB_SCORE_MAX), 0,
                 JOB_SCORE_MAX),
};

static enum status check_refiner(const Refiner *refiner, struct refusal *why) {
  static const struct text_rule model = {"refiner.model", 1, JOB_MODEL_BYTES_MAX};
  if (refiner == NULL) {
    return OK;
  }
  TRY(rule_text(refiner->model != NULL ? refiner->model : "", &model, why));
  return rule_reals(refiner, refiner_reals, RULES(refiner_reals), why);
}

#define SIZE_ROW(field, least)                                                           \
  RULE_NUMBER_OF(Sizes, "sizes", field, #least ".." TEXT_OF(JOB_SIZE_NUMBER_MAX), least, \
                 JOB_SIZE_NUMBER_MAX, 1)
static const struct number_rule size_rows[] = {
    SIZE_ROW(original_width, 1), SIZE_ROW(original_height, 1), SIZE_ROW(crop_left, 0),
    SIZE_ROW(crop_top, 0),       SIZE_ROW(target_width, 1),    SIZE_ROW(target_height, 1),
};

#define PADDING_ROW(field)                                                         \
  RULE_NUMBER_OF(Padding, "padding", field, PADDING_LIMIT, 0, JOB_SIDE_PIXELS_MAX, \
                 JOB_SIDE_PIXELS_MULTIPLE)
static const struct number_rule padding_rows[] = {
    PADDING_ROW(left),
    PADDING_ROW(top),
    PADDING_ROW(right),
    PADDING_ROW(bottom),
};

/* What is left of a side for the image itself. A size that is not known yet is checked again when
 * it is. */
static bool room_left(protobuf_c_boolean given, uint32_t side, uint32_t before, uint32_t after) {
  return !given || (uint64_t)before + after + JOB_SIDE_PIXELS_MIN <= side;
}

static enum status check_padding(const Job *job, struct refusal *why) {
  const Padding *padding = job->padding;
  if (padding == NULL) {
    return OK;
  }
  TRY(rule_numbers(padding, padding_rows, RULES(padding_rows), why));
  bool room = room_left(job->has_width, job->width, padding->left, padding->right) &&
              room_left(job->has_height, job->height, padding->top, padding->bottom);
  return room ? OK
              : refuse(why, RULE_FIELD, "padding",
                       "leaves at least " TEXT_OF(JOB_SIDE_PIXELS_MIN) " pixels of a side",
                       "padding leaves the image no room");
}

uint32_t job_picture_width(const Job *job) {
  return job->upscale != NULL ? job->upscale->width : job->width;
}

uint32_t job_picture_height(const Job *job) {
  return job->upscale != NULL ? job->upscale->height : job->height;
}

enum status job_check_stages(const Job *job, struct refusal *why) {
  TRY(check_upscale(job, why));
  TRY(check_refiner(job->refiner, why));
  TRY(job->sizes == NULL ? OK : rule_numbers(job->sizes, size_rows, RULES(size_rows), why));
  return check_padding(job, why);
}
