/* level_plain.c - the bodies for any x86-64. */
#include "kernels/cpu/bodies/attention.c"
#include "kernels/cpu/bodies/norm.c"
#include "kernels/cpu/bodies/pointwise.c"
#include "kernels/cpu/bodies/products.c"

const struct bodies bodies_plain = {
#define BODY(name) .name = name,
    BODIES(BODY)
#undef BODY
        .product_f32 = product_plain,
    .product_bf16 = NULL,
};
