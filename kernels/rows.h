/* rows.h - what the host tells a device about each row of a batch, and about each sample that a
 * batch moves on: once a turn, as one table of plain data in the device's memory.
 *
 * Pointers are the device's. The layout has no holes and is the same in C and in CUDA C. Ops that
 * take rows read them on the device, so an op that was queued once can be queued again with other
 * data in the same place.
 */
#ifndef DARKROOM_KERNELS_ROWS_H
#define DARKROOM_KERNELS_ROWS_H

#include <stdint.h>

#ifdef __cplusplus
#define _Static_assert static_assert /* CUDA C is C++ */
#endif
#include "base/limits.h"

/* A row of a U-Net call: whose latents, how scaled, at which timestep, under which prompt. */
struct batch_row {
  const float *latents; /* [H, W, C], what op_gather reads */
  const void
      *context;   /* a prompt's keys and values: layers one after another, see struct attention */
  float scale;    /* op_gather multiplies the latents with it */
  float timestep; /* what op_timestep_embedding embeds */
  int32_t tokens; /* of the prompt */
  int32_t unused;
};

/* A sample's own update, what op_advance does to it. */
struct batch_sample {
  float *slots;       /* [slot_count, H, W, C], replaced; NULL: an idle place, nothing is done */
  const float *noise; /* [H, W, C]; NULL when the noise column of the matrix is zero */
  int32_t slot_count; /* 1..SAMPLE_SLOTS_MAX */
  int32_t cond_row;   /* row of the prediction */
  int32_t uncond_row; /* -1: no guidance */
  float guidance;
  float matrix[SAMPLE_SLOTS_MAX * (SAMPLE_SLOTS_MAX + 2)]; /* slot_count x (slot_count + 2), row
                                                              major, leading part used */
};

struct batch_table {
  struct batch_row row[BATCH_ROWS_MAX];
  struct batch_sample sample[BATCH_ROWS_MAX];
};

_Static_assert(sizeof(struct batch_row) == 32, "no holes");
_Static_assert(sizeof(struct batch_sample) == 32 + 4 * SAMPLE_SLOTS_MAX * (SAMPLE_SLOTS_MAX + 2),
               "no holes");

#endif
