/* inputs.c - the fields of a job's inputs, and what of them can be used. */
#include "worker/engine/inputs.h"

#include <stdio.h>

/* By kind: the job's field, and channels of a picture, 0 where it is a file. */
static const struct kind {
  const char *field;
  uint32_t channels;
} kinds[INPUT_KINDS] = {[INPUT_IMAGE] = {"image", 3},
                        [INPUT_MASK] = {"mask", 1},
                        [INPUT_CONTROL] = {"control", 3},
                        [INPUT_ADAPTER] = {"adapter", 0},
                        [INPUT_EMBEDDING] = {"embedding", 0}};

const struct engine_input *inputs_find(const struct engine_inputs *inputs, enum input_kind kind,
                                       uint32_t index) {
  for (size_t i = 0; inputs != NULL && i < inputs->count; i++) {
    if (inputs->input[i].kind == kind && inputs->input[i].index == index) {
      return &inputs->input[i];
    }
  }
  return NULL;
}

static size_t count_of(const struct engine_inputs *inputs, enum input_kind kind) {
  size_t count = 0;
  for (size_t i = 0; inputs != NULL && i < inputs->count; i++) {
    count += inputs->input[i].kind == kind;
  }
  return count;
}

enum status inputs_check_picture(const struct engine_input *input, uint32_t width, uint32_t height,
                                 struct refusal *why) {
  const struct kind *kind = &kinds[input->kind];
  bool whole = input->channels == kind->channels && input->width == width &&
               input->height == height && input->bytes == (size_t)width * height * kind->channels;
  if (whole) {
    return OK;
  }
  char limit[64];
  snprintf(limit, sizeof limit, "%ux%u, %u bytes a pixel", width, height, kind->channels);
  return refuse(why, DARKROOM__V1__ERROR_CODE__ERROR_FIELD, kind->field, limit,
                "the %s is %ux%u with %u bytes a pixel, %zu bytes in all", kind->field,
                input->width, input->height, input->channels, input->bytes);
}

/* The broker has checked as much; what tables here have room for is not left to that. */
static enum status check_lists(const Darkroom__V1__Job *job, struct refusal *why) {
  const struct {
    size_t count, most;
    const char *field;
  } rows[] = {{job->n_control, CONTROLS_MAX, "control"},
              {job->n_adapter, JOB_ADAPTERS_MAX, "adapter"},
              {job->n_embedding, JOB_EMBEDDINGS_MAX, "embedding"}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    if (rows[i].count > rows[i].most) {
      return refuse(why, DARKROOM__V1__ERROR_CODE__ERROR_FIELD, rows[i].field, NULL,
                    "%zu of %s, at most %zu", rows[i].count, rows[i].field, rows[i].most);
    }
  }
  return OK;
}

static size_t adapter_blobs(const Darkroom__V1__Job *job) {
  size_t count = 0;
  for (size_t i = 0; i < job->n_adapter; i++) {
    count += job->adapter[i]->blob != NULL;
  }
  return count;
}

static size_t embedding_blobs(const Darkroom__V1__Job *job) {
  size_t count = 0;
  for (size_t i = 0; i < job->n_embedding; i++) {
    count += job->embedding[i]->blob != NULL;
  }
  return count;
}

/* As many of each kind as the job names. */
static enum status check_counts(const Darkroom__V1__Job *job, const struct engine_inputs *inputs,
                                struct refusal *why) {
  const size_t named[INPUT_KINDS] = {
      [INPUT_IMAGE] = job->image != NULL,
      [INPUT_MASK] = job->mask != NULL || job->padding != NULL,
      [INPUT_CONTROL] = job->n_control,
      [INPUT_ADAPTER] = adapter_blobs(job),
      [INPUT_EMBEDDING] = embedding_blobs(job),
  };
  for (int kind = 0; kind < INPUT_KINDS; kind++) {
    size_t count = count_of(inputs, (enum input_kind)kind);
    if (count != named[kind]) {
      return refuse(why, DARKROOM__V1__ERROR_CODE__ERROR_FIELD, kinds[kind].field, NULL,
                    "%zu %s came with a job that names %zu", count, kinds[kind].field, named[kind]);
    }
  }
  return OK;
}

enum status inputs_check(const Darkroom__V1__Job *job, const struct engine_inputs *inputs,
                         struct refusal *why) {
  TRY(check_lists(job, why));
  if (job->image == NULL && (job->mask != NULL || job->padding != NULL)) {
    return refuse(why, DARKROOM__V1__ERROR_CODE__ERROR_FIELD,
                  job->mask != NULL ? "mask" : "padding", "with image",
                  "there is no image that a mask or padding could belong to");
  }
  return check_counts(job, inputs, why);
}
