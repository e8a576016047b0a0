/* fake_control.h - control nets as a little arithmetic: a net adds its first scale times its hint
 * to the model's output, and a number of the prompt. */
#ifndef DARKROOM_TESTS_UNIT_ENGINE_FAKE_CONTROL_H
#define DARKROOM_TESTS_UNIT_ENGINE_FAKE_CONTROL_H

#include <stdlib.h>

#include "tests/unit/engine/fake_knobs.h"
#include "worker/model/control.h"
#include "worker/model/model.h"

struct control {
  float weight;
};

enum status control_open(struct device *device, const struct model_source *source,
                         const struct family *family, struct control **out) {
  (void)device, (void)family;
  if (strcmp(source->folder, "strange") == 0) {
    return fail_field(BAD_INPUT, "control", "a net of another family");
  }
  struct control *net = calloc(1, sizeof *net);
  net->weight = strcmp(source->folder, "lines") == 0 ? 0.05f : -0.03f;
  *out = net;
  return OK;
}
void control_close(struct control **control) {
  free(*control);
  *control = NULL;
}
enum status control_fits(const struct control *control, const struct family *family) {
  (void)control;
  return family->unet.in_channels == 4 ? OK : fail_field(BAD_INPUT, "control", "not this one");
}
void control_scales(const struct control *control, double scale, bool guess, float *out) {
  (void)control;
  out[0] = (float)(guess ? scale / 10 : scale);
}
enum status control_condition(struct control *control, struct arena *keep, struct arena *turn,
                              const struct conditioning *of, struct conditioning *out) {
  (void)turn;
  fake.net_conditioned++;
  TRY(tensor_take(keep, ELEMENT_F32, TENSOR_SHAPE(1, FAKE_WIDTH), &out->embedding));
  ((float *)out->embedding.data)[0] = ((float *)of->embedding.data)[0] * control->weight;
  return OK;
}
size_t control_condition_bytes(const struct control *control, int tokens) {
  (void)control, (void)tokens;
  return 64;
}
size_t control_condition_scratch_bytes(const struct control *control) {
  (void)control;
  return 64;
}
enum status control_hint(struct control *control, struct arena *turn, const struct tensor *image,
                         const struct tensor *hint) {
  float *y = hint->data;
  const float *x = image->data;
  int64_t width = hint->shape[1], factor = image->shape[0] / hint->shape[0];
  fake.hints++;
  fake.hint_cells = hint->shape[0] * width;
  TRY(fake.hint_fails == 0 || --fake.hint_fails > 0 ? OK : fail(EXHAUSTED, "told to"));
  TRY(arena_take(turn, 64) != NULL ? OK : EXHAUSTED);
  for (int64_t i = 0; i < hint->shape[0] * width; i++) {
    y[i] = control->weight * x[(i / width * factor * factor * width + i % width * factor) * 3];
  }
  return OK;
}
int64_t control_hint_channels(const struct control *control) {
  (void)control;
  return 1;
}
int control_hint_factor(const struct control *control) {
  (void)control;
  return fake_factor();
}
size_t control_hint_bytes(const struct control *control, int height, int width) {
  (void)control;
  return 64 + (size_t)(height * width) * 0;
}
size_t control_run_bytes(const struct control *control, int rows, int height, int width) {
  (void)control;
  return (size_t)(rows * height * width) * 4;
}

/* What the nets of a call add to a cell of a row. */
static inline float fake_controlled(const struct predict *predict, int row, int64_t cell) {
  float sum = 0;
  for (int i = 0; i < predict->control_count; i++) {
    const struct predict_control *control = &predict->control[i];
    const float *hint = control->controls[row].hint, *context = control->rows[row].context;
    sum += control->controls[row].scale[0] * (hint[cell] + context[0]);
  }
  return sum;
}

#endif
