/* level_avx512.c - the bodies for AVX-512. */
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")
#include "kernels/cpu/bodies/attention.c"
#include "kernels/cpu/bodies/norm.c"
#include "kernels/cpu/bodies/pointwise.c"
#include "kernels/cpu/bodies/products.c"

const struct bodies bodies_avx512 = {
#define BODY(name) .name = name,
    BODIES(BODY)
#undef BODY
        .product_f32 = product_avx512,
    .product_bf16 = product_bf16,
};
