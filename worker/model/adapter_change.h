/* adapter_change.h - what an adapter's file says of one module, read and checked.
 *
 * O and I are the module's outputs and inputs, K the values of its kernel (9, or 1), r ranks.
 */
#ifndef DARKROOM_WORKER_MODEL_ADAPTER_CHANGE_H
#define DARKROOM_WORKER_MODEL_ADAPTER_CHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "kernels/tensor.h"
#include "worker/model/adapter.h"
#include "worker/model/adapter_alphas.h"
#include "worker/model/adapter_names.h"
#include "worker/model/loader.h"
#include "worker/model/modules.h"

enum change_kind {
  CHANGE_LOW_RANK,  /* up [O, r] down [r, I K]; with mid [r, r', K]: down is [r', I] */
  CHANGE_HADAMARD,  /* LoHa: (w1_a w1_b) . (w2_a w2_b), [O, r] and [r, I K]; with t1, t2 [r, r, K]:
                      w_a is [r, O] and w_b [r, I] */
  CHANGE_KRONECKER, /* LoKr: w1 kron w2, each whole or w_a w_b; with t2: w2_a is [r, .] */
  CHANGE_WHOLE      /* a difference of all values, or of the bias alone */
};

enum change_part {
  PART_ALPHA,
  PART_DORA,
  PART_DOWN,
  PART_UP,
  PART_MID,
  PART_HADA_W1_A,
  PART_HADA_W1_B,
  PART_HADA_W2_A,
  PART_HADA_W2_B,
  PART_HADA_T1,
  PART_HADA_T2,
  PART_LOKR_W1,
  PART_LOKR_W1_A,
  PART_LOKR_W1_B,
  PART_LOKR_W2,
  PART_LOKR_W2_A,
  PART_LOKR_W2_B,
  PART_LOKR_T2,
  PART_DIFF,
  PART_DIFF_BIAS,
  PARTS
};

struct change {
  int module;
  enum change_kind kind;
  float scale;               /* alpha / rank */
  int64_t rank;              /* of CHANGE_LOW_RANK: r */
  bool on_input;             /* PART_DORA has a value for each input, not for each output */
  struct tensor part[PARTS]; /* host memory, f32, bf16 or f16; data NULL: it has none */
};

/* ---- reading a file (adapter_read.c) ---- */

/* A tensor and its name in the file; NULL: there is none. */
struct part_named {
  const char *name;
  struct tensor tensor;
};
/* What the file says of one name of ours, before it is checked. */
struct change_named {
  struct adapter_name target;
  struct part_named part[PARTS];
};

/* Checks the shapes of what was said of a module, and fills all of *out: tensors are borrowed.
 * `alpha` is taken where the file has none for it. BAD_INPUT (field "adapter") names tensor, shape
 * and what was expected. */
enum status change_check(const struct adapter_target *target, const struct change_named *named,
                         struct adapter_alpha alpha, struct change *out);

struct adapter {
  struct arena *arena;   /* this, and all that it points to */
  struct change *change; /* sorted by module */
  int count;
  uint8_t digest[ADAPTER_DIGEST_BYTES]; /* of the file */
};

/* adapter_open against a list of modules instead of a model. */
enum status adapter_read(const struct adapter_target *target, const struct adapter_source *source,
                         struct adapter **out, struct adapter_report *report);

/* ---- what a change adds (adapter_delta.c) ---- */

/* Values of a kernel: 9 or 1. */
int64_t change_window(const struct module *module);
/* Values of a row of it: of an output. */
int64_t change_columns(const struct module *module);
/* Where sums are made. */
struct change_room {
  struct arena *scratch;              /* on the heap */
  const struct loader_pauses *pauses; /* stopped at after every row of a product; NULL: none */
};
/* delta f32 [O, I, K] += weight times the change of the kernel; `base`, f32 alike, is what a DoRA
 * measures (others do not look at it). Scratch comes from the room and is released. EXHAUSTED, or
 * what a pause fails with. */
enum status change_add(const struct change *change, const struct module *module, float weight,
                       const float *base, const struct change_room *room, float *delta);
/* Scratch bytes that it takes, at most. */
size_t change_scratch_bytes(const struct change *change, const struct module *module);
/* bias f32 [O] += weight times the change of the bias. */
enum status change_add_bias(const struct change *change, const struct module *module, float weight,
                            struct arena *scratch, float *bias);
/* Whether all are numbers that the element can hold. */
bool change_fits(enum element element, const float *values, int64_t count);
/* A tensor's values in f32, from the arena. */
enum status change_values(const struct tensor *tensor, struct arena *arena, float **out);

#endif
