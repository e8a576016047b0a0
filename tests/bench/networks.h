/* networks.h - a model of random weights opened for a bench, and one call of its U-Net or decoder
 * at its own size. */
#ifndef DARKROOM_TESTS_BENCH_NETWORKS_H
#define DARKROOM_TESTS_BENCH_NETWORKS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernels/backend.h"
#include "tests/bench/sd15_folder.h"
#include "tests/cases/device_rows.h"
#include "tests/unit/model/fake_weights.h"
#include "worker/model/model.h"

#define ROWS 2 /* of a U-Net call: guidance */
#define PROMPT "a mountain landscape with a lake at sunset"
#define ARENA_BYTES ((size_t)64 << 30)

#define CHECK(call)                                  \
  do {                                               \
    if ((call) != OK) {                              \
      fprintf(stderr, "bench: %s\n", fail_reason()); \
      exit(1);                                       \
    }                                                \
  } while (0)

struct bench {
  const char *name;
  struct device *device;
  struct arena *keep, *turn;
  struct model *model;
  int side;       /* latent cells */
  double mean_ms; /* of what was measured last, comparable with the sum of its ops */
};

/* Of all threads of the process. */
static inline int64_t processor_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static inline void networks_open(struct bench *bench, const char *folder, int threads) {
  const struct device_settings settings = {.threads = threads};
  const struct model_source source = {.folder = folder};
  CHECK(device_open("cpu", &settings, &bench->device));
  CHECK(device_arena(bench->device, ARENA_BYTES, &bench->keep));
  CHECK(device_arena(bench->device, ARENA_BYTES, &bench->turn));
  CHECK(model_open(bench->device, &source, &bench->model));
  bench->side = model_family(bench->model)->unet.sample_side;
}

static inline void networks_close(struct bench *bench) {
  model_close(&bench->model);
  arena_close(&bench->keep);
  arena_close(&bench->turn);
  device_close(&bench->device);
}

static inline enum status condition(struct bench *bench, void *what) {
  const struct condition condition = {.prompt = PROMPT};
  arena_drop(bench->keep);
  return model_condition(bench->model, bench->keep, bench->turn, &condition, what, NULL);
}

static inline enum status predict(struct bench *bench, void *what) {
  return model_predict(bench->model, bench->turn, what);
}

static inline enum status decode(struct bench *bench, void *what) {
  return model_decode(bench->model, bench->turn, what);
}

/* Values that look like noise, in any type. */
static inline void fill(struct bench *bench, const struct tensor *tensor) {
  size_t count = (size_t)tensor_count(tensor);
  float *wide = malloc(count * sizeof *wide);
  uint16_t *narrow = malloc(count * sizeof *narrow);
  for (size_t i = 0; i < count; i++) {
    wide[i] = (float)(i * 7919 % 2000) / 1000 - 1;
    narrow[i] = f32_to_bf16(wide[i]);
  }
  CHECK(device_put(bench->device, tensor->element == ELEMENT_F32 ? (void *)wide : (void *)narrow,
                   tensor_bytes(tensor), tensor));
  free(wide);
  free(narrow);
}

static inline void make_predict(struct bench *bench, const struct conditioning *conditioning,
                                struct predict *call) {
  const struct conditioning *conditionings[ROWS] = {conditioning, conditioning};
  const int channels = model_family(bench->model)->unet.in_channels;
  memset(call, 0, sizeof *call);
  CHECK(device_prompt_rows(bench->device, bench->keep, (float[ROWS]){500, 500}, conditionings, ROWS,
                           &call->rows));
  CHECK(tensor_take(bench->keep, device_element(bench->device),
                    TENSOR_SHAPE(ROWS, bench->side, bench->side, channels), &call->input));
  CHECK(tensor_take(bench->keep, ELEMENT_F32,
                    TENSOR_SHAPE(ROWS, bench->side, bench->side, channels), &call->prediction));
  fill(bench, &call->input);
}

static inline void make_decode(struct bench *bench, struct decode *call) {
  struct tensor latents, picture;
  const struct family *family = model_family(bench->model);
  int64_t side = bench->side, pixels = side * family->scale_factor;
  CHECK(tensor_take(bench->keep, ELEMENT_F32, TENSOR_SHAPE(side, side, family->vae.latent_channels),
                    &latents));
  CHECK(tensor_take(bench->keep, ELEMENT_U8, TENSOR_SHAPE(pixels, pixels, 3), &picture));
  fill(bench, &latents);
  CHECK(device_decode(bench->device, bench->keep, bench->model, &latents, &picture, call));
}

#endif
