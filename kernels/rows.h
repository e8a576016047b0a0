/* rows.h - what the host tells a device about each row of a batch, and about each sample that a
 * batch moves on: once a turn, as one table of plain data in the device's memory.
 *
 * Pointers are the device's. The layout has no holes and is the same in C and in CUDA C. Ops that
 * take rows read them on the device, so an op that was queued once can be queued again with other
 * data in the same place.
 */
#ifndef DARKROOM_KERNELS_ROWS_H
#define DARKROOM_KERNELS_ROWS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define _Static_assert static_assert /* CUDA C is C++ */
#endif
#include "base/limits.h"

/* What an adapter adds to one linear layer: y += up (down x). op_adapt reads it. */
struct adapter_module {
  const void *down; /* [rank, I] activations */
  const void *up;   /* [O, rank] activations, the adapter's weight and scale multiplied in */
  int32_t rank;     /* 0: nothing is added, and the pointers are not looked at */
  int32_t unused;
};

/* A row of a U-Net call: whose latents, how scaled, at which timestep, under which prompt. */
struct batch_row {
  const float *latents; /* [H, W, C], what op_gather reads */
  const void *context;  /* a prompt's keys and values: layers one after another, see struct
                           attention */
  const float *planes;  /* [H, W, P]: what op_gather puts behind the latents' channels, as it is */
  const void *added;    /* activations [D]: what a model line adds to the time embedding, see
                           op_add_rows; NULL: nothing */
  const struct adapter_module *adapters; /* of all the model's modules, by index; NULL: none */
  float scale;                           /* op_gather multiplies the latents with it */
  float timestep;                        /* what op_timestep_embedding embeds */
  int32_t tokens;                        /* of the prompt */
  int32_t unused;
};

/* What a row of a U-Net call gets from one control net. A scale that is 0 adds nothing. */
struct batch_control {
  const void *hint;               /* activations [H, W, C]: the net's picture, see op_hint_add */
  float scale[CONTROL_SKIPS_MAX]; /* of what the net says of each skip, the middle block last */
};

/* A sample's own update, what op_advance does to it. */
struct batch_sample {
  float *slots;       /* [slot_count, H, W, C], replaced; NULL: an idle place, nothing is done */
  const float *noise; /* [H, W, C]; NULL when the noise column of the matrix is zero */
  const float *mask;  /* [H, W], 1 where the picture may change; NULL: everywhere */
  const float *clean; /* [H, W, C], with a mask: the latents of the picture that is changed, */
  const float *begun; /* and the noise that it began with */
  int32_t slot_count; /* 1..SAMPLE_SLOTS_MAX */
  int32_t cond_row;   /* row of the prediction */
  int32_t uncond_row; /* -1: no guidance */
  float guidance;
  float rescale;                /* of the guided output, 0..1; 0: as it is */
  float keep_clean, keep_begun; /* what clean and begun weigh in the noisy picture that is kept */
  int32_t unused;
  float matrix[SAMPLE_SLOTS_MAX * (SAMPLE_SLOTS_MAX + 2)]; /* slot_count x (slot_count + 2), row
                                                              major, leading part used */
};

/* Value i is summed by lane i % RESCALE_LANES, lanes are joined from the first on: on every device
 * the same bits. */
#define RESCALE_LANES 256

/* All that a call is told. Control nets see the same latents and timesteps as the U-Net, under
 * keys and values of their own. */
struct batch_table {
  struct batch_row row[BATCH_ROWS_MAX];
  struct batch_sample sample[BATCH_ROWS_MAX];
  struct batch_row control_row[CONTROLS_MAX][BATCH_ROWS_MAX];
  struct batch_control control[CONTROLS_MAX][BATCH_ROWS_MAX];
};

_Static_assert(sizeof(struct adapter_module) == 24, "no holes");
_Static_assert(sizeof(struct batch_row) == 56, "no holes");
_Static_assert(sizeof(struct batch_control) == 8 + 4 * CONTROL_SKIPS_MAX, "no holes");
_Static_assert(sizeof(struct batch_sample) == 72 + 4 * SAMPLE_SLOTS_MAX * (SAMPLE_SLOTS_MAX + 2),
               "no holes");

#endif
