/* adapter.h - LoRA files and what they make of a model, whose own weights stay as they are.
 *
 * An adapter is a file, read and checked against one model: on the host, read-only, for any number
 * of jobs. An adaptation is what the adapters of one job, with their weights, put on the device.
 * There are two ways, and adaptation_open takes the faster:
 *
 * - the side path: y += up (down x) beside each linear layer that is changed, up scaled, the ranks
 *   of all adapters side by side. Rows with different adapters share a U-Net call (op_adapt). Taken
 *   when every change is a product of two matrices at a linear layer whose output nothing bends
 *   before it is rounded, and the ranks together are at most ADAPTER_RANK_MAX.
 * - weights of its own: what is changed is read once more from the model's files, summed with the
 *   changes in f32 and packed. Such jobs share a call only with jobs of the same adaptation.
 *
 * Measured (bench_adapters; SD 1.5, rank 16, all linear layers, one thread of a CPU): beside costs
 * 4% of a step and some 50 ms once, weights of its own some 11 s once and the memory of what is
 * changed. They would pay from about forty steps on, of a job that nobody shares a call with.
 *
 * Dialects: kohya (lora_unet_, lora_te_, lora_te1_, lora_te2_; U-Nets by diffusers' names or by
 * those of the original), diffusers (unet., text_encoder., text_encoder_2.), PEFT (lora_A, lora_B).
 * Kinds: LoRA and LoCon (Hu et al. 2021), with lora_mid (Tucker); LoHa (Hyeon-Woo et al. 2021) and
 * LoKr (Edalati et al. 2022) as LyCORIS writes them; DoRA (Liu et al. 2024); whole differences.
 */
#ifndef DARKROOM_WORKER_MODEL_ADAPTER_H
#define DARKROOM_WORKER_MODEL_ADAPTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "kernels/rows.h"
#include "worker/model/model.h"
#include "worker/model/modules.h"

#define ADAPTERS_MAX 16            /* of one job */
#define ADAPTER_FILE_RANK_MAX 1024 /* of one change in a file */
#define ADAPTER_WEIGHT_MAX 100.0f
#define ADAPTER_SCALE_MAX 1e6f    /* of alpha / rank */
#define ADAPTER_PATTERNS_MAX 4096 /* of an alpha_pattern: each is held against each module */
#define ADAPTER_DIGEST_BYTES 32

struct adapter;

/* A whole file in memory, untrusted; borrowed during the call. */
struct adapter_source {
  const char *name; /* for messages */
  const uint8_t *data;
  size_t bytes;
  const char *config;    /* PEFT's adapter_config.json, as text, where there is one: its alphas are
                         those of layers for which the file has none; NULL: none */
  const uint8_t *sha256; /* of the data, ADAPTER_DIGEST_BYTES, where it is known; NULL: computed */
};
/* What became of its tensors. */
struct adapter_report {
  int changed;             /* modules that it changes */
  int skipped;             /* tensors that have no place in this model, or whose kind is unknown */
  char first_skipped[128]; /* the name of one of them, cut; "" when there is none */
};
/* BAD_INPUT (field "adapter"): no safetensors (a pickle), a tensor of a shape that does not fit the
 * model, a value that is no finite number, a change that lacks a part, or nothing that changes this
 * model; with what was expected. */
enum status adapter_open(const struct model *model, const struct adapter_source *source,
                         struct adapter **out, struct adapter_report *report);
void adapter_close(struct adapter **adapter);
/* Bytes that it holds of the host's memory. */
size_t adapter_bytes(const struct adapter *adapter);

/* An adapter as a job wants it: how much of it, in the U-Net and in the text encoders. 0 leaves the
 * networks as they are, bit for bit; changes grow in proportion to the weight, a DoRA's too. */
struct adapter_use {
  const struct adapter *adapter; /* of the same model; borrowed during the call */
  float weight, text_weight;     /* of magnitude ADAPTER_WEIGHT_MAX at most */
};

struct adaptation;
struct loader_pauses;
struct merged; /* packed weights in place of the model's own, see merged.h */

/* The order of the uses does not matter, bit for bit: they are sorted by content before they are
 * summed. BAD_INPUT (field "adapter"): a weight that is out of bounds or no number; (field
 * "weights"): the model's files are not any more what they were. EXHAUSTED. Waits for nothing that
 * the device does. */
enum status adaptation_open(struct model *model, const struct adapter_use *uses, size_t count,
                            struct adaptation **out);
/* Whether that takes milliseconds: nothing but the side path. Else it is seconds, for the model's
 * files are hashed and read again and its weights packed, */
bool adaptation_is_quick(const struct model *model, const struct adapter_use *uses, size_t count);
/* which goes on beside other work of the device, from another thread: where it stops to ask,
 * loader.h says. For one that is not quick. Outcomes alike, and what a pause fails with. */
enum status adaptation_open_beside(struct model *model, const struct adapter_use *uses,
                                   size_t count, const struct loader_pauses *pauses,
                                   struct adaptation **out);
/* Not before the device has done all that was queued with it. */
void adaptation_close(struct adaptation **adaptation);
/* Bytes that adaptation_open takes of the device for these uses, at most: for admission. */
size_t adaptation_bytes(const struct model *model, const struct adapter_use *uses, size_t count);
/* Bytes of the host that one which is not quick takes while it is made. */
size_t adaptation_scratch_bytes(const struct model *model, const struct adapter_use *uses,
                                size_t count);

/* For batch_row.adapters: on the device, by the numbers of the model's modules. NULL when this
 * network is not changed, or has weights of its own. */
const struct adapter_module *adaptation_table(const struct adaptation *adaptation,
                                              enum network network);
/* NULL when it has none: the side path, or nothing changed. */
const struct merged *adaptation_merged(const struct adaptation *adaptation);
bool adaptation_changes(const struct adaptation *adaptation, enum network network);
/* SHA-256 of the adapters' content and weights: equal ones are equal adaptations. For caches. */
const uint8_t *adaptation_digest(const struct adaptation *adaptation);

#endif
