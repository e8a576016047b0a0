/* vae_load.c - names and widths of every layer, as diffusers' AutoencoderKL builds them. */
#include <math.h>
#include <string.h>

#include "worker/model/vae.h"

#define EPSILON 1e-6f /* of every norm in the autoencoder */
#define PICTURE_CHANNELS 3

static struct resnet_shape resnet_of(const struct vae_facts *facts, int64_t inputs,
                                     int64_t outputs) {
  return (struct resnet_shape){inputs, outputs, 0, facts->groups, EPSILON};
}

/* ---- the middle, alike on both sides ---- */

/* Checkpoints from before diffusers 0.15 (SD 1.5's own is one) use other names for the same layers.
 */
static enum status load_attention(struct loader *loader, const char *name,
                                  const struct vae_facts *facts, struct vae_attention *out) {
  static const char *const now[] = {"to_q", "to_k", "to_v", NULL};
  static const char *const before[] = {"query", "key", "value", NULL};
  bool old = weights_has(loader->file, name_of("%s.query.weight", name).text);
  int64_t c = facts->channels[facts->levels - 1];
  struct norm_shape norm = {c, facts->groups, EPSILON};
  struct matrix_shape square = {c, c, true};
  TRY(load_norm(loader, name_of("%s.group_norm", name).text, norm, &out->norm));
  TRY(load_joined(loader, name, old ? before : now, square, &out->qkv));
  return load_matrix(loader, name_of("%s.%s", name, old ? "proj_attn" : "to_out.0").text, square,
                     &out->out);
}

static enum status load_middle(struct loader *loader, const char *side,
                               const struct vae_facts *facts, struct vae_middle *out) {
  int64_t c = facts->channels[facts->levels - 1];
  for (int i = 0; i < 2; i++) {
    TRY(resnet_load(loader, name_of("%s.mid_block.resnets.%d", side, i).text,
                    resnet_of(facts, c, c), &out->resnet[i]));
  }
  return facts->mid_attention
             ? load_attention(loader, name_of("%s.mid_block.attentions.0", side).text, facts,
                              &out->attention)
             : OK;
}

/* ---- levels ---- */

struct level_shape {
  int64_t inputs, outputs;
  int layers;
};

static enum status load_level(struct loader *loader, const char *name,
                              const struct vae_facts *facts, struct level_shape shape,
                              struct vae_level *out) {
  *out = (struct vae_level){.channels = shape.outputs, .layers = shape.layers};
  out->resnet = arena_take(loader->host, (size_t)shape.layers * sizeof *out->resnet);
  if (out->resnet == NULL) {
    return EXHAUSTED;
  }
  for (int i = 0; i < shape.layers; i++) {
    TRY(resnet_load(loader, name_of("%s.resnets.%d", name, i).text,
                    resnet_of(facts, i == 0 ? shape.inputs : shape.outputs, shape.outputs),
                    &out->resnet[i]));
  }
  return OK;
}

/* Up block i is the level levels - 1 - i of the config, and has a layer more. */
static enum status load_up(struct loader *loader, const struct vae_facts *facts, int i,
                           struct vae_level *out) {
  int level = facts->levels - 1 - i;
  struct module_name name = name_of("decoder.up_blocks.%d", i);
  struct level_shape shape = {facts->channels[i == 0 ? level : level + 1], facts->channels[level],
                              facts->layers_per_block + 1};
  TRY(load_level(loader, name.text, facts, shape, out));
  return level == 0 ? OK
                    : load_growing_conv(loader, name_of("%s.upsamplers.0.conv", name.text).text,
                                        out->channels, NULL, &out->resize);
}

static enum status load_down(struct loader *loader, const struct vae_facts *facts, int level,
                             struct vae_level *out) {
  struct module_name name = name_of("encoder.down_blocks.%d", level);
  struct level_shape shape = {facts->channels[level > 0 ? level - 1 : 0], facts->channels[level],
                              facts->layers_per_block};
  TRY(load_level(loader, name.text, facts, shape, out));
  return level == facts->levels - 1
             ? OK
             : load_conv(loader, name_of("%s.downsamplers.0.conv", name.text).text, out->channels,
                         out->channels, &out->resize);
}

/* ---- latents of a mean and a deviation of their own ---- */

