/* op_check.h - whether a device's ops compute what they should: each kind on a small input, against
 * "ref" opened beside it. A picture that is wrong does not say why; an op does. */
#ifndef DARKROOM_WORKER_ENGINE_OP_CHECK_H
#define DARKROOM_WORKER_ENGINE_OP_CHECK_H

#include "base/status.h"
#include "kernels/device.h"

/* In every type that a part of a model may be held in here. OK at once for "ref" itself. BROKEN
 * with the op's name, the type and how far it is off; EXHAUSTED without memory. */
enum status op_check(struct device *device);

#endif
