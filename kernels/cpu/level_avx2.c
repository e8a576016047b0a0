/* level_avx2.c - the bodies for AVX2 and FMA. */
#pragma GCC target("avx2,fma")
/* NOLINTBEGIN(bugprone-suspicious-include): one text, three tables */
#include "kernels/cpu/bodies/adapt.c"
#include "kernels/cpu/bodies/attention.c"
#include "kernels/cpu/bodies/direct.c"
#include "kernels/cpu/bodies/norm.c"
#include "kernels/cpu/bodies/pointwise.c"
/* NOLINTEND(bugprone-suspicious-include) */

const struct bodies bodies_avx2 = {
#define BODY(name) .name = name,
    BODIES(BODY)
#undef BODY
        .attend_queries = VECTORS * LANES,
};
