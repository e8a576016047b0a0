/* fake_weights.h - weights of any size without files: takes the place of worker/model/weights.c in
 * a program that includes it (a program's own functions win over a library's).
 *
 * Every tensor is a view of the same block of values; what was asked for is written down.
 */
#ifndef DARKROOM_TESTS_UNIT_MODEL_FAKE_WEIGHTS_H
#define DARKROOM_TESTS_UNIT_MODEL_FAKE_WEIGHTS_H

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "worker/model/weights.h"

#define FAKE_VALUES_MAX ((size_t)64 * 1024 * 1024) /* the largest tensor: 49408 * 768 */
#define FAKE_LINES_BYTES_MAX ((size_t)1024 * 1024)

/* What a network has asked for since fake_weights_start. */
static struct fake_weights {
  uint16_t *values; /* bf16, uniform in +-0.03 */
  uint16_t *ones;   /* of norms */
  int tensors;
  int64_t count;
  struct bytes lines;     /* "NAME [SHAPE]\n" */
  bool linear_projection; /* SD 2 and XL: transformers' projections are no convolutions */
  bool encoder;           /* the VAE's is there */
} fake;

static void fake_weights_start(void) {
  if (fake.values == NULL) {
    fake.values = malloc(FAKE_VALUES_MAX * sizeof *fake.values);
    fake.ones = malloc(FAKE_VALUES_MAX / 64 * sizeof *fake.ones);
    assert(fake.values != NULL && fake.ones != NULL);
    uint32_t random = 12345;
    for (size_t i = 0; i < FAKE_VALUES_MAX; i++) {
      random = random * 1664525 + 1013904223;
      fake.values[i] = f32_to_bf16(((float)(random >> 8) / 8388608.0f - 1) * 0.03f);
    }
    for (size_t i = 0; i < FAKE_VALUES_MAX / 64; i++) {
      fake.ones[i] = f32_to_bf16(1);
    }
    bytes_open(&fake.lines, FAKE_LINES_BYTES_MAX);
  }
  fake.tensors = 0;
  fake.count = 0;
  bytes_clear(&fake.lines);
}

static void fake_weights_free(void) {
  free(fake.values);
  free(fake.ones);
  bytes_close(&fake.lines);
  fake = (struct fake_weights){0};
}

static bool fake_ends(const char *name, const char *ending) {
  return strlen(name) >= strlen(ending) &&
         strcmp(name + strlen(name) - strlen(ending), ending) == 0;
}

enum status weights_take(struct weights *weights, const char *name, int rank, const int64_t *shape,
                         struct tensor *out) {
  (void)weights;
  *out = (struct tensor){.element = ELEMENT_BF16, .rank = rank, .shape = {1, 1, 1, 1}};
  memcpy(out->shape, shape, (size_t)rank * sizeof *shape);
  out->data = rank == 1 && fake_ends(name, ".weight") ? fake.ones : fake.values;
  assert(tensor_count(out) <= (int64_t)FAKE_VALUES_MAX);
  fake.tensors++;
  fake.count += tensor_count(out);
  TRY(bytes_printf(&fake.lines, "%s [", name));
  for (int i = 0; i < rank; i++) {
    TRY(bytes_printf(&fake.lines, i > 0 ? ", %lld" : "%lld", (long long)shape[i]));
  }
  return bytes_append_text(&fake.lines, "]\n");
}

/* 1x1 convolutions; the first two are linear layers in later models. */
int weights_rank(const struct weights *weights, const char *name) {
  static const char *const convolutions[] = {".proj_in.weight", ".proj_out.weight",
                                             ".conv_shortcut.weight", "quant_conv.weight"};
  (void)weights;
  size_t first = fake.linear_projection ? 2 : 0;
  for (size_t i = first; i < sizeof convolutions / sizeof *convolutions; i++) {
    if (fake_ends(name, convolutions[i])) {
      return 4;
    }
  }
  return 2;
}

/* Present-day names, except for the prefix that is about to go. */
bool weights_has(const struct weights *weights, const char *name) {
  (void)weights;
  if (strcmp(name, "encoder.conv_in.weight") == 0) {
    return fake.encoder;
  }
  return strncmp(name, "text_model.", strlen("text_model.")) == 0;
}

enum status weights_open_network(struct checkpoint *checkpoint, enum network network,
                                 struct weights **out) {
  (void)checkpoint;
  (void)network;
  *out = NULL;
  return OK;
}
void weights_close(struct weights **weights) { *weights = NULL; }
/* Of a folder the configs say all sides. */
int64_t weights_side(const struct weights *weights, const char *name, int axis) {
  (void)weights;
  (void)name;
  (void)axis;
  return 0;
}
void weights_give_back(struct weights *weights) { (void)weights; }
void weights_skip(struct weights *weights, const char *prefix) {
  (void)weights;
  (void)prefix;
}
enum status weights_all_used(const struct weights *weights) {
  (void)weights;
  return OK;
}

#endif
