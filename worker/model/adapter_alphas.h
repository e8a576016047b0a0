/* adapter_alphas.h - alphas that stand beside the tensors: in the file's metadata, where diffusers
 * keeps PEFT's config of each network, or in PEFT's own adapter_config.json.
 */
#ifndef DARKROOM_WORKER_MODEL_ADAPTER_ALPHAS_H
#define DARKROOM_WORKER_MODEL_ADAPTER_ALPHAS_H

#include <stdbool.h>

#include "base/status.h"
#include "worker/model/adapter.h"
#include "worker/model/modules.h"

struct adapter_alphas;

struct adapter_alpha {
  bool known; /* false: nothing is said, the scale is 1 */
  bool root;  /* the scale is alpha / sqrt(rank) instead of alpha / rank */
  float alpha;
};

/* BAD_INPUT (field "adapter"): what is there is not JSON, or says what is not implemented. */
enum status adapter_alphas_open(const struct adapter_source *source, struct adapter_alphas **out);
void adapter_alphas_close(struct adapter_alphas **alphas);
struct adapter_alpha adapter_alphas_of(const struct adapter_alphas *alphas,
                                       const struct module *module);

#endif
