/* decodes.c - pictures. */
#include "worker/engine/decodes.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "monitoring/log.h"
#include "worker/engine/admission.h"
#include "worker/engine/handover.h"
#include "worker/engine/memory.h"
#include "worker/engine/picture.h"
#include "worker/engine/second_look.h"
#include "worker/engine/tiles.h"
#include "worker/model/tiny_vae.h"

#define NS_PER_US 1000
/* What tells a decode from a U-Net call among kept sequences. */
#define DECODE_KEY (UINT64_C(1) << 63)

/* ---- queueing ---- */

struct decoding {
  struct model *model;
  struct tiny_vae *tiny; /* in its place; NULL: none */
  struct arena *scratch;
  struct decode decode;
};

static enum status queue_decode(void *context) {
  const struct decoding *decoding = context;
  return decoding->tiny != NULL
             ? tiny_vae_decode(decoding->tiny, decoding->scratch, &decoding->decode)
             : model_decode(decoding->model, decoding->scratch, &decoding->decode);
}

static float scale_of(const struct decoding *decoding) {
  return decoding->tiny != NULL ? tiny_vae_scale(decoding->tiny)
                                : model_decode_scale(decoding->model);
}

/* Its places lie where they lay the last time, for the scratch is empty between decodes. */
static enum status queue_in_scratch(struct engine *engine, const struct sample *sample,
                                    struct decoding *decoding) {
  const struct stage *stage = sample_stage(sample);
  struct device *device = engine->settings.device;
  const void *decoder = decoding->tiny != NULL ? (const void *)decoding->tiny : decoding->model;
  TRY(picture_places(device, decoding->scratch, sample, scale_of(decoding), &decoding->decode));
  const struct sequence sequence = {
      .key = {(uint64_t)(uintptr_t)decoder,
              (uint64_t)stage->latent_height << 32 | (uint64_t)stage->latent_width, DECODE_KEY,
              (uint64_t)(uintptr_t)decoding->decode.row},
      .queue = queue_decode,
      .context = decoding};
  return device_sequence(device, &sequence);
}

/* All of it. *out: where it will put what comes out. */
static enum status run_once(struct engine *engine, const struct sample *sample,
                            struct decode *out) {
  struct decoding decoding = {.model = sample_stage(sample)->resident->model,
                              .tiny = sample_stage(sample)->tiny,
                              .scratch = scratch_of(engine, QUEUE_DECODES)};
  struct arena_mark mark = arena_mark(decoding.scratch);
  enum status status = queue_in_scratch(engine, sample, &decoding);
  arena_release(decoding.scratch, mark);
  TRY(status);
  *out = decoding.decode;
  return OK;
}

/* Some tiles of a sample's picture. */
struct tiling {
  struct device *device;
  struct sample *sample;
  struct decode decode;
};

static enum status queue_tiles(void *context, struct arena *block, int64_t first, int64_t count) {
  struct tiling *tiling = context;
  struct model *model = sample_stage(tiling->sample)->resident->model;
  TRY(picture_places(tiling->device, block, tiling->sample, model_decode_scale(model),
                     &tiling->decode));
  return model_decode_turn(model, block, &tiling->decode, first, count);
}

static enum status run_tiles(struct engine *engine, struct sample *sample,
                             const struct pace_work *work, struct decode *out) {
  struct tiling tiling = {engine->settings.device, sample, {0}};
  TRY(tiles_run(engine, sample, work, &(struct tiles_call){queue_tiles, &tiling}));
  *out = tiling.decode;
  return OK;
}

enum status decodes_run(struct engine *engine, struct sample *sample, struct flight *flight) {
  struct device *device = engine->settings.device;
  struct decode decode;
  TRY(sample_in_tiles(sample) ? run_tiles(engine, sample, &flight->work, &decode)
                              : run_once(engine, sample, &decode));
  if (!tiles_ended(sample)) {
    return OK; /* there is nothing to be read yet */
  }
  TRY(device_receive(device, &decode.finite, flight->finite, sizeof flight->finite[0]));
  return device_receive(device, &decode.pixels, flight->rgb, tensor_bytes(&decode.pixels));
}

enum status decodes_warm(struct engine *engine, const struct sample *sample) {
  struct decode unread;
  return run_once(engine, sample, &unread);
}

/* ---- reading ---- */

static void finish_task(struct engine *engine, struct task *task) {
  Darkroom__V1__Timings timings = DARKROOM__V1__TIMINGS__INIT;
  timings.has_encode_us = timings.has_denoise_us = timings.has_denoise_steps =
      timings.has_decode_us = 1;
  timings.encode_us = task->encode_us;
  timings.denoise_us = (uint64_t)((task->denoise_ended_ns - task->denoise_began_ns) / NS_PER_US);
  timings.denoise_steps = task->steps_done;
  timings.decode_us = task->decode_us;
  char id[sizeof task->id];
  memcpy(id, task->id, sizeof id);
  uint64_t fence = task->fence;
  task_drop(engine, task);
  engine->listener.finished(engine->listener.context, id, fence, &timings);
}

static void deliver(struct engine *engine, struct sample *sample, const uint8_t *rgb) {
  struct task *task = sample->task;
  const struct stage *stage = sample_stage(sample);
  const struct engine_picture picture = {.id = task->id,
                                         .fence = task->fence,
                                         .seed = task->seed + sample->index,
                                         .index = sample->index,
                                         .width = (uint32_t)stage->width,
                                         .height = (uint32_t)stage->height,
                                         .rgb = rgb};
  engine->listener.pixels(engine->listener.context, &picture);
  task->images_done++;
  image_end(engine, sample);
  if (task->images_done == task->images) {
    finish_task(engine, task);
  }
}

/* The job's picture, or one that goes on at another size. */
static enum status use(struct engine *engine, struct sample *sample, const uint8_t *rgb) {
  if (!sample_ended(sample)) {
    return handover_picture(engine, sample, rgb);
  }
  deliver(engine, sample, rgb);
  return OK;
}

/* Never delivered as it is: decoded once more, or the job fails. */
static enum status mend(struct engine *engine, struct sample *sample, struct flight *flight,
                        const char *what) {
  struct task *task = sample->task;
  int64_t began = clock_ns();
  enum status status = second_look(engine, sample, flight->rgb);
  if (status == BROKEN) {
    return BROKEN;
  }
  task->decode_us += (uint64_t)((clock_ns() - began) / NS_PER_US);
  if (status == OK) {
    log_warning("decoded_again", log_text("job", task->id),
                log_text("model", sample_stage(sample)->resident->id), log_text("reason", what));
    return use(engine, sample, flight->rgb);
  }
  char reason[FAIL_REASON_MAX];
  snprintf(reason, sizeof reason, "%s; not decoded again in f32: %.400s", what, fail_reason());
  task_fail(engine, task, DARKROOM__V1__FAIL_KIND__FAIL_RETRY,
            DARKROOM__V1__ERROR_CODE__ERROR_NUMERIC, reason);
  return OK;
}

enum status decodes_read(struct engine *engine, struct sample *sample, struct flight *flight,
                         uint64_t took_us) {
  sample->task->decode_us += took_us;
  if (tiles_are(&flight->work) && !tiles_landed(engine, sample, took_us)) {
    return OK;
  }
  if (flight->finite[0] == 0) {
    return mend(engine, sample, flight, "the picture is not finite");
  }
  if (picture_is_flat(flight->rgb, sample_stage(sample))) {
    return mend(engine, sample, flight, "the picture is of a single colour");
  }
  return use(engine, sample, flight->rgb);
}
