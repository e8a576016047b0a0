/* level_plain.c - the bodies for any x86-64. */
/* NOLINTBEGIN(bugprone-suspicious-include): one text, three tables */
#include "kernels/cpu/bodies/attention.c"
#include "kernels/cpu/bodies/norm.c"
#include "kernels/cpu/bodies/pointwise.c"
#include "kernels/cpu/bodies/products.c"
/* NOLINTEND(bugprone-suspicious-include) */

const struct bodies bodies_plain = {
#define BODY(name) .name = name,
    BODIES(BODY)
#undef BODY
        .product_f32 = product_f32,
    .product_bf16 = PRODUCT_BF16,
};
