/* varied.h - jobs of every kind that an engine takes, each by a number: with refiners and second
 * passes, with other samplers, sizes, guidance. */
#ifndef DARKROOM_TESTS_UNIT_ENGINE_VARIED_H
#define DARKROOM_TESTS_UNIT_ENGINE_VARIED_H

#include "proto/job.h"
#include "tests/unit/engine/book.h"

enum { VARIED_MAX = 64 };

/* A job and what it points to. */
struct varied {
  char id[32];
  Darkroom__V1__Job job;
  Darkroom__V1__Refiner refiner;
  Darkroom__V1__Upscale upscale;
  Darkroom__V1__Blob blob;
  Darkroom__V1__Adapter adapter[2];
  Darkroom__V1__Adapter *adapters[2];
  Darkroom__V1__Embedding embedding;
  Darkroom__V1__Embedding *embeddings[1];
  struct engine_input input[4];
  struct engine_inputs inputs;
};

/* What a job brings. */
static inline void varied_bring(struct varied *one, struct engine_input input) {
  one->input[one->inputs.count++] = input;
  one->inputs.input = one->input;
}

/* One more adapter, whose file is that text. */
static inline void varied_adapt(struct varied *one, const char *file, double weight) {
  size_t i = one->job.n_adapter++;
  one->blob = (Darkroom__V1__Blob)DARKROOM__V1__BLOB__INIT;
  one->adapter[i] = (Darkroom__V1__Adapter)DARKROOM__V1__ADAPTER__INIT;
  one->adapter[i].blob = &one->blob;
  one->adapter[i].weight = weight;
  one->adapters[i] = &one->adapter[i];
  one->job.adapter = one->adapters;
  varied_bring(one, (struct engine_input){.kind = INPUT_ADAPTER,
                                          .index = (uint32_t)i,
                                          .data = (const uint8_t *)file,
                                          .bytes = strlen(file)});
}

static inline void varied_word(struct varied *one, const char *token, const char *file) {
  one->blob = (Darkroom__V1__Blob)DARKROOM__V1__BLOB__INIT;
  one->embedding = (Darkroom__V1__Embedding)DARKROOM__V1__EMBEDDING__INIT;
  one->embedding.token = (char *)token;
  one->embedding.blob = &one->blob;
  one->embeddings[0] = &one->embedding;
  one->job.embedding = one->embeddings;
  one->job.n_embedding = 1;
  varied_bring(one,
               (struct engine_input){
                   .kind = INPUT_EMBEDDING, .data = (const uint8_t *)file, .bytes = strlen(file)});
}

static inline void varied_refine(struct varied *one, const char *model, double start) {
  one->refiner = (Darkroom__V1__Refiner)DARKROOM__V1__REFINER__INIT;
  one->refiner.model = (char *)model;
  one->refiner.start = start;
  one->job.refiner = &one->refiner;
}

static inline void varied_upscale(struct varied *one, Darkroom__V1__UpscaleKind kind, uint32_t side,
                                  double strength) {
  one->upscale = (Darkroom__V1__Upscale)DARKROOM__V1__UPSCALE__INIT;
  one->upscale.has_kind = one->upscale.has_width = one->upscale.has_height = 1;
  one->upscale.kind = kind;
  one->upscale.width = one->upscale.height = side;
  one->upscale.strength = strength;
  one->job.upscale = &one->upscale;
}

/* Job k: `model` and, as a refiner, `other`. */
static inline void varied_make(struct varied *one, int k, const char *model, const char *other) {
  static const char *const prompts[] = {"a lake", "", "snow at night", "a boat by the shore"};
  *one = (struct varied){0};
  snprintf(one->id, sizeof one->id, "varied-%d", k);
  one->job = job_of(one->id, prompts[k % 4], 100 + (uint64_t)k);
  one->job.model = (char *)(k % 3 == 2 ? other : model);
  one->job.has_guidance_scale = one->job.has_images = one->job.has_noise_schedule = 1;
  one->job.guidance_scale = (k * 5) % 4;
  one->job.images = 1 + (uint32_t)k % 2;
  one->job.steps = 3 + (uint32_t)(k * 7) % 5;
  size_t offered = 0;
  while (job_sampler_offered(offered) != NULL) {
    offered++;
  }
  (void)job_sampler_parse(job_sampler_offered((size_t)(k * 3) % offered), &one->job.sampler,
                          &one->job.noise_schedule, NULL);
  if (k % 4 == 1) {
    varied_refine(one, k % 8 == 1 ? other : model, 0.5);
  }
  if (k % 4 == 2) {
    varied_upscale(one, DARKROOM__V1__UPSCALE_KIND__UPSCALE_LATENT, k % 8 == 2 ? 96 : 128, 0.7);
  }
  if (k % 6 == 1 || k % 6 == 4) {
    varied_adapt(one, k % 12 < 6 ? "a file" : "m, another", 0.25 + 0.5 * (k % 3));
  }
  if (k % 12 == 4) {
    varied_adapt(one, "one more", -0.5);
  }
  if (k % 10 == 7) {
    varied_word(one, "<word>", k % 20 == 7 ? "a" : "b");
  }
  if (k % 3 == 0) {
    one->job.has_preview_every = 1;
    one->job.preview_every = 1 + (uint32_t)k % 4;
  }
  if (k % 5 == 3) {
    one->job.has_guidance_rescale = 1;
    one->job.guidance_rescale = 0.7;
  }
}

#endif
