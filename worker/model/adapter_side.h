/* adapter_side.h - low-rank changes beside a model's linear layers: a table on the device.
 */
#ifndef DARKROOM_WORKER_MODEL_ADAPTER_SIDE_H
#define DARKROOM_WORKER_MODEL_ADAPTER_SIDE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/limits.h"
#include "base/status.h"
#include "kernels/rows.h"
#include "worker/model/adapter.h"

/* All zero: nothing is changed. */
struct side_path {
  struct arena *on_device;
  struct arena *host;                 /* touched */
  const struct adapter_module *table; /* on the device, by the numbers of modules */
  const struct batch_row *rows;       /* on the device: for prompts, PROMPT_CHUNKS_MAX alike */
  const bool *touched;                /* on the host, by the numbers of modules */
};

/* Whether all changes are products of two matrices at linear layers that run beside, and their
 * ranks together few enough. */
bool side_path_is_possible(const struct model *model, const struct adapter_use *uses, size_t count);
/* EXHAUSTED. *out is all zero where nothing is changed. */
enum status side_path_open(struct model *model, const struct adapter_use *uses, size_t count,
                           struct side_path *out);
void side_path_close(struct side_path *side);
/* Bytes of the device. */
size_t side_path_bytes(const struct model *model, const struct adapter_use *uses, size_t count);

#endif
