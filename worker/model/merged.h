/* merged.h - packed weights of what adapters change of a model, in place of its own.
 */
#ifndef DARKROOM_WORKER_MODEL_MERGED_H
#define DARKROOM_WORKER_MODEL_MERGED_H

#include <stddef.h>

#include "base/status.h"
#include "kernels/ops.h"

struct adapter_use;
struct loader_pauses;
struct merged;
struct model;

/* Reads what is changed once more from the model's files, whose sha256 is checked again, adds the
 * changes in f32 in the order of the uses, and packs. With pauses (loader.h; NULL: none) it stops
 * between layers and between the rows of a sum. Outcomes of adaptation_open. */
enum status merged_open(const struct model *model, const struct adapter_use *uses, size_t count,
                        const struct loader_pauses *pauses, struct merged **out);
void merged_close(struct merged **merged);
/* Bytes that merged_open takes of the device, at most. */
size_t merged_bytes(const struct model *model, const struct adapter_use *uses, size_t count);
/* Bytes that it takes of the host meanwhile, for the layer that takes most: no more are to be had.
 */
size_t merged_scratch_bytes(const struct model *model, const struct adapter_use *uses,
                            size_t count);

/* What stands for a weight or a norm of the model: its own where nothing is changed, and where
 * merged is NULL. */
const struct weight *merged_weight(const struct merged *merged, const struct weight *own);
const struct norm *merged_norm(const struct merged *merged, const struct norm *own);

#endif
