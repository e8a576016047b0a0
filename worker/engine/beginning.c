/* beginning.c - the first numbers of a sample. */
#include "worker/engine/beginning.h"

#include "worker/engine/masks.h"
#include "worker/engine/record.h"

static enum status put(struct device *device, const float *values, const struct tensor *to) {
  return device_put(device, values, tensor_bytes(to), to);
}

/* ---- noise, and an image ---- */

/* Slot 0 = start_scale * noise + start_clean * clean; latents NULL: nothing is clean. */
static enum status put_start(struct sample *sample, struct device *device,
                             const struct drawing_room *room, const float *latents) {
  const struct plan *plan = &sample_stage(sample)->plan;
  int64_t count = tensor_count(&sample->latents);
  sample_draw(sample, room);
  if (sample->begun.data != NULL) {
    TRY(put(device, room->values, &sample->begun));
    TRY(put(device, latents, &sample->clean));
  }
  for (int64_t i = 0; i < count; i++) {
    room->values[i] *= plan->start_scale;
  }
  for (int64_t i = 0; latents != NULL && plan->start_clean != 0.0f && i < count; i++) {
    room->values[i] += plan->start_clean * latents[i];
  }
  TRY(put(device, room->values, &sample->latents));
  return sample_clear(sample, device, room);
}

static enum status put_latents(struct sample *sample, struct device *device,
                               const struct drawing_room *room, const struct beginning *beginning) {
  switch (beginning->kind) {
    case BEGINNING_NOISE:
      return put_start(sample, device, room, NULL);
    case BEGINNING_IMAGE:
      return put_start(sample, device, room, beginning->latents);
    case BEGINNING_STATE:
      return record_put(sample, device, beginning->state, beginning->state_bytes);
  }
  return OK;
}

static enum status put_all(struct sample *sample, struct device *device,
                           const struct drawing_room *room, const struct beginning *beginning) {
  TRY(put_latents(sample, device, room, beginning));
  return sample->mask.data != NULL ? masks_put(sample, device, room) : OK;
}

/* What is put between the two goes over a queue of its own: the copies need not wait for the turns
 * in flight, nor these for them. */
static enum status depart(struct sample *sample, struct device *device) {
  if (sample->arrival == NULL) {
    TRY(event_open(device, &sample->arrival));
  }
  device_use(device, QUEUE_COPIES);
  return OK;
}

static enum status arrive(struct sample *sample, struct device *device, enum status status) {
  status = status == OK ? event_record(sample->arrival) : status;
  device_use(device, QUEUE_STEPS);
  return status == OK ? OK : (device_wait(device) == BROKEN ? BROKEN : status);
}

enum status sample_begin(struct sample *sample, struct device *device,
                         const struct drawing_room *room, const struct beginning *beginning) {
  if (beginning->kind == BEGINNING_STATE) {
    TRY(record_check(sample, beginning->state, beginning->state_bytes));
  }
  TRY(depart(sample, device));
  TRY(arrive(sample, device, put_all(sample, device, room, beginning)));
  sample_moved(sample);
  return OK;
}

/* ---- in which order ---- */

static enum status begin_first(struct sample *sample, struct device *device,
                               const struct drawing_room *room) {
  const struct stage *stage = sample_stage(sample);
  if (stage->begin == BEGIN_IMAGE || stage->keeps) {
    sample->encode = ENCODE_IMAGE;
    return OK;
  }
  sample->encode = stage->planes > 0 ? ENCODE_MASKED : ENCODE_NONE;
  return sample_begin(sample, device, room, &(struct beginning){.kind = BEGINNING_NOISE});
}

enum status sample_open(struct sample *sample, struct device *device, struct task *task,
                        uint32_t index, const struct drawing_room *room) {
  TRY(sample_take(sample, device, task, index));
  enum status status = begin_first(sample, device, room);
  if (status != OK) {
    sample_close(sample);
    return status;
  }
  sample_moved(sample);
  return OK;
}

/* An inpainting pipeline draws the posterior's noise of the masked image in any case. */
static void draw_in_vain(struct sample *sample, const struct drawing_room *room) {
  sample_draw(sample, room);
}

static enum status begin_with_image(struct sample *sample, struct device *device,
                                    const struct drawing_room *room, const float *latents) {
  const struct stage *stage = sample_stage(sample);
  TRY(sample_begin(sample, device, room,
                   &(struct beginning){.kind = BEGINNING_IMAGE, .latents = latents}));
  if (stage->keeps) {
    draw_in_vain(sample, room);
  }
  sample->encode = stage->planes > 0 ? ENCODE_MASKED : ENCODE_NONE;
  return OK;
}

static enum status tell_masked(struct sample *sample, struct device *device,
                               const struct drawing_room *room, const float *latents) {
  TRY(depart(sample, device));
  TRY(arrive(sample, device, masks_put_planes(sample, device, room, latents)));
  sample->encode = ENCODE_NONE;
  return OK;
}

enum status beginning_encoded(struct sample *sample, struct device *device,
                              const struct drawing_room *room, const float *latents) {
  return sample->encode == ENCODE_IMAGE ? begin_with_image(sample, device, room, latents)
                                        : tell_masked(sample, device, room, latents);
}
