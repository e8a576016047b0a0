/* weights.h - tensors by name out of safetensors files, each name used exactly once.
 *
 * The file is untrusted: its limits are in base/limits.h; a pickle is refused
 * by its content.
 */
#ifndef DARKROOM_WORKER_MODEL_WEIGHTS_H
#define DARKROOM_WORKER_MODEL_WEIGHTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "kernels/tensor.h"

struct weights;

/* Maps the file, checks sha256 (lower-case hex) when expected is not NULL, then the header and
 * every offset. BAD_INPUT (field "weights") says what is wrong. */
enum status weights_open(const char *path, const char *expected_sha256, struct weights **out);
/* The header check alone over bytes: for tests and the fuzzer. */
enum status weights_check(const uint8_t *data, size_t bytes);
void weights_close(struct weights **weights);

/* The tensor of that name as host memory (f32, bf16 or f16), valid until weights_close. BAD_INPUT
 * when missing, used before, or of another shape; shape entries of -1 match anything. */
enum status weights_take(struct weights *weights, const char *name, int rank, const int64_t *shape,
                         struct tensor *out);
bool weights_has(const struct weights *weights, const char *name);
/* The rank of a tensor, 0 when there is none of that name. */
int weights_rank(const struct weights *weights, const char *name);
/* Marks every tensor whose name begins with prefix as used: a part of the file that is not needed.
 */
void weights_skip(struct weights *weights, const char *prefix);
/* BAD_INPUT naming the first tensor that nobody took. */
enum status weights_all_used(const struct weights *weights);

#endif
