/* beginning.h - what an image's latents are before the first row of a plan: noise, or a picture's
 * latents with noise on them, or what was written down elsewhere.
 *
 * The generator draws in the order of diffusers' pipelines: of an image that is encoded first the
 * posterior's noise, then the initial noise; then the posterior's of what a mask leaves of it,
 * which an inpainting pipeline draws even where the model is not told of it. */
#ifndef DARKROOM_WORKER_ENGINE_BEGINNING_H
#define DARKROOM_WORKER_ENGINE_BEGINNING_H

#include "worker/engine/sample.h"

enum beginning_kind {
  BEGINNING_NOISE, /* fresh noise at the plan's first level */
  BEGINNING_IMAGE, /* latents [H, W, C] of a picture, noised as the plan says */
  BEGINNING_STATE  /* bytes of sample_write (record.h), stage and cursor among them */
};
struct beginning {
  enum beginning_kind kind;
  const float *latents; /* BEGINNING_IMAGE: on the host, in the scale of the U-Net */
  const uint8_t *state; /* BEGINNING_STATE */
  size_t state_bytes;
};

/* Puts it into the sample's memory, over a queue of its own: what follows sample->arrival finds it
 * there. Nothing of the host's is read after the call. BAD_INPUT (field "state") for a state that
 * is not one of this sample: nothing has changed then. BROKEN. */
enum status sample_begin(struct sample *sample, struct device *device,
                         const struct drawing_room *room, const struct beginning *beginning);

/* Begins image `index` of the task: takes its memory, seeds its generator and puts noise there, or
 * notes that the pictures which it needs must be encoded first (sample->encode). */
enum status sample_open(struct sample *sample, struct device *device, struct task *task,
                        uint32_t index, const struct drawing_room *room);
/* The picture that sample->encode names has been encoded: its latents [H, W, C] on the host. Begins
 * the sample with them, or tells its model of them, and says what is to be encoded next. */
enum status beginning_encoded(struct sample *sample, struct device *device,
                              const struct drawing_room *room, const float *latents);

#endif
