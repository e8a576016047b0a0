/* key_rules.c - the tables. Columns: beginning, what stands in its place, what follows, counting,
 * form.
 */
#include "worker/model/key_rules.h"

const struct key_rule same_key_rules[] = {{"", "", .rest = NULL}, {.from = NULL}};

/* ---- U-Net ---- */

static const struct key_rule unet_resnet[] = {
    {"in_layers.0", "norm1", .rest = NULL},
    {"in_layers.2", "conv1", .rest = NULL},
    {"emb_layers.1", "time_emb_proj", .rest = NULL},
    {"out_layers.0", "norm2", .rest = NULL},
    {"out_layers.3", "conv2", .rest = NULL},
    {"skip_connection", "conv_shortcut", .rest = NULL},
    {.from = NULL},
};

/* A block's entry 0 is the residual block or the way down, 1 the transformer; the way up stands
 * behind what there is. A transformer's inner names are the same. */
const struct key_rule unet_key_rules[] = {
    {"time_embed.0", "time_embedding.linear_1", .rest = NULL},
    {"time_embed.2", "time_embedding.linear_2", .rest = NULL},
    {"time_embed.cond_proj", "time_embedding.cond_proj", .rest = NULL},
    {"label_emb.0.0", "add_embedding.linear_1", .rest = NULL},
    {"label_emb.0.2", "add_embedding.linear_2", .rest = NULL},
    {"input_blocks.0.0", "conv_in", .rest = NULL},
    {"input_blocks.#.0.op", "down_blocks.#.downsamplers.0.conv", .count = COUNT_DOWN},
    {"input_blocks.#.0", "down_blocks.#.resnets.#", .rest = unet_resnet, .count = COUNT_DOWN},
    {"input_blocks.#.1", "down_blocks.#.attentions.#", .count = COUNT_DOWN},
    {"middle_block.0", "mid_block.resnets.0", .rest = unet_resnet},
    {"middle_block.1", "mid_block.attentions.0", .rest = NULL},
    {"middle_block.2", "mid_block.resnets.1", .rest = unet_resnet},
    {"output_blocks.#.1.conv", "up_blocks.#.upsamplers.0.conv", .count = COUNT_UP},
    {"output_blocks.#.2.conv", "up_blocks.#.upsamplers.0.conv", .count = COUNT_UP},
    {"output_blocks.#.0", "up_blocks.#.resnets.#", .rest = unet_resnet, .count = COUNT_UP},
    {"output_blocks.#.1", "up_blocks.#.attentions.#", .count = COUNT_UP},
    {"out.0", "conv_norm_out", .rest = NULL},
    {"out.2", "conv_out", .rest = NULL},
    {.from = NULL},
};

/* ---- control nets: the U-Net's way down, and what goes in and out ---- */

const struct key_rule control_key_rules[] = {
    {"input_hint_block.0", "controlnet_cond_embedding.conv_in", .rest = NULL},
    {"input_hint_block.$", "controlnet_cond_embedding.conv_out", .rest = NULL},
    {"input_hint_block.#", "controlnet_cond_embedding.blocks.#", .count = COUNT_HALF},
    {"zero_convs.#.0", "controlnet_down_blocks.#", .rest = NULL},
    {"middle_block_out.0", "controlnet_mid_block", .rest = NULL},
    {"", "", .rest = unet_key_rules},
    {.from = NULL},
};

/* ---- VAE ---- */

static const struct key_rule vae_resnet[] = {
    {"nin_shortcut", "conv_shortcut", .rest = NULL}, {"", "", .rest = NULL}, {.from = NULL}};

static const struct key_rule vae_mid[] = {
    {"block_1", "resnets.0", .rest = vae_resnet},
    {"block_2", "resnets.1", .rest = vae_resnet},
    {"attn_1.norm", "attentions.0.group_norm", .rest = NULL},
    {"attn_1.q", "attentions.0.to_q", .rest = NULL},
    {"attn_1.k", "attentions.0.to_k", .rest = NULL},
    {"attn_1.v", "attentions.0.to_v", .rest = NULL},
    {"attn_1.proj_out", "attentions.0.to_out.0", .rest = NULL},
    {.from = NULL},
};

