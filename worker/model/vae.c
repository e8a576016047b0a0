/* vae.c - middle at the latents' size, then levels that double it. */
#include "worker/model/vae.h"

#define EPSILON 1e-6f /* of every norm in the autoencoder */
#define PICTURE_CHANNELS 3

static const struct conv_options same_size = {.stride = 1, .pad_before = 1, .pad_after = 1};

/* ---- loading ---- */

static struct resnet_shape resnet_of(const struct vae_facts *facts, int64_t inputs,
                                     int64_t outputs) {
  return (struct resnet_shape){inputs, outputs, 0, facts->groups, EPSILON};
}

/* Checkpoints from before diffusers 0.15 (SD 1.5's own is one) use other names for the same layers.
 */
static enum status load_attention(struct loader *loader, const struct vae_facts *facts,
                                  struct vae_attention *out) {
  static const char *const now[] = {"to_q", "to_k", "to_v", NULL};
  static const char *const before[] = {"query", "key", "value", NULL};
  static const char name[] = "decoder.mid_block.attentions.0";
  bool old = weights_has(loader->file, name_of("%s.query.weight", name).text);
  int64_t c = facts->channels[facts->levels - 1];
  struct norm_shape norm = {c, facts->groups, EPSILON};
  struct matrix_shape square = {c, c, true};
  TRY(load_norm(loader, name_of("%s.group_norm", name).text, norm, &out->norm));
  TRY(load_joined(loader, name, old ? before : now, square, &out->qkv));
  return load_matrix(loader, name_of("%s.%s", name, old ? "proj_attn" : "to_out.0").text, square,
                     &out->out);
}

static enum status load_mid(struct loader *loader, const struct vae_facts *facts, struct vae *out) {
  int64_t c = facts->channels[facts->levels - 1];
  TRY(resnet_load(loader, "decoder.mid_block.resnets.0", resnet_of(facts, c, c), &out->mid[0]));
  TRY(resnet_load(loader, "decoder.mid_block.resnets.1", resnet_of(facts, c, c), &out->mid[1]));
  return facts->mid_attention ? load_attention(loader, facts, &out->attention) : OK;
}

static enum status load_up(struct loader *loader, const struct vae_facts *facts, int i,
                           struct vae_block *out) {
  int level = facts->levels - 1 - i;
  int64_t below = facts->channels[i == 0 ? level : level + 1];
  *out = (struct vae_block){.channels = facts->channels[level]};
  out->resnet =
      arena_take(loader->host, (size_t)(facts->layers_per_block + 1) * sizeof *out->resnet);
  if (out->resnet == NULL) {
    return EXHAUSTED;
  }
  for (int j = 0; j <= facts->layers_per_block; j++) {
    struct resnet_shape shape = resnet_of(facts, j == 0 ? below : out->channels, out->channels);
    TRY(resnet_load(loader, name_of("decoder.up_blocks.%d.resnets.%d", i, j).text, shape,
                    &out->resnet[j]));
  }
  if (level == 0) {
    return OK;
  }
  return load_growing_conv(loader, name_of("decoder.up_blocks.%d.upsamplers.0.conv", i).text,
                           out->channels, NULL, &out->doubling);
}

enum status vae_load(struct loader *loader, const struct vae_facts *facts, struct vae *vae) {
  int64_t latents = facts->latent_channels, deepest = facts->channels[facts->levels - 1];
  struct norm_shape norm = {facts->channels[0], facts->groups, EPSILON};
  *vae = (struct vae){.facts = facts};
  weights_skip(loader->file, "encoder.");
  weights_skip(loader->file, "quant_conv.");
  if (facts->post_quant) {
    TRY(load_matrix(loader, "post_quant_conv", (struct matrix_shape){latents, latents, true},
                    &vae->post_quant));
  }
  TRY(load_conv(loader, "decoder.conv_in", deepest, latents, &vae->conv_in));
  TRY(load_mid(loader, facts, vae));
  for (int i = 0; i < facts->levels; i++) {
    TRY(load_up(loader, facts, i, &vae->up[i]));
  }
  TRY(load_norm(loader, "decoder.conv_norm_out", norm, &vae->norm_out));
  return load_conv(loader, "decoder.conv_out", PICTURE_CHANNELS, facts->channels[0],
                   &vae->conv_out);
}

/* ---- running ---- */

