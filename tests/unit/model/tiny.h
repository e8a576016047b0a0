/* tiny.h - what the tests of models share: the tiny models, a device. */
#ifndef DARKROOM_TESTS_UNIT_MODEL_TINY_H
#define DARKROOM_TESTS_UNIT_MODEL_TINY_H

#include "base/bytes.h"
#include "worker/model/config.h"
#include "worker/model/model.h"
#include "worker/model/safetensors.h"
/* with cmocka.h, so behind the others */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/model/asserts.h"
#include "tests/unit/model/goldens.h"

#define TINY_FIXTURES "build/fixtures"
#define TINY_ARENA_BYTES ((size_t)256 * 1024 * 1024)

/* Runs a shell command and asserts that it succeeds. */
static inline void tiny_shell(const char *command) {
  FILE *output = popen(command, "r");
  char line[256];
  assert_non_null(output);
  while (fgets(line, sizeof line, output) != NULL) {
    print_message("%s", line);
  }
  assert_int_equal(pclose(output), 0);
}

/* Folder of a tiny model; models/fixtures.py makes them once, moved into place whole, also in place
 * of those that an older edition made. */
static inline const char *tiny_folder(const char *model) {
  static char path[256];
  snprintf(path, sizeof path, TINY_FIXTURES "/%s", model);
  if (access(path, R_OK) != 0) {
    char command[512];
    snprintf(command, sizeof command,
             "own=" TINY_FIXTURES ".%d; python3 models/fixtures.py $own && { test -e " TINY_FIXTURES
             "/%s || mv -T " TINY_FIXTURES " $own.old; mv -T $own " TINY_FIXTURES
             "; rm -rf $own $own.old; } 2> /dev/null",
             getpid(), model);
    tiny_shell(command);
  }
  return path;
}

/* A device ("ref", "cpu", "cpu in f32") with two arenas and a tiny model on it. */
struct tiny {
  struct device *device;
  struct arena *keep, *turn;
  struct model *model;
};
static inline void tiny_open_folder(struct tiny *tiny, const char *device, const char *folder) {
  struct device_settings settings = {.threads = 2, .force_f32 = strstr(device, "f32") != NULL};
  struct model_source source = {.folder = folder};
  assert_ok(device_open(strstr(device, "cpu") != NULL ? "cpu" : device, &settings, &tiny->device));
  assert_ok(device_arena(tiny->device, TINY_ARENA_BYTES, &tiny->keep));
  assert_ok(device_arena(tiny->device, TINY_ARENA_BYTES, &tiny->turn));
  assert_ok(model_open(tiny->device, &source, &tiny->model));
}
static inline void tiny_open(struct tiny *tiny, const char *device, const char *model) {
  tiny_open_folder(tiny, device, tiny_folder(model));
}
static inline void tiny_close(struct tiny *tiny) {
  model_close(&tiny->model);
  arena_close(&tiny->keep);
  arena_close(&tiny->turn);
  device_close(&tiny->device);
}

/* Host values to the device, as rows [B, H, W, C] from torch's [B, C, H, W]. */
static inline void tiny_put(struct tiny *tiny, const float *planes, struct tensor *out) {
  int64_t rows = out->shape[0], pixels = out->shape[1] * out->shape[2], channels = out->shape[3];
  struct tensor host;
  struct arena *heap = NULL;
  assert_ok(arena_open(NULL, TINY_ARENA_BYTES, &heap));
  assert_ok(tensor_take(heap, out->element, out->rank, out->shape, &host));
  for (int64_t i = 0; i < rows * pixels * channels; i++) {
    int64_t b = i / (pixels * channels), p = i / channels % pixels, c = i % channels;
    float value = planes[(b * channels + c) * pixels + p];
    if (out->element == ELEMENT_F32) {
      ((float *)host.data)[i] = value;
    } else {
      ((uint16_t *)host.data)[i] = f32_to_bf16(value);
    }
  }
  assert_ok(device_put(tiny->device, host.data, tensor_bytes(&host), out));
  arena_close(&heap);
}

/* Largest difference over the largest value of `want`; `got` lies as [B, H, W, C], want as [B, C,
 * H, W]. */
static inline double tiny_difference(const float *got, const float *want, const int64_t *nhwc) {
  int64_t pixels = nhwc[1] * nhwc[2], channels = nhwc[3];
  double worst = 0, largest = 0;
  for (int64_t i = 0; i < nhwc[0] * pixels * channels; i++) {
    int64_t b = i / (pixels * channels), p = i / channels % pixels, c = i % channels;
    double w = want[(b * channels + c) * pixels + p], d = got[i] - w;
    worst = d > worst || -d > worst ? (d < 0 ? -d : d) : worst;
    largest = w > largest || -w > largest ? (w < 0 ? -w : w) : largest;
  }
  return worst / largest;
}

#endif