/* y_i = scale_i x_i + shift_i */
static enum status load_diagonal(struct loader *loader, int64_t channels, const float *scale,
                                 const float *shift, struct weight **out) {
  struct weight_source source = {0};
  TRY(tensor_take(loader->scratch, ELEMENT_F32, TENSOR_SHAPE(channels, channels), &source.kernel));
  TRY(tensor_take(loader->scratch, ELEMENT_F32, TENSOR_SHAPE(channels), &source.bias));
  float *kernel = source.kernel.data;
  memset(kernel, 0, tensor_bytes(&source.kernel));
  memcpy(source.bias.data, shift, tensor_bytes(&source.bias));
  for (int64_t i = 0; i < channels; i++) {
    kernel[i * channels + i] = scale[i];
  }
  enum status status = load_given(loader, &source, out);
  arena_drop(loader->scratch);
  return status;
}

/* The U-Net's latents are scale * (z - mean) / deviation; the scale is in op_gather. */
static enum status load_from_standard(struct loader *loader, const struct vae_facts *facts,
                                      struct weight **out) {
  return facts->standardized
             ? load_diagonal(loader, facts->latent_channels, facts->deviation, facts->mean, out)
             : OK;
}

/* The way back for moments: means, and logarithms of variances. */
static enum status load_to_standard(struct loader *loader, const struct vae_facts *facts,
                                    struct weight **out) {
  float scale[2 * VAE_CHANNELS_MAX] = {0}, shift[2 * VAE_CHANNELS_MAX] = {0};
  int channels = facts->latent_channels;
  if (!facts->standardized) {
    return OK;
  }
  for (int i = 0; i < channels; i++) {
    scale[i] = 1 / facts->deviation[i];
    shift[i] = -facts->mean[i] / facts->deviation[i];
    scale[channels + i] = 1;
    shift[channels + i] = -2 * logf(facts->deviation[i]);
  }
  return load_diagonal(loader, 2 * channels, scale, shift, out);
}

/* ---- the sides ---- */

static enum status load_decoder(struct loader *loader, const struct vae_facts *facts,
                                struct vae_side *out) {
  int64_t latents = facts->latent_channels, deepest = facts->channels[facts->levels - 1];
  struct norm_shape norm = {facts->channels[0], facts->groups, EPSILON};
  TRY(load_from_standard(loader, facts, &out->standard));
  if (facts->post_quant) {
    TRY(load_matrix(loader, "post_quant_conv", (struct matrix_shape){latents, latents, true},
                    &out->quant));
  }
  TRY(load_conv(loader, "decoder.conv_in", deepest, latents, &out->conv_in));
  TRY(load_middle(loader, "decoder", facts, &out->middle));
  for (int i = 0; i < facts->levels; i++) {
    TRY(load_up(loader, facts, i, &out->level[i]));
  }
  TRY(load_norm(loader, "decoder.conv_norm_out", norm, &out->norm_out));
  return load_conv(loader, "decoder.conv_out", PICTURE_CHANNELS, facts->channels[0],
                   &out->conv_out);
}

/* It gives a mean and a variance of every latent channel. */
static enum status load_encoder(struct loader *loader, const struct vae_facts *facts,
                                struct vae_side *out) {
  int64_t moments = 2 * facts->latent_channels, deepest = facts->channels[facts->levels - 1];
  struct norm_shape norm = {deepest, facts->groups, EPSILON};
  TRY(load_conv(loader, "encoder.conv_in", facts->channels[0], PICTURE_CHANNELS, &out->conv_in));
  for (int level = 0; level < facts->levels; level++) {
    TRY(load_down(loader, facts, level, &out->level[level]));
  }
  TRY(load_middle(loader, "encoder", facts, &out->middle));
  TRY(load_norm(loader, "encoder.conv_norm_out", norm, &out->norm_out));
  TRY(load_conv(loader, "encoder.conv_out", moments, deepest, &out->conv_out));
  TRY(load_to_standard(loader, facts, &out->standard));
  return facts->quant ? load_matrix(loader, "quant_conv",
                                    (struct matrix_shape){moments, moments, true}, &out->quant)
                      : OK;
}

enum status vae_load(struct loader *loader, const struct vae_facts *facts, bool decoder_alone,
                     struct vae *vae) {
  *vae = (struct vae){.facts = facts};
  vae->encodes = !decoder_alone && weights_has(loader->file, "encoder.conv_in.weight");
  if (!vae->encodes) {
    weights_skip(loader->file, "encoder.");
    weights_skip(loader->file, "quant_conv.");
  } else {
    TRY(load_encoder(loader, facts, &vae->encoder));
  }
  size_t before = device_memory_used(loader->device);
  enum status status = load_decoder(loader, facts, &vae->decoder);
  vae->decoder_bytes = device_memory_used(loader->device) - before;
  return status;
}
