/* adaptation.h - adaptations for the passes of a model, and either way of making one.
 */
#ifndef DARKROOM_WORKER_MODEL_ADAPTATION_H
#define DARKROOM_WORKER_MODEL_ADAPTATION_H

#include "worker/model/adapter.h"
#include "worker/model/pass.h"

/* What the pass is to do through this network under an adaptation, which must outlive it; NULL:
 * what the model does by itself. */
void adaptation_enter(const struct adaptation *adaptation, enum network network, struct pass *pass);

enum adaptation_way { ADAPTATION_FASTER, ADAPTATION_BESIDE, ADAPTATION_MERGED };
/* adaptation_open in a way of the caller's choice: for tests and measurements. ADAPTATION_BESIDE
 * asserts that it is possible. */
enum status adaptation_open_as(struct model *model, const struct adapter_use *uses, size_t count,
                               enum adaptation_way way, struct adaptation **out);

#endif
