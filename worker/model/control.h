/* control.h - a control net on a device (Zhang et al. 2023; diffusers' ControlNetModel): a copy of
 * the U-Net's way down that looks at a picture of the job's and adds to the U-Net's skips.
 *
 * Opened once for a family of models, read-only, shared by the jobs of all models of that family.
 * What it makes of a picture (the hint) is made once per job and picture, what it makes of a prompt
 * once per prompt: its cross attention has keys and values of its own.
 */
#ifndef DARKROOM_WORKER_MODEL_CONTROL_H
#define DARKROOM_WORKER_MODEL_CONTROL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/status.h"
#include "kernels/device.h"
#include "kernels/rows.h"
#include "kernels/tensor.h"

struct conditioning;
struct control;
struct family;
struct model_source;
struct pass;

/* Loads, checks and packs a net for models of this family: a folder in diffusers' layout or one
 * file with the original names. BAD_INPUT (field "control") when it does not go with the family
 * (levels, widths, the text's width), else as model_open: field "config" or "weights". EXHAUSTED
 * without memory. The device is borrowed until control_close. */
enum status control_open(struct device *device, const struct model_source *source,
                         const struct family *family, struct control **out);
void control_close(struct control **control);
/* Bytes of weights it holds on the device. */
size_t control_bytes(const struct control *control);

/* Whether it goes with models of this family: BAD_INPUT (field "control") says why not. */
enum status control_fits(const struct control *control, const struct family *family);

/* Skips that it adds to, the middle block counted: at most CONTROL_SKIPS_MAX. */
int control_skips(const struct control *control);
/* The scales of all skips, the middle block's last, for batch_control.scale: `scale` for each, or
 * with `guess` 0.1 to 1 times it on a logarithmic scale, the middle block the full (a net that
 * pools, see global_pool_conditions, has the same for all). Entries behind are 0. */
void control_scales(const struct control *control, double scale, bool guess, float *out);

/* What the net needs of a prompt, from what the model made of it: out->keys_values, and out->added
 * where the family adds something to the time embedding; out->embedding is the model's own. Taken
 * from keep; turn is scratch. A row of a batch gets it by model_context. */
enum status control_condition(struct control *control, struct arena *keep, struct arena *turn,
                              const struct conditioning *of, struct conditioning *out);
/* Bytes of keep for a prompt of that many tokens, and of scratch, at most: for admission. */
size_t control_condition_bytes(const struct control *control, int tokens);
size_t control_condition_scratch_bytes(const struct control *control);

/* A picture f32 [H * f, W * f, 3] on the device, f being control_hint_factor, 0 to 1, RGB -> hint
 * [H, W, C] activations, taken by the caller with control_hint_channels: what batch_control.hint
 * points to. */
enum status control_hint(struct control *control, struct arena *turn, const struct tensor *image,
                         const struct tensor *hint);
int64_t control_hint_channels(const struct control *control);
int control_hint_factor(const struct control *control);
/* Scratch bytes that control_hint needs for latents of height x width, at most. */
size_t control_hint_bytes(const struct control *control, int height, int width);

/* One net's part in a U-Net call, queued between the U-Net's middle block and its way up. Scratch
 * comes from the pass's arena and is given back. */
struct control_call {
  const struct tensor *input;   /* [B, H, W, any] the U-Net's: only its shape is looked at */
  const struct batch_row *rows; /* B on the device: latents, timestep, the net's context */
  const struct batch_control *controls; /* B on the device: hint and scales */
  const struct tensor *skip;            /* `skips` of the U-Net, in the order of its way down, */
  int skips;
  const struct tensor *middle; /* and what its middle block gave: all are added to */
};
enum status control_run(const struct pass *pass, const struct control *control,
                        const struct control_call *call);
/* Scratch bytes that it needs for B rows, at most: beside model_predict_bytes, which knows no nets.
 * Nets run one after another, so several need as much as the largest. */
size_t control_run_bytes(const struct control *control, int rows, int height, int width);

#endif
