/* picture_input.h - a picture as a network takes it. */
#ifndef DARKROOM_WORKER_MODEL_PICTURE_INPUT_H
#define DARKROOM_WORKER_MODEL_PICTURE_INPUT_H

#include "worker/model/pass.h"

/* image f32 [H, W, C] on the device -> out [1, H, W, C] activations, taken from the pass's arena.
 */
enum status picture_input(const struct pass *pass, const struct tensor *image, struct tensor *out);

#endif
