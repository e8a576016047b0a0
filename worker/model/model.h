/* model.h - a model on a device: loaded once, read-only, used by any number of samples.
 *
 * model_condition turns a prompt into what the U-Net needs of it; model_predict runs one U-Net
 * batch; model_decode turns latents into pixels. None of them keeps anything between calls. Written
 * once over kernels/ops.h for every device.
 */
#ifndef DARKROOM_WORKER_MODEL_MODEL_H
#define DARKROOM_WORKER_MODEL_MODEL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/status.h"
#include "kernels/device.h"
#include "kernels/rows.h"
#include "kernels/tensor.h"
#include "worker/model/condition.h"
#include "worker/model/family.h"
#include "worker/model/source.h"

struct control; /* a control net (control.h) */
struct loader_pauses;
struct merged; /* weights of adapters (adapter.h) */
struct model;

/* Loads, checks and packs. BAD_INPUT (field "weights" or "config") with the file and what is wrong:
 * wrong hash, pickle, truncated, overlapping, a name missing or left over, an option not
 * implemented. EXHAUSTED without memory. */
enum status model_open(struct device *device, const struct model_source *source,
                       struct model **out);
void model_close(struct model **model);
/* The same beside other work of the device, from another thread: where it stops to ask, loader.h
 * says. Of the device only one of the two threads makes use at a time. */
enum status model_open_beside(struct device *device, const struct model_source *source,
                              const struct loader_pauses *pauses, struct model **out);
/* A model without its weights: nothing of the files but their heads is read, and nothing is taken
 * of the device. It answers all that is asked beforehand (facts, bytes of passes, prompts' chunks;
 * model_bytes: about) and must not compute. Outcomes of model_look. */
enum status model_outline(struct device *device, const struct model_source *source,
                          struct model **out);
/* All of model_open that needs no device and takes no time: the configs, the tokenizer, the heads
 * of the weight files. Outcomes alike. */
enum status model_look(const struct model_source *source);
const struct family *model_family(const struct model *model);
/* Bytes of weights it holds on the device. */
size_t model_bytes(const struct model *model);
/* What adapters may change of it, by number (modules.h); as long as the model. */
struct module_list;
const struct module_list *model_modules(const struct model *model);

/* What the U-Net needs to know of a prompt and what is said beside it. Its memory comes from keep,
 * scratch from turn. Text that is too long is cut as the mode says: *report tells, NULL: nobody
 * asks. BAD_INPUT (field "prompt", "clip_skip", "sizes") for what the model cannot take. */
enum status model_condition(struct model *model, struct arena *keep, struct arena *turn,
                            const struct condition *condition, struct conditioning *out,
                            struct condition_report *report);
/* How many chunks of TOKENS_PER_CHUNK the prompt is in its mode: 1..PROMPT_CHUNKS_MAX. BAD_INPUT
 * (field "prompt") for one of more. */
enum status model_condition_chunks(const struct model *model, const struct condition *condition,
                                   int *out);
/* Bytes that a conditioning of so many chunks takes of its arena, at most: for admission. */
size_t model_condition_bytes(const struct model *model, int chunks);
/* Scratch bytes that model_condition needs, at most, whatever the prompt. */
size_t model_condition_scratch_bytes(const struct model *model);
/* Fills what a row of a batch says of its prompt. */
void model_context(const struct conditioning *conditioning, struct batch_row *row);

/* A control net's part in a U-Net call. */
struct predict_control {
  const struct control *net;
  const struct batch_row *rows;         /* B on the device, with keys and values of the net's own */
  const struct batch_control *controls; /* B on the device */
};
/* One U-Net call. input [B, H, W, in channels] activations (already scaled); rows: B on the device,
 * of whom all but latents, planes and scale is looked at (model_context); prediction f32 [B, H, W,
 * out channels]. All scratch comes from turn and is released. Only ops are queued, so that it can
 * be a sequence (kernels/queue.h). What is not on in a call costs nothing there. */
struct predict {
  struct tensor input;
  const struct batch_row *rows;
  struct tensor prediction;
  bool adapted;                /* some row has adapters */
  const struct merged *merged; /* weights in place of the model's own; NULL: none */
  int control_count;
  struct predict_control control[CONTROLS_MAX];
};
enum status model_predict(struct model *model, struct arena *turn, const struct predict *predict);
/* Scratch bytes that model_predict needs for B rows of H x W latents, at most. */
size_t model_predict_bytes(const struct model *model, int rows, int height, int width);

/* One finished sample's latents [H, W, C] -> pixels u8 [H * f, W * f, 3] and finite i32 [1],
 * whether all values of the picture were finite before they became bytes; both taken by the
 * caller. row: one on the device, with the latents and scale model_decode_scale(). Only ops are
 * queued. */
struct decode {
  const struct batch_row *row;
  struct tensor pixels;
  struct tensor finite;
};
enum status model_decode(struct model *model, struct arena *turn, const struct decode *decode);
float model_decode_scale(const struct model *model);
size_t model_decode_bytes(const struct model *model, int height, int width);

/* The same a tile a turn, for pictures whose decoding others should not wait for, or which would
 * not fit: the same bits, in about a third of the memory. How many turns, each of about the same
 * work; 0: this model cannot (a level of its decoder is wider than the one before). */
int64_t model_decode_turns(const struct model *model, int height, int width);
/* Turns [first, first + count), to be asked for in order. block is one block of
 * model_decode_turns_bytes() (device_block), given as it was opened, whose contents are kept until
 * the last turn has run. pixels and finite are written by the last turn. Only ops are queued. */
enum status model_decode_turn(struct model *model, struct arena *block, const struct decode *decode,
                              int64_t first, int64_t count);
size_t model_decode_turns_bytes(const struct model *model, int height, int width);

/* A picture to latents as the U-Net sees them: a sample of the encoder's posterior, with noise from
 * the job's generator. All on the device and taken by the caller. */
struct encode {
  struct tensor image;   /* f32 [H * f, W * f, 3], -1 to 1 */
  struct tensor noise;   /* f32 [H, W, C] */
  struct tensor latents; /* f32 [H, W, C], written */
};
/* BAD_INPUT (field "image") where the model has no encoder. Waits for nothing. */
enum status model_encode(struct model *model, struct arena *turn, const struct encode *encode);
bool model_encodes(const struct model *model);
/* Scratch bytes that model_encode needs for latents of height x width, at most. */
size_t model_encode_bytes(const struct model *model, int height, int width);
/* The same a tile a turn, as decodes: the same bits. image and noise are read by the first turn,
 * latents written by the last. */
int64_t model_encode_turns(const struct model *model, int height, int width);
enum status model_encode_turn(struct model *model, struct arena *block, const struct encode *encode,
                              int64_t first, int64_t count);
size_t model_encode_turns_bytes(const struct model *model, int height, int width);

/* model_decode in f32, for a picture that overflowed in 16 bits: the decoder's weights are loaded
 * from the model's files once more, their sha256 checked, for this call alone, and it goes in
 * tiles; turn is one block. Waits for the device. Outcomes of model_open. */
enum status model_decode_exact(struct model *model, struct arena *turn,
                               const struct decode *decode);
/* Whether model_decode computes in f32 here anyway. */
bool model_decodes_exactly(const struct model *model);
/* Scratch bytes that model_decode_exact needs, at most, and bytes of the weights that it loads. */
size_t model_decode_exact_bytes(const struct model *model, int height, int width);
size_t model_exact_weight_bytes(const struct model *model);

#endif
