/* recorder.h - writes down which ops a U-Net call or a decode consists of, with their operands, so
 * that each can be timed by itself over the very memory that it works on.
 *
 * It stands between ops.c and the device's row of ops. What it wrote down is good for as long as
 * the model and the engine's scratch live: contents change, addresses do not.
 */
#ifndef DARKROOM_TESTS_GPU_RECORDER_H
#define DARKROOM_TESTS_GPU_RECORDER_H

#include "kernels/backend.h"

/* An op as it was called. Which fields mean something is the op's own matter (recorder.c). */
struct call {
  int op; /* OP_matmul */
  char shape[64];
  double operations; /* multiplications and additions */
  double bytes;      /* read and written at least: each operand once */
  struct tensor x, y, other, residual, channel_add;
  const struct weight *weight;
  struct matmul_options matmul;
  struct conv_options conv;
  struct norm norm;
  bool silu;
  struct attention attention;
  const struct batch_row *rows;
};

enum { CALLS_MAX = 1024 };
struct recording {
  int count;
  int row_count; /* of the U-Net call seen last: what the device was told of its rows */
  struct batch_row row[BATCH_ROWS_MAX];
  struct call call[CALLS_MAX];
};

/* From here on sequences are queued op by op, and every op of the device is written down, until
 * recorder_stop. One device at a time; the recording is borrowed. Calls beyond CALLS_MAX are
 * counted and not kept. */
void recorder_start(struct device *device, struct recording *recording);
void recorder_stop(struct device *device);

/* Leaves of a recording the first U-Net call: from its timestep embedding to its last convolution.
 * False when there is none. */
bool recording_keep_unet(struct recording *recording);
/* What the calls read of the rows, which the engine replaces every turn, taken from memory of its
 * own. The prompts that they point to must still be held. */
enum status recording_own_rows(struct recording *recording, struct device *device,
                               struct arena *arena);
/* The same of the decode: all behind the last U-Net call. */
bool recording_keep_decode(struct recording *recording);

/* The op again. op_advance and what else changes a sample is not written down. */
enum status call_again(struct device *device, const struct call *call);
const char *call_name(const struct call *call);
double recording_operations(const struct recording *recording);

#endif
