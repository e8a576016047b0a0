/* prepare.c - what diffusers' image processors do before the first step. */
#include "worker/media/prepare.h"

#include <stdbool.h>
#include <string.h>

#include "base/limits.h"
#include "images/decode.h"
#include "images/resize.h"
#include "proto/blob.h"

typedef Darkroom__V1__Job Job;
typedef Darkroom__V1__Padding Padding;

/* Where the image lies on the job's canvas, and how large it is there. */
struct place {
  struct canvas canvas;
  uint32_t width, height;
};

static enum status place_of(const Job *job, struct place *out) {
  static const Padding none = DARKROOM__V1__PADDING__INIT;
  const Padding *padding = job->padding != NULL ? job->padding : &none;
  uint64_t across = (uint64_t)padding->left + padding->right;
  uint64_t down = (uint64_t)padding->top + padding->bottom;
  if (across + JOB_SIDE_PIXELS_MIN > job->width || down + JOB_SIDE_PIXELS_MIN > job->height) {
    return fail_field(BAD_INPUT, "padding", "padding leaves the image no room in %ux%u pixels",
                      job->width, job->height);
  }
  *out = (struct place){{job->width, job->height, padding->left, padding->top},
                        job->width - (uint32_t)across,
                        job->height - (uint32_t)down};
  return OK;
}

static enum status put_image(const struct image *image, const struct place *place,
                             struct image *out) {
  struct image fitting = {0};
  TRY(image_resize(image, place->width, place->height, FILTER_LANCZOS, &fitting));
  enum status status = image_place(&fitting, &place->canvas, out);
  image_close(&fitting);
  return status;
}

static enum status put_mask(const struct image *image, const struct place *place,
                            struct image *out) {
  struct image fitting = {0};
  struct image grey = {0};
  TRY(image_resize(image, place->width, place->height, FILTER_LANCZOS, &fitting));
  enum status status = image_grey(&fitting, &grey);
  status = status == OK ? image_frame(&grey, &place->canvas, UINT8_MAX, out) : status;
  image_close(&fitting);
  image_close(&grey);
  return status;
}

static enum status put_control(const struct image *image, const struct place *place,
                               struct image *out) {
  return image_resize(image, place->canvas.width, place->canvas.height, FILTER_LANCZOS, out);
}

static const struct {
  Darkroom__V1__BlobKind kind;
  enum status (*put)(const struct image *image, const struct place *place, struct image *out);
} rows[] = {
    {DARKROOM__V1__BLOB_KIND__BLOB_IMAGE, put_image},
    {DARKROOM__V1__BLOB_KIND__BLOB_MASK, put_mask},
    {DARKROOM__V1__BLOB_KIND__BLOB_CONTROL, put_control},
};

enum status prepare_picture(const Job *job, Darkroom__V1__BlobKind kind, const struct bytes *file,
                            struct image *out) {
  struct place place;
  struct image image = {0};
  const char *unlike = blob_unlike(kind, file->data, file->length);
  TRY(unlike == NULL ? OK : fail(BAD_INPUT, "it %s", unlike));
  TRY(place_of(job, &place));
  TRY(image_decode(file->data, file->length, &image));
  enum status status = fail(BAD_INPUT, "a blob of kind %d is no picture", (int)kind);
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    if (rows[i].kind == kind) {
      status = rows[i].put(&image, &place, out);
    }
  }
  image_close(&image);
  return status;
}

enum status prepare_padding_mask(const Job *job, struct image *out) {
  struct place place;
  struct image inside = {0};
  TRY(place_of(job, &place));
  TRY(image_open(place.width, place.height, 1, &inside));
  enum status status = image_frame(&inside, &place.canvas, UINT8_MAX, out);
  image_close(&inside);
  return status;
}

enum status prepare_check_tensors(const struct bytes *file) {
  const char *unlike = blob_unlike(DARKROOM__V1__BLOB_KIND__BLOB_ADAPTER, file->data, file->length);
  return unlike == NULL ? OK : fail(BAD_INPUT, "it %s", unlike);
}
