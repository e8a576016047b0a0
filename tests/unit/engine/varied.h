/* varied.h - jobs of every kind that an engine takes, each by a number: with other samplers, sizes,
 * guidance, and any of the parts of varied_parts.h. */
#ifndef DARKROOM_TESTS_UNIT_ENGINE_VARIED_H
#define DARKROOM_TESTS_UNIT_ENGINE_VARIED_H

#include "proto/job.h"
#include "tests/unit/engine/book.h"
#include "tests/unit/engine/varied_parts.h"

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
  if ((k % 7 == 2 || k % 7 == 5) && one->job.refiner == NULL) {
    varied_picture(one, 0.5 + 0.25 * (k % 3), k % 7 == 2 ? -1 : k % 14 == 5 ? 255 : 128);
  }
  if (k % 16 == 7) {
    varied_upscale(one, DARKROOM__V1__UPSCALE_KIND__UPSCALE_PIXEL, 96, 0.6);
  }
  if (k % 5 == 2 || k % 5 == 4) {
    varied_control(one, k % 5 == 2 ? "lines" : "depth", k % 2 * 0.3, 1 - k % 3 * 0.2);
    one->control[0].guess = k % 4 == 0;
  }
  if (k % 10 == 4) {
    varied_control(one, "lines", 0, 0.5);
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

/* Whether the job need not wait any more, as the process does it (engine_main.c): *out is what
 * became of it. */
static inline bool varied_try(struct engine *engine, struct varied *one, enum status *out) {
  one->job.id = one->id;
  one->inputs.input = one->input;
  for (size_t i = 0; i < one->job.n_adapter; i++) {
    one->adapters[i] = &one->adapter[i];
  }
  one->job.adapter = one->adapters;
  const struct engine_wish wish = {one->id, 7, one->job.model, NULL, 1};
  *out =
      engine_expects(engine, &wish) ? engine_admit(engine, &one->job, 7, &one->inputs) : EXHAUSTED;
  return *out != EXHAUSTED;
}
/* Turns go on while it waits. */
static inline enum status varied_admit(struct engine *engine, struct varied *one) {
  enum status status = EXHAUSTED;
  for (int i = 0; i < 1000 && !varied_try(engine, one, &status); i++) {
    enum status turn = engine_turn(engine);
    if (turn != OK) {
      return turn;
    }
  }
  return status;
}

#endif
