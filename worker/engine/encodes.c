/* encodes.c - pixels go to the device as numbers, latents come back. */
#include "worker/engine/encodes.h"

#include <math.h>

#include "worker/engine/admission.h"
#include "worker/engine/beginning.h"
#include "worker/engine/masks.h"
#include "worker/engine/memory.h"
#include "worker/engine/tiles.h"

/* Rows of pixels that are converted at a time, as many as fit into a piece of the room. */
static int rows_at_once(const struct stage *stage) {
  size_t row = (size_t)stage->width * 3 * sizeof(float);
  int rows = (int)(latent_bytes(stage) / row);
  return rows > 0 ? rows : 1;
}

/* One pixel row as numbers from -1 to 1; what a mask covers is 0, the middle, as diffusers has it.
 */
static void convert_row(const struct sample *sample, int y, bool masked, float *out) {
  const struct stage *stage = sample_stage(sample);
  const uint8_t *rgb = sample_picture(sample) + (size_t)y * (size_t)stage->width * 3;
  for (int x = 0; x < stage->width; x++) {
    bool covered = masked && mask_covers(sample_mask_at(sample, y, x));
    for (int c = 0; c < 3; c++) {
      *out++ = covered ? 0.0f : 2.0f * ((float)*rgb / 255.0f) - 1.0f;
      rgb++;
    }
  }
}

static enum status put_picture(struct engine *engine, const struct sample *sample,
                               const struct tensor *image) {
  const struct stage *stage = sample_stage(sample);
  bool masked = sample->encode == ENCODE_MASKED;
  int most = rows_at_once(stage);
  for (int y = 0; y < stage->height; y += most) {
    int rows = stage->height - y < most ? stage->height - y : most;
    for (int i = 0; i < rows; i++) {
      convert_row(sample, y + i, masked,
                  engine->room.values + (size_t)i * (size_t)stage->width * 3);
    }
    struct tensor part = tensor_rows(image, y, rows);
    TRY(device_put(engine->settings.device, engine->room.values, tensor_bytes(&part), &part));
  }
  return OK;
}

static enum status take_places(struct arena *scratch, const struct stage *stage,
                               struct encode *out) {
  int64_t shape[] = {stage->latent_height, stage->latent_width, latent_channels(stage)};
  TRY(tensor_take(scratch, ELEMENT_F32, TENSOR_SHAPE(stage->height, stage->width, 3), &out->image));
  TRY(tensor_take(scratch, ELEMENT_F32, 3, shape, &out->noise));
  return tensor_take(scratch, ELEMENT_F32, 3, shape, &out->latents);
}

/* What is encoded, and with which noise. */
static enum status put_inputs(struct engine *engine, struct sample *sample,
                              const struct encode *encode) {
  TRY(put_picture(engine, sample, &encode->image));
  sample_draw(sample, &engine->room);
  return device_put(engine->settings.device, engine->room.values, tensor_bytes(&encode->noise),
                    &encode->noise);
}

static enum status receive(struct engine *engine, const struct encode *encode,
                           struct flight *flight) {
  return device_receive(engine->settings.device, &encode->latents, flight->rgb,
                        tensor_bytes(&encode->latents));
}

static enum status run(struct engine *engine, struct sample *sample, struct arena *scratch,
                       struct flight *flight) {
  struct encode encode;
  TRY(take_places(scratch, sample_stage(sample), &encode));
  TRY(put_inputs(engine, sample, &encode));
  TRY(model_encode(sample_stage(sample)->resident->model, scratch, &encode));
  return receive(engine, &encode, flight);
}

static enum status run_once(struct engine *engine, struct sample *sample, struct flight *flight) {
  struct arena *scratch = scratch_of(engine, QUEUE_DECODES);
  struct arena_mark mark = arena_mark(scratch);
  enum status status = run(engine, sample, scratch, flight);
  arena_release(scratch, mark);
  return status;
}

/* Some tiles of a sample's picture. */
struct tiling {
  struct engine *engine;
  struct sample *sample;
  struct flight *flight;
};

/* The block is the sample's until the last has been queued. */
static enum status queue_tiles(void *context, struct arena *block, int64_t first, int64_t count) {
  const struct tiling *tiling = context;
  const struct stage *stage = sample_stage(tiling->sample);
  struct encode encode;
  TRY(take_places(block, stage, &encode));
  if (first == 0) {
    TRY(put_inputs(tiling->engine, tiling->sample, &encode));
  }
  TRY(model_encode_turn(stage->resident->model, block, &encode, first, count));
  return first + count == stage->encode_turns ? receive(tiling->engine, &encode, tiling->flight)
                                              : OK;
}

enum status encodes_run(struct engine *engine, struct sample *sample, struct flight *flight) {
  struct tiling tiling = {engine, sample, flight};
  return sample_in_tiles(sample)
             ? tiles_run(engine, sample, &flight->work, &(struct tiles_call){queue_tiles, &tiling})
             : run_once(engine, sample, flight);
}

static bool all_finite(const float *values, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (!isfinite(values[i])) {
      return false;
    }
  }
  return true;
}

enum status encodes_read(struct engine *engine, struct sample *sample, struct flight *flight,
                         uint64_t took_us) {
  const float *latents = (const float *)(const void *)flight->rgb; /* pinned: aligned for any */
  size_t count = latent_bytes(sample_stage(sample)) / sizeof(float);
  sample->task->encode_us += took_us;
  if (tiles_are(&flight->work) && !tiles_landed(engine, sample, took_us)) {
    return OK;
  }
  if (!all_finite(latents, count)) {
    task_fail(engine, sample->task, DARKROOM__V1__FAIL_KIND__FAIL_RETRY,
              DARKROOM__V1__ERROR_CODE__ERROR_NUMERIC, "the encoded image is not finite");
    return OK;
  }
  enum status status = beginning_encoded(sample, engine->settings.device, &engine->room, latents);
  return status == OK || status == BROKEN ? status : task_fail_queued(engine, sample->task, status);
}
