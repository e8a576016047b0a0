/* bare_onednn.h - the same convolution or product in oneDNN alone, every layout its own choice: what ours is held to. */
#ifndef DARKROOM_TESTS_BARE_ONEDNN_H
#define DARKROOM_TESTS_BARE_ONEDNN_H

#include "kernels/cases.h"

struct bare;

/* NULL for an op that is neither, or a device that is not the cpu. Leaves the process when oneDNN fails. */
struct bare *bare_open(const struct device *device, const struct op_case *op_case, int batch);
void bare_execute(struct bare *bare);
void bare_close(struct bare **bare);

#endif
