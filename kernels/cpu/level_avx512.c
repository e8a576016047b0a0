/* level_avx512.c - the bodies for AVX-512. */
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")
/* NOLINTBEGIN(bugprone-suspicious-include): one text, three tables */
#include "kernels/cpu/bodies/adapt.c"
#include "kernels/cpu/bodies/attention.c"
#include "kernels/cpu/bodies/direct.c"
#include "kernels/cpu/bodies/norm.c"
#include "kernels/cpu/bodies/pointwise.c"
/* NOLINTEND(bugprone-suspicious-include) */

const struct bodies bodies_avx512 = {
#define BODY(name) .name = name,
    BODIES(BODY)
#undef BODY
        .attend_queries = VECTORS * LANES,
};
