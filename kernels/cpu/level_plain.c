/* level_plain.c - the bodies for any x86-64. */
/* NOLINTBEGIN(bugprone-suspicious-include): one text, three tables */
#include "kernels/cpu/bodies/adapt.c"
#include "kernels/cpu/bodies/attention.c"
#include "kernels/cpu/bodies/direct.c"
#include "kernels/cpu/bodies/norm.c"
#include "kernels/cpu/bodies/pointwise.c"
/* NOLINTEND(bugprone-suspicious-include) */

const struct bodies bodies_plain = {
#define BODY(name) .name = name,
    BODIES(BODY)
#undef BODY
        .attend_queries = VECTORS * LANES,
};
