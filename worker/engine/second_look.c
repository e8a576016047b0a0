/* second_look.c - rare, so it takes its time: the host waits for the device. */
#include "worker/engine/second_look.h"

#include "kernels/queue.h"
#include "worker/engine/picture.h"

#define ALIGNMENT 64 /* the arena's */

static enum status decode(struct engine *engine, const struct sample *sample, struct arena *memory,
                          uint8_t *rgb) {
  struct device *device = engine->settings.device;
  struct decode decode;
  int32_t finite = 0;
  struct model *model = sample_stage(sample)->resident->model;
  TRY(picture_places(device, memory, sample, model_decode_scale(model), &decode));
  TRY(model_decode_exact(model, memory, &decode));
  TRY(device_get(device, &decode.finite, &finite, sizeof finite));
  TRY(device_get(device, &decode.pixels, rgb, tensor_bytes(&decode.pixels)));
  return finite == 0 ? fail_field(BAD_INPUT, "numeric", "the picture is not finite")
         : picture_is_flat(rgb, sample_stage(sample))
             ? fail_field(BAD_INPUT, "numeric", "the picture is of a single colour")
             : OK;
}

enum status second_look(struct engine *engine, const struct sample *sample, uint8_t *rgb) {
  const struct stage *stage = sample_stage(sample);
  struct device *device = engine->settings.device;
  const struct model *model = stage->resident->model;
  if (stage->tiny == NULL && model_decodes_exactly(model)) {
    return fail_field(BAD_INPUT, "numeric", "the decoder runs in f32 already");
  }
  size_t scratch =
      budget_sum(model_decode_exact_bytes(model, stage->latent_height, stage->latent_width),
                 picture_bytes(stage) + 5 * ALIGNMENT) /
      ALIGNMENT * ALIGNMENT;
  size_t bytes = budget_sum(scratch, model_exact_weight_bytes(model));
  struct arena *memory = NULL;
  TRY(conditionings_make_room(engine->conditionings, bytes));
  enum status status = device_block(device, scratch, &memory); /* what was promised */
  if (status == OK) {
    device_use(device, QUEUE_DECODES);
    status = decode(engine, sample, memory, rgb);
    status = device_wait(device) == BROKEN ? BROKEN : status;
    device_use(device, QUEUE_STEPS);
  }
  arena_close(&memory);
  budget_give(&engine->budget, bytes);
  return status;
}