/* x += out(attention(norm(x))), one head over all channels and pixels. */
static enum status attend(const struct pass *pass, const struct vae_attention *attention,
                          const struct tensor *x) {
  struct arena_mark mark = arena_mark(pass->arena);
  int64_t c = x->shape[3];
  struct tensor tokens = tensor_view(x, TENSOR_SHAPE(x->shape[0], x->shape[1] * x->shape[2], c));
  struct tensor normed, qkv;
  TRY(pass_take(pass, x->rank, x->shape, &normed));
  TRY(pass_take(pass, TENSOR_SHAPE(x->shape[0], tokens.shape[1], 3 * c), &qkv));
  TRY(pass_group_norm(pass, x, &attention->norm, false, &normed));
  normed = tensor_view(&normed, tokens.rank, tokens.shape);
  TRY(pass_matmul(pass, &normed, attention->qkv, NULL, &qkv));
  TRY(pass_attention(pass, &(struct attention){{&qkv, 0}, {&qkv, c}, {&qkv, 2 * c}, .heads = 1},
                     &normed));
  TRY(pass_matmul(pass, &normed, attention->out, &(struct matmul_options){.residual = &tokens},
                  &tokens));
  arena_release(pass->arena, mark);
  return OK;
}

/* out = mid(conv_in(post_quant(latents))) */
static enum status mid_run(const struct pass *pass, const struct vae *vae,
                           const struct tensor *latents, struct tensor *out) {
  int64_t rows = latents->shape[0], height = latents->shape[1], width = latents->shape[2];
  struct tensor quantized = *latents, first;
  TRY(pass_take(pass, TENSOR_SHAPE(rows, height, width, weight_outputs(vae->conv_in)), out));
  struct arena_mark mark = arena_mark(pass->arena);
  TRY(pass_take(pass, out->rank, out->shape, &first));
  if (vae->post_quant != NULL) {
    int64_t channels = latents->shape[3];
    TRY(pass_take(pass, latents->rank, latents->shape, &quantized));
    struct tensor from = tensor_view(latents, TENSOR_SHAPE(rows, height * width, channels));
    struct tensor to = tensor_view(&quantized, TENSOR_SHAPE(rows, height * width, channels));
    TRY(pass_matmul(pass, &from, vae->post_quant, NULL, &to));
  }
  TRY(pass_conv(pass, &quantized, vae->conv_in, &same_size, out));
  TRY(resnet_run(pass, &vae->mid[0], out, NULL, &first));
  if (vae->facts->mid_attention) {
    TRY(attend(pass, &vae->attention, &first));
  }
  TRY(resnet_run(pass, &vae->mid[1], &first, NULL, out));
  arena_release(pass->arena, mark);
  return OK;
}

/* All residual blocks of a level, x -> last, in `last` and another picture by turns. */
static enum status layers_run(const struct pass *pass, const struct vae *vae,
                              const struct vae_block *block, const struct tensor *x,
                              const struct tensor *last) {
  struct tensor other;
  TRY(pass_take(pass, last->rank, last->shape, &other));
  for (int i = 0; i <= vae->facts->layers_per_block; i++) {
    const struct tensor *y = (vae->facts->layers_per_block - i) % 2 == 0 ? last : &other;
    TRY(resnet_run(pass, &block->resnet[i], x, NULL, y));
    x = y;
  }
  return OK;
}

/* x -> out, doubled unless the level is the last. */
static enum status up_run(const struct pass *pass, const struct vae *vae,
                          const struct vae_block *block, const struct tensor *x,
                          struct tensor *out) {
  int64_t rows = x->shape[0], height = x->shape[1], width = x->shape[2];
  int factor = block->doubling != NULL ? 2 : 1;
  TRY(pass_take(pass, TENSOR_SHAPE(rows, factor * height, factor * width, block->channels), out));
  struct arena_mark mark = arena_mark(pass->arena);
  if (block->doubling == NULL) {
    TRY(layers_run(pass, vae, block, x, out));
    arena_release(pass->arena, mark);
    return OK;
  }
  struct tensor small;
  TRY(pass_take(pass, TENSOR_SHAPE(rows, height, width, block->channels), &small));
  struct arena_mark inside = arena_mark(pass->arena);
  TRY(layers_run(pass, vae, block, x, &small));
  arena_release(pass->arena, inside);
  TRY(pass_upsample_conv(pass, &small, block->doubling, out));
  arena_release(pass->arena, mark);
  return OK;
}

enum status vae_run(const struct pass *pass, const struct vae *vae, const struct tensor *latents,
                    const struct tensor *picture) {
  struct tensor x;
  TRY(mid_run(pass, vae, latents, &x));
  for (int i = 0; i < vae->facts->levels; i++) {
    struct tensor below = x;
    TRY(up_run(pass, vae, &vae->up[i], &below, &x));
  }
  TRY(pass_group_norm(pass, &x, &vae->norm_out, true, &x));
  return pass_conv(pass, &x, vae->conv_out, &same_size, picture);
}
