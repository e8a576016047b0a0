/* ops_latents.h - the sampler's side: from latents into a batch, on by one step, and out as pixels.
 * Part of ops.h, whose contract holds. */
#ifndef DARKROOM_KERNELS_OPS_LATENTS_H
#define DARKROOM_KERNELS_OPS_LATENTS_H

#include "base/status.h"
#include "kernels/device.h"
#include "kernels/rows.h"
#include "kernels/tensor.h"

/* Row b of y[B, H, W, C + P] (activations or f32) = rows[b].scale * rows[b].latents, of `channels`
 * C, beside rows[b].planes, of the channels that y has more (inpainting: a mask and the latents of
 * what is kept). Without planes (P = 0) none are looked at. B rows on the device. */
enum status op_gather(struct device *device, const struct batch_row *rows, int64_t channels,
                      const struct tensor *y);

/* For each of `count` samples on the device that is not idle: slots = matrix * (slots, out, noise),
 * where out is its row of the prediction f32 [B, H, W, C], or with two rows
 *   g = uncond + guidance * (cond - uncond),  times  rescale * std(cond) / std(g) + 1 - rescale
 * with the standard deviations over all values of the sample (Lin et al. 2023, 3.4; a flat g stays
 * as it is); they are summed in f64 by RESCALE_LANES. Then, where a sample has a mask,
 *   slot 0 = mask * slot 0 + (1 - mask) * (keep_clean * clean + keep_begun * begun)
 * and where the mask is 1 slot 0 keeps its bits. finite i32 [count] becomes 1 where all the new
 * slots are finite (and at idle places), else 0. */
enum status op_advance(struct device *device, const struct batch_sample *samples, int count,
                       const struct tensor *prediction, const struct tensor *finite);

/* A sample of what the encoder says of a picture:
 *   y f32 [H, W, C] = (mean + exp(clamp(v, -30, 20) / 2) * noise) * scale
 * moments [1, H, W, 2 C] activations or f32: the means, then the logarithms v of the variances.
 * noise f32 [H, W, C]; without data the mean alone. (Kingma & Welling 2013) */
enum status op_posterior(struct device *device, const struct tensor *moments,
                         const struct tensor *noise, float scale, const struct tensor *y);

/* y u8 [B, H, W, 3] = round_half_even(clamp(x/2 + 1/2, 0, 1) * 255), NaN as 0. */
enum status op_pixels(struct device *device, const struct tensor *x, const struct tensor *y);

/* finite i32 [B] = 1 where all values of row b of x (activations or f32) are finite, else 0. */
enum status op_finite(struct device *device, const struct tensor *x, const struct tensor *finite);

#endif
