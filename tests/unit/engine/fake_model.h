/* fake_model.h - worker/model/model.h as a little arithmetic on "ref", with knobs for what goes
 * wrong. Defined in the test program itself, so that the real model is not linked. */
#ifndef DARKROOM_TESTS_UNIT_ENGINE_FAKE_MODEL_H
#define DARKROOM_TESTS_UNIT_ENGINE_FAKE_MODEL_H

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "tests/unit/engine/fake_adapters.h"
#include "tests/unit/engine/fake_control.h"
#include "tests/unit/engine/fake_knobs.h"
#include "worker/model/model.h"

struct model {
  struct device *device;
  struct family family;
};

static inline enum status fake_open(struct device *device, const struct model_source *source,
                                    struct model **out) {
  static struct model models[MODELS_MAX];
  if (strcmp(source->folder, "broken") == 0) {
    return fail_field(BAD_INPUT, "weights", "the fake folder is broken");
  }
  struct model *model = &models[fake.opened++ % MODELS_MAX];
  *model = (struct model){.device = device};
  model->family = (struct family){.row = &families[0], .scale_factor = fake_factor()};
  bool fills = strcmp(source->folder, "fills") == 0; /* is told of masks */
  model->family.unet =
      (struct unet_facts){.in_channels = fills ? 9 : 4, .out_channels = 4, .sample_side = 8};
  model->family.vae = (struct vae_facts){.latent_channels = 4};
  model->family.noise = (struct noise_facts){.train_timesteps = 1000,
                                             .beta_start = 0.00085,
                                             .beta_end = 0.012,
                                             .final_alpha = FINAL_ALPHA_ONE};
  model->family.noise.beta_schedule = BETAS_SCALED_LINEAR;
  *out = model;
  return OK;
}

enum status model_open(struct device *device, const struct model_source *source,
                       struct model **out) {
  return fake_open(device, source, out);
}

void model_close(struct model **model) { *model = NULL; }
const struct family *model_family(const struct model *model) { return &model->family; }
size_t model_bytes(const struct model *model) {
  return fake.weight_bytes != 0 ? fake.weight_bytes : sizeof *model;
}
enum status model_predict(struct model *model, struct arena *turn, const struct predict *predict) {
  struct arena_mark mark = arena_mark(turn);
  int rows = (int)predict->input.shape[0];
  int64_t cells = predict->input.shape[1] * predict->input.shape[2];
  int64_t count = tensor_count(&predict->prediction) / rows, channels = predict->input.shape[3];
  TRY(fake.predict_status == OK ? OK : fail(fake.predict_status, "told to fail"));
  TRY(fake.rows_fit == 0 || rows <= fake.rows_fit ? OK : fail(EXHAUSTED, "%d rows", rows));
  if (arena_take(turn, model_predict_bytes(model, rows, (int)predict->input.shape[1],
                                           (int)predict->input.shape[2])) == NULL) {
    return EXHAUSTED;
  }
  clock_move((fake.row_ms + fake.net_ms * predict->control_count) * rows);
  fake.rows[fake.calls % FAKE_CALLS_MAX] = rows;
  fake.nets[fake.calls % FAKE_CALLS_MAX] = predict->control_count;
  fake.models[fake.calls % FAKE_CALLS_MAX] = model;
  fake.cells[fake.calls++ % FAKE_CALLS_MAX] = cells;
  for (int b = 0; b < rows; b++) {
    const struct batch_row *row = &predict->rows[b];
    const float *embedding = row->context;
    const float *inputs = (const float *)predict->input.data + b * cells * channels;
    float *y = (float *)predict->prediction.data + b * count;
    fake.timesteps[b] = row->timestep;
    fake.conditionings[b] = embedding[0];
    for (int64_t i = 0; i < count; i++) {
      const float *x = &inputs[i / 4 * channels + i % 4];
      y[i] = tanhf(*x * (0.5f + embedding[0])) + row->timestep / 2000.0f + (float)i / (float)count;
      y[i] += channels == 9 ? 0.2f * x[4 - i % 4] + 0.3f * x[5] : 0.0f; /* mask, masked latents */
      y[i] += fake_controlled(predict, b, i / 4);
      y[i] += fake_adapted(row, predict->merged);
      y[i] += fake.restless ? (float)fake.calls * 0.01f : 0.0f;
      y[i] = embedding[2] > 0.0f ? 1000.0f : y[i];
      y[i] = embedding[1] > 0.0f && row->timestep < 500.0f ? INFINITY : y[i];
    }
  }
  arena_release(turn, mark);
  return OK;
}

size_t model_predict_bytes(const struct model *model, int rows, int height, int width) {
  (void)model;
  return fake.predict_bytes_of_row * (size_t)rows * (size_t)height * (size_t)width;
}

float model_decode_scale(const struct model *model) {
  (void)model;
  return 1.0f;
}

/* Of latents: what a decode writes. */
static void fake_picture(const struct model *model, const struct decode *decode,
                         const float *latents) {
  const struct tensor *pixels = &decode->pixels;
  int64_t factor = model->family.scale_factor, width = pixels->shape[1] / factor;
  *(int32_t *)decode->finite.data = fake.overflows ? 0 : 1;
  for (int64_t i = 0; i < tensor_count(pixels); i++) {
    int64_t y = i / 3 / (width * factor) / factor, x = i / 3 % (width * factor) / factor;
    float value = latents[(y * width + x) * 4 + i % 3];
    ((uint8_t *)pixels->data)[i] =
        (uint8_t)lrintf(fminf(fmaxf(value * 40.0f + (fake.skewed ? 90.0f : 128.0f), 0.0f), 255.0f));
  }
}

enum status model_decode(struct model *model, struct arena *turn, const struct decode *decode) {
  const struct tensor *pixels = &decode->pixels;
  int64_t factor = model->family.scale_factor, width = pixels->shape[1] / factor;
  size_t scratch = model_decode_bytes(model, (int)(pixels->shape[0] / factor), (int)width);
  TRY(arena_take(turn, scratch) != NULL ? OK : EXHAUSTED); /* the engine releases its mark */
  fake.decoded++;
  clock_move(fake.decode_ms);
  fake.expected_us = fake.pulse != NULL ? fake.pulse->expected_us : 0;
  fake_picture(model, decode, decode->row->latents);
  return OK;
}

size_t model_decode_bytes(const struct model *model, int height, int width) {
  (void)model;
  return (size_t)(height * width) * (fake.decode_bytes != 0 ? fake.decode_bytes : 64);
}

#include "tests/unit/engine/fake_condition.h"
#include "tests/unit/engine/fake_exact.h"
#include "tests/unit/engine/fake_loads.h"
#include "tests/unit/engine/fake_tiles.h"
#include "tests/unit/engine/fake_tiny.h"

#endif
