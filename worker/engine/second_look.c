/* second_look.c - rare, so it takes its time: the host waits for the device. */
#include "worker/engine/second_look.h"

#include <string.h>

#include "kernels/queue.h"

#define ALIGNMENT 64 /* the arena's */

bool picture_is_flat(const uint8_t *rgb, const struct task *task) {
  size_t bytes = (size_t)task->width * (size_t)task->height * 3;
  return bytes > 3 && memcmp(rgb, rgb + 3, bytes - 3) == 0;
}

static size_t pixel_bytes(const struct task *task) {
  return (size_t)task->width * (size_t)task->height * 3;
}

static enum status take_places(struct engine *engine, const struct sample *sample,
                               struct arena *memory, struct decode *out) {
  const struct task *task = sample->task;
  const struct batch_row row = {.latents = sample->latents.data,
                                .scale = model_decode_scale(task->resident->model)};
  struct tensor told;
  TRY(tensor_take(memory, ELEMENT_U8, TENSOR_SHAPE((int64_t)sizeof row), &told));
  TRY(tensor_take(memory, ELEMENT_I32, TENSOR_SHAPE(1), &out->finite));
  TRY(tensor_take(memory, ELEMENT_U8, TENSOR_SHAPE(task->height, task->width, 3), &out->pixels));
  out->row = told.data;
  return device_put(engine->settings.device, &row, sizeof row, &told);
}

static enum status decode(struct engine *engine, const struct sample *sample, struct arena *memory,
                          uint8_t *rgb) {
  struct device *device = engine->settings.device;
  struct decode decode;
  int32_t finite = 0;
  TRY(take_places(engine, sample, memory, &decode));
  TRY(model_decode_exact(sample->task->resident->model, memory, &decode));
  TRY(device_get(device, &decode.finite, &finite, sizeof finite));
  TRY(device_get(device, &decode.pixels, rgb, tensor_bytes(&decode.pixels)));
  return finite == 0 ? fail_field(BAD_INPUT, "numeric", "the picture is not finite")
         : picture_is_flat(rgb, sample->task)
             ? fail_field(BAD_INPUT, "numeric", "the picture is of a single colour")
             : OK;
}

/* In one block: what was promised. */
static enum status open_block(struct device *device, size_t bytes, struct arena **out) {
  struct arena *arena = NULL;
  TRY(device_arena(device, bytes, &arena));
  if (arena_take(arena, bytes) == NULL) {
    arena_close(&arena);
    return EXHAUSTED;
  }
  arena_drop(arena);
  *out = arena;
  return OK;
}

enum status second_look(struct engine *engine, const struct sample *sample, uint8_t *rgb) {
  const struct task *task = sample->task;
  struct device *device = engine->settings.device;
  const struct model *model = task->resident->model;
  if (model_decodes_exactly(model)) {
    return fail_field(BAD_INPUT, "numeric", "the decoder runs in f32 already");
  }
  size_t scratch =
      budget_sum(model_decode_exact_bytes(model, task->latent_height, task->latent_width),
                 pixel_bytes(task) + 5 * ALIGNMENT) /
      ALIGNMENT * ALIGNMENT;
  size_t bytes = budget_sum(scratch, model_exact_weight_bytes(model));
  struct arena *memory = NULL;
  TRY(conditionings_make_room(engine->conditionings, bytes));
  enum status status = open_block(device, scratch, &memory);
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
