/* weights.h - a network's tensors by name, each name used exactly once.
 *
 * One name space over one or more safetensors files, in the names of diffusers (text encoders:
 * those of transformers) whatever the files call them: a tensor may be a part of one in the file,
 * or turned. Files are untrusted: their limits are in base/limits.h; a pickle is refused by its
 * content.
 */
#ifndef DARKROOM_WORKER_MODEL_WEIGHTS_H
#define DARKROOM_WORKER_MODEL_WEIGHTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "kernels/tensor.h"
#include "worker/model/source.h"

struct checkpoint;
struct weights;

/* One file in its own names (LoRA, embeddings): mapped, sha256 (lower-case hex) checked when
 * expected is not NULL, then the header and every offset. BAD_INPUT (field "weights") says what is
 * wrong. */
enum status weights_open(const char *path, const char *expected_sha256, struct weights **out);
/* A network's tensors out of a checkpoint, which must outlive them. Outcomes alike; BAD_INPUT also
 * when two tensors of the files have one name. */
enum status weights_open_network(struct checkpoint *checkpoint, enum network network,
                                 struct weights **out);
/* The header check alone over bytes: for tests and the fuzzer. */
enum status weights_check(const uint8_t *data, size_t bytes);
void weights_close(struct weights **weights);

/* The tensor of that name as host memory (f32, bf16 or f16), valid until weights_give_back or
 * weights_close. BAD_INPUT when missing, used before, or of another shape; shape entries of -1
 * match anything. */
enum status weights_take(struct weights *weights, const char *name, int rank, const int64_t *shape,
                         struct tensor *out);
/* All tensors taken so far have been packed: their memory goes, and no more of the files is held
 * than what is taken next. */
void weights_give_back(struct weights *weights);

/* Names one by one, in their order: NULL behind the last. */
const char *weights_name(const struct weights *weights, size_t index);
bool weights_has(const struct weights *weights, const char *name);
/* The rank of a tensor, 0 when there is none of that name. */
int weights_rank(const struct weights *weights, const char *name);
/* One side of its shape; 0 when there is none of that name, or no such side. */
int64_t weights_side(const struct weights *weights, const char *name, int axis);

/* Marks every tensor whose name begins with prefix as used: a part of the file that is not needed.
 */
void weights_skip(struct weights *weights, const char *prefix);
/* BAD_INPUT naming the first tensor that nobody took. */
enum status weights_all_used(const struct weights *weights);

#endif
