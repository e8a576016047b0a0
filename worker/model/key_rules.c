/* key_rules.c - the tables. Columns: beginning, what stands in its place, what follows, counting,
 * form.
 */
#include "worker/model/key_rules.h"

const struct key_rule same_key_rules[] = {{.from = "", .to = ""}, {.from = NULL}};

/* ---- U-Net ---- */

static const struct key_rule unet_resnet[] = {
    {"in_layers.0", "norm1"},          {"in_layers.2", "conv1"},
    {"emb_layers.1", "time_emb_proj"}, {"out_layers.0", "norm2"},
    {"out_layers.3", "conv2"},         {"skip_connection", "conv_shortcut"},
    {.from = NULL},
};

/* A block's entry 0 is the residual block or the way down, 1 the transformer; the way up stands
 * behind what there is. A transformer's inner names are the same. */
const struct key_rule unet_key_rules[] = {
    {"time_embed.0", "time_embedding.linear_1"},
    {"time_embed.2", "time_embedding.linear_2"},
    {"time_embed.cond_proj", "time_embedding.cond_proj"},
    {"label_emb.0.0", "add_embedding.linear_1"},
    {"label_emb.0.2", "add_embedding.linear_2"},
    {"input_blocks.0.0", "conv_in"},
    {"input_blocks.#.0.op", "down_blocks.#.downsamplers.0.conv", .count = COUNT_DOWN},
    {"input_blocks.#.0", "down_blocks.#.resnets.#", unet_resnet, COUNT_DOWN},
    {"input_blocks.#.1", "down_blocks.#.attentions.#", .count = COUNT_DOWN},
    {"middle_block.0", "mid_block.resnets.0", unet_resnet},
    {"middle_block.1", "mid_block.attentions.0"},
    {"middle_block.2", "mid_block.resnets.1", unet_resnet},
    {"output_blocks.#.1.conv", "up_blocks.#.upsamplers.0.conv", .count = COUNT_UP},
    {"output_blocks.#.2.conv", "up_blocks.#.upsamplers.0.conv", .count = COUNT_UP},
    {"output_blocks.#.0", "up_blocks.#.resnets.#", unet_resnet, COUNT_UP},
    {"output_blocks.#.1", "up_blocks.#.attentions.#", .count = COUNT_UP},
    {"out.0", "conv_norm_out"},
    {"out.2", "conv_out"},
    {.from = NULL},
};

/* ---- control nets: the U-Net's way down, and what goes in and out ---- */

const struct key_rule control_key_rules[] = {
    {"input_hint_block.0", "controlnet_cond_embedding.conv_in"},
    {"input_hint_block.$", "controlnet_cond_embedding.conv_out"},
    {"input_hint_block.#", "controlnet_cond_embedding.blocks.#", .count = COUNT_HALF},
    {"zero_convs.#.0", "controlnet_down_blocks.#"},
    {"middle_block_out.0", "controlnet_mid_block"},
    {"", "", unet_key_rules},
    {.from = NULL},
};

/* ---- VAE ---- */

static const struct key_rule vae_resnet[] = {
    {"nin_shortcut", "conv_shortcut"}, {"", ""}, {.from = NULL}};

static const struct key_rule vae_mid[] = {
    {"block_1", "resnets.0", vae_resnet}, {"block_2", "resnets.1", vae_resnet},
    {"attn_1.norm", "attentions.0.group_norm"}, {"attn_1.q", "attentions.0.to_q"},
    {"attn_1.k", "attentions.0.to_k"}, {"attn_1.v", "attentions.0.to_v"},
    {"attn_1.proj_out", "attentions.0.to_out.0"}, {.from = NULL},
};

const struct key_rule vae_key_rules[] = {
    {"encoder.down.#.block.#", "encoder.down_blocks.#.resnets.#", vae_resnet},
    {"encoder.down.#.downsample", "encoder.down_blocks.#.downsamplers.0"},
    {"encoder.mid", "encoder.mid_block", vae_mid},
    {"encoder.norm_out", "encoder.conv_norm_out"},
    {"decoder.up.#.block.#", "decoder.up_blocks.#.resnets.#", vae_resnet, COUNT_BACK},
    {"decoder.up.#.upsample", "decoder.up_blocks.#.upsamplers.0", .count = COUNT_BACK},
    {"decoder.mid", "decoder.mid_block", vae_mid},
    {"decoder.norm_out", "decoder.conv_norm_out"},
    {"loss", NULL}, /* of training */
    {"", ""},       /* conv_in, conv_out, quant_conv, post_quant_conv */
    {.from = NULL},
};

static const struct key_rule old_attention[] = {
    {"query", "to_q"}, {"key", "to_k"}, {"value", "to_v"},
    {"proj_attn", "to_out.0"}, {"", ""}, {.from = NULL},
};

const struct key_rule vae_folder_key_rules[] = {
    {"encoder.mid_block.attentions.0", "encoder.mid_block.attentions.0", old_attention},
    {"decoder.mid_block.attentions.0", "decoder.mid_block.attentions.0", old_attention},
    {"", ""},
    {.from = NULL},
};

/* The original has a layer before the first convolution that only limits its input. */
const struct key_rule tiny_key_rules[] = {
    {"#", "decoder.layers.#", .count = COUNT_LESS},
    {.from = NULL},
};

/* ---- text encoders ---- */

const struct key_rule clip_key_rules[] = {
    {"text_model.embeddings.position_ids", NULL}, /* 0, 1, 2, ... */
    {"embeddings.position_ids", NULL},
    {"embeddings", "text_model.embeddings"},
    {"encoder", "text_model.encoder"},
    {"final_layer_norm", "text_model.final_layer_norm"},
    {"logit_scale", NULL}, /* of training against pictures */
    {"", ""},
    {.from = NULL},
};

static const struct key_rule open_clip_layer[] = {
    {"ln_1", "layer_norm1"},
    {"ln_2", "layer_norm2"},
    {"mlp.c_fc", "mlp.fc1"},
    {"mlp.c_proj", "mlp.fc2"},
    {"attn.in_proj_weight", "self_attn.*_proj.weight", .form = KEY_THIRDS},
    {"attn.in_proj_bias", "self_attn.*_proj.bias", .form = KEY_THIRDS},
    {"attn.out_proj", "self_attn.out_proj"},
    {.from = NULL},
};

const struct key_rule open_clip_key_rules[] = {
    {"token_embedding", "text_model.embeddings.token_embedding"},
    {"positional_embedding", "text_model.embeddings.position_embedding.weight"},
    {"ln_final", "text_model.final_layer_norm"},
    {"transformer.resblocks.#", "text_model.encoder.layers.#", open_clip_layer},
    {"text_projection", "text_projection.weight", .form = KEY_TURNED},
    {"logit_scale", NULL},
    {"attn_mask", NULL}, /* what causal attention sees, always the same */
    {.from = NULL},
};

const struct key_rule open_clip_penultimate_key_rules[] = {
    {"transformer.resblocks.$", NULL},
    {"text_projection", NULL},
    {"", "", open_clip_key_rules},
    {.from = NULL},
};
