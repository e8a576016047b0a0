/* picture_input.c - the op that takes latents to activations takes pictures, too. */
#include "worker/model/picture_input.h"

enum status picture_input(const struct pass *pass, const struct tensor *image, struct tensor *out) {
  const struct batch_row row = {.latents = image->data, .scale = 1};
  int64_t channels = image->shape[2];
  struct tensor rows, picture;
  TRY(pass_take(pass, TENSOR_SHAPE(1, image->shape[0], image->shape[1], channels), &picture));
  TRY(pass_take_as(pass, ELEMENT_U8, TENSOR_SHAPE((int64_t)sizeof row), &rows));
  if (!pass->dry) {
    TRY(device_put(pass->device, &row, sizeof row, &rows));
    TRY(op_gather(pass->device, rows.data, channels, &picture));
  }
  *out = picture;
  return OK;
}