const struct key_rule vae_key_rules[] = {
    {"encoder.down.#.block.#", "encoder.down_blocks.#.resnets.#", .rest = vae_resnet},
    {"encoder.down.#.downsample", "encoder.down_blocks.#.downsamplers.0", .rest = NULL},
    {"encoder.mid", "encoder.mid_block", .rest = vae_mid},
    {"encoder.norm_out", "encoder.conv_norm_out", .rest = NULL},
    {"decoder.up.#.block.#", "decoder.up_blocks.#.resnets.#", .rest = vae_resnet,
     .count = COUNT_BACK},
    {"decoder.up.#.upsample", "decoder.up_blocks.#.upsamplers.0", .count = COUNT_BACK},
    {"decoder.mid", "decoder.mid_block", .rest = vae_mid},
    {"decoder.norm_out", "decoder.conv_norm_out", .rest = NULL},
    {"loss", NULL, .rest = NULL}, /* of training */
    {"", "", .rest = NULL},       /* conv_in, conv_out, quant_conv, post_quant_conv */
    {.from = NULL},
};

static const struct key_rule old_attention[] = {
    {"query", "to_q", .rest = NULL}, {"key", "to_k", .rest = NULL},
    {"value", "to_v", .rest = NULL}, {"proj_attn", "to_out.0", .rest = NULL},
    {"", "", .rest = NULL},          {.from = NULL},
};

const struct key_rule vae_folder_key_rules[] = {
    {"encoder.mid_block.attentions.0", "encoder.mid_block.attentions.0", .rest = old_attention},
    {"decoder.mid_block.attentions.0", "decoder.mid_block.attentions.0", .rest = old_attention},
    {"", "", .rest = NULL},
    {.from = NULL},
};

/* The original has a layer before the first convolution that only limits its input. */
const struct key_rule tiny_key_rules[] = {
    {"#", "decoder.layers.#", .count = COUNT_LESS},
    {.from = NULL},
};

/* ---- text encoders ---- */

const struct key_rule clip_key_rules[] = {
    {"text_model.embeddings.position_ids", NULL, .rest = NULL}, /* 0, 1, 2, ... */
    {"embeddings.position_ids", NULL, .rest = NULL},
    {"embeddings", "text_model.embeddings", .rest = NULL},
    {"encoder", "text_model.encoder", .rest = NULL},
    {"final_layer_norm", "text_model.final_layer_norm", .rest = NULL},
    {"logit_scale", NULL, .rest = NULL}, /* of training against pictures */
    {"", "", .rest = NULL},
    {.from = NULL},
};

static const struct key_rule open_clip_layer[] = {
    {"ln_1", "layer_norm1", .rest = NULL},
    {"ln_2", "layer_norm2", .rest = NULL},
    {"mlp.c_fc", "mlp.fc1", .rest = NULL},
    {"mlp.c_proj", "mlp.fc2", .rest = NULL},
    {"attn.in_proj_weight", "self_attn.*_proj.weight", .form = KEY_THIRDS},
    {"attn.in_proj_bias", "self_attn.*_proj.bias", .form = KEY_THIRDS},
    {"attn.out_proj", "self_attn.out_proj", .rest = NULL},
    {.from = NULL},
};

const struct key_rule open_clip_key_rules[] = {
    {"token_embedding", "text_model.embeddings.token_embedding", .rest = NULL},
    {"positional_embedding", "text_model.embeddings.position_embedding.weight", .rest = NULL},
    {"ln_final", "text_model.final_layer_norm", .rest = NULL},
    {"transformer.resblocks.#", "text_model.encoder.layers.#", .rest = open_clip_layer},
    {"text_projection", "text_projection.weight", .form = KEY_TURNED},
    {"logit_scale", NULL, .rest = NULL},
    {"attn_mask", NULL, .rest = NULL}, /* what causal attention sees, always the same */
    {.from = NULL},
};

const struct key_rule open_clip_penultimate_key_rules[] = {
    {"transformer.resblocks.$", NULL, .rest = NULL},
    {"text_projection", NULL, .rest = NULL},
    {"", "", .rest = open_clip_key_rules},
    {.from = NULL},
};
