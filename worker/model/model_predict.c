/* model_predict.c - one U-Net call. */
#include <assert.h>

#include "worker/model/model_inside.h"

enum status model_predict(struct model *model, struct arena *turn, const struct predict *predict) {
  const struct tensor *input = &predict->input;
  assert(input->rank == 4 && input->shape[0] <= BATCH_ROWS_MAX);
  assert(input->shape[3] == model->family.unet.in_channels);
  struct arena_mark mark = arena_mark(turn);
  struct pass pass = model_pass(model, turn, PRECISION_FAST);
  pass.merged = predict->merged;
  pass.adapted = predict->adapted ? predict->rows : NULL;
  enum status status = unet_run(&pass, &model->unet, predict);
  arena_release(turn, mark);
  return status;
}

static enum status predict_dry(const struct pass *pass, const struct model *model,
                               const struct tensor *input) {
  return unet_run(pass, &model->unet, &(struct predict){.input = *input});
}

size_t model_predict_bytes(const struct model *model, int rows, int height, int width) {
  struct tensor input = {.rank = 4, .shape = {rows, height, width, model->family.unet.in_channels}};
  return model_dry_bytes(model, &input, predict_dry);
}
