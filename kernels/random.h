/* random.h - normal noise as PyTorch's CPU generator draws it: same seed, same picture.
 *
 * mt19937 seeded with the low 32 bits; 16 or more values: blocks of 16 by Box-Muller on 24-bit
 * uniforms, a ragged tail redraws the last 16; fewer: double precision pairs with a cached second
 * value (ATen native/cpu/DistributionTemplates.h, core/DistributionsHelper.h). Values agree with
 * torch to about 1e-6 (its vector log and sincos round differently).
 */
#ifndef DARKROOM_KERNELS_RANDOM_H
#define DARKROOM_KERNELS_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct random {
  uint32_t state[624];
  int next;
  bool has_cached;
  double cached;
};

/* Starts a generator; plain data, may be copied to save or resume. */
void random_seed(struct random *random, uint64_t seed);
/* Next 32 random bits. */
uint32_t random_bits(struct random *random);
/* count standard normal values, in the order of a contiguous torch tensor (for latents: C, H, W).
 */
void random_normal(struct random *random, float *out, int64_t count);
/* The same for latents, written as [height, width, channels] while drawn in torch's [channels,
 * height, width] order; scratch holds height * width * channels floats. */
void random_normal_image(struct random *random, int channels, int height, int width, float *scratch,
                         float *out);

#endif
