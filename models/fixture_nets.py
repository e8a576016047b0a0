"""Names and shapes of the tensors of diffusers' networks, from their configs. Plain Python; used by fixtures.py.

A config is what the network's config.json says; only what changes a shape is looked at.
"""


class Shapes(dict):
    """Tensor name -> shape, filled by one method per kind of layer."""

    def layer(self, name, shape, bias=True):
        self[name + ".weight"] = tuple(shape)
        if bias:
            self[name + ".bias"] = (shape[0],)

    def norm(self, name, n):
        self.layer(name, (n,))

    def conv(self, name, out, inp, k=3, bias=True):
        self.layer(name, (out, inp, k, k), bias)

    def linear(self, name, out, inp, bias=True):
        self.layer(name, (out, inp), bias)

    def resnet(self, name, inp, out, temb=0):
        self.norm(name + ".norm1", inp)
        self.conv(name + ".conv1", out, inp)
        if temb:
            self.linear(name + ".time_emb_proj", out, temb)
        self.norm(name + ".norm2", out)
        self.conv(name + ".conv2", out, out)
        if inp != out:
            self.conv(name + ".conv_shortcut", out, inp, 1)

    def attention(self, name, n, context):
        self.linear(name + ".to_q", n, n, False)
        self.linear(name + ".to_k", n, context, False)
        self.linear(name + ".to_v", n, context, False)
        self.linear(name + ".to_out.0", n, n)

    def transformer(self, name, n, context, layers=1, linear=False):
        project = self.linear if linear else lambda name, out, inp: self.conv(name, out, inp, 1)
        self.norm(name + ".norm", n)
        project(name + ".proj_in", n, n)
        for k in range(layers):
            block = f"{name}.transformer_blocks.{k}"
            for i in (1, 2, 3):
                self.norm(f"{block}.norm{i}", n)
            self.attention(block + ".attn1", n, n)
            self.attention(block + ".attn2", n, context)
            self.linear(block + ".ff.net.0.proj", 8 * n, n)
            self.linear(block + ".ff.net.2", n, 4 * n)
        project(name + ".proj_out", n, n)


class Levels:
    """A U-Net's config, a value per level."""

    def __init__(self, config):
        self.widths = config["block_out_channels"]
        self.count = len(self.widths)
        self.layers = config["layers_per_block"]
        self.temb = 4 * self.widths[0]
        self.cross = config["cross_attention_dim"]
        self.linear = config.get("use_linear_projection", False)
        depth = config.get("transformer_layers_per_block", 1)
        self.depth = depth if isinstance(depth, list) else [depth] * self.count
        self.down = [kind.startswith("Cross") for kind in config["down_block_types"]]
        self.up = [kind.startswith("Cross") for kind in config.get("up_block_types", config["down_block_types"][::-1])]

    def transformer(self, s, name, level):
        s.transformer(name, self.widths[level], self.cross, self.depth[level], self.linear)


def ends(s, config, levels):
    """What comes before the levels: the picture's first convolution, time and what is added to it."""
    temb, a = levels.temb, levels.widths[0]
    s.conv("conv_in", a, config["in_channels"])
    s.linear("time_embedding.linear_1", temb, a)
    s.linear("time_embedding.linear_2", temb, temb)
    if config.get("time_cond_proj_dim"):
        s.linear("time_embedding.cond_proj", a, config["time_cond_proj_dim"], False)
    if config.get("addition_embed_type"):
        s.linear("add_embedding.linear_1", temb, config["projection_class_embeddings_input_dim"])
        s.linear("add_embedding.linear_2", temb, temb)


def down(s, levels):
    """The way down and the middle; gives the widths of the skips."""
    before, skips = levels.widths[0], [levels.widths[0]]
    for i, n in enumerate(levels.widths):
        for j in range(levels.layers):
            s.resnet(f"down_blocks.{i}.resnets.{j}", before if j == 0 else n, n, levels.temb)
            if levels.down[i]:
                levels.transformer(s, f"down_blocks.{i}.attentions.{j}", i)
            skips.append(n)
        if i < levels.count - 1:
            s.conv(f"down_blocks.{i}.downsamplers.0.conv", n, n)
            skips.append(n)
        before = n
    s.resnet("mid_block.resnets.0", before, before, levels.temb)
    levels.transformer(s, "mid_block.attentions.0", levels.count - 1)
    s.resnet("mid_block.resnets.1", before, before, levels.temb)
    return skips


def unet_shapes(config):
    s, levels = Shapes(), Levels(config)
    ends(s, config, levels)
    skips = down(s, levels)
    below = levels.widths[-1]
    for i in range(levels.count):
        level = levels.count - 1 - i
        n = levels.widths[level]
        for j in range(levels.layers + 1):
            s.resnet(f"up_blocks.{i}.resnets.{j}", below + skips.pop(), n, levels.temb)
            if levels.up[i]:
                levels.transformer(s, f"up_blocks.{i}.attentions.{j}", level)
            below = n
        if level > 0:
            s.conv(f"up_blocks.{i}.upsamplers.0.conv", n, n)
    s.norm("conv_norm_out", levels.widths[0])
    s.conv("conv_out", config["out_channels"], levels.widths[0])
    return s


def control_shapes(config):
    """ControlNetModel: the way down, the hint's own convolutions, a 1x1 convolution for every skip."""
    s, levels = Shapes(), Levels(config)
    ends(s, config, levels)
    widths = config["conditioning_embedding_out_channels"]
    s.conv("controlnet_cond_embedding.conv_in", widths[0], 3)
    for i in range(len(widths) - 1):
        s.conv(f"controlnet_cond_embedding.blocks.{2 * i}", widths[i], widths[i])
        s.conv(f"controlnet_cond_embedding.blocks.{2 * i + 1}", widths[i + 1], widths[i])
    s.conv("controlnet_cond_embedding.conv_out", levels.widths[0], widths[-1])
    for i, n in enumerate(down(s, levels)):
        s.conv(f"controlnet_down_blocks.{i}", n, n, 1)
    s.conv("controlnet_mid_block", levels.widths[-1], levels.widths[-1], 1)
    return s


def vae_mid(s, side, n):
    """Residual, attention with biases, residual."""
    s.resnet(side + ".mid_block.resnets.0", n, n)
    s.norm(side + ".mid_block.attentions.0.group_norm", n)
    for part in ("to_q", "to_k", "to_v", "to_out.0"):
        s.linear(f"{side}.mid_block.attentions.0.{part}", n, n)
    s.resnet(side + ".mid_block.resnets.1", n, n)


def vae_shapes(config):
    """Encoder and decoder; a decoder's block has one residual block more than an encoder's."""
    s, widths, z, layers = Shapes(), config["block_out_channels"], config["latent_channels"], config["layers_per_block"]
    last = len(widths) - 1
    s.conv("encoder.conv_in", widths[0], 3)
    before = widths[0]
    for i, n in enumerate(widths):
        for j in range(layers):
            s.resnet(f"encoder.down_blocks.{i}.resnets.{j}", before, n)
            before = n
        if i < last:
            s.conv(f"encoder.down_blocks.{i}.downsamplers.0.conv", n, n)
    vae_mid(s, "encoder", widths[-1])
    s.norm("encoder.conv_norm_out", widths[-1])
    s.conv("encoder.conv_out", 2 * z, widths[-1])
    s.conv("quant_conv", 2 * z, 2 * z, 1)
    s.conv("post_quant_conv", z, z, 1)
    s.conv("decoder.conv_in", widths[-1], z)
    vae_mid(s, "decoder", widths[-1])
    before = widths[-1]
    for i, n in enumerate(reversed(widths)):
        for j in range(layers + 1):
            s.resnet(f"decoder.up_blocks.{i}.resnets.{j}", before, n)
            before = n
        if i < last:
            s.conv(f"decoder.up_blocks.{i}.upsamplers.0.conv", n, n)
    s.norm("decoder.conv_norm_out", widths[0])
    s.conv("decoder.conv_out", 3, widths[0])
    return s


def tiny_vae_shapes(config):
    """AutoencoderTiny's layers stand in two lists; a block is three convolutions with ReLU between."""
    s, z = Shapes(), config["latent_channels"]

    def block(name, n):
        for k in (0, 2, 4):
            s.conv(f"{name}.conv.{k}", n, n)

    widths, counts = config["encoder_block_out_channels"], config["num_encoder_blocks"]
    at = 0
    for i, (n, count) in enumerate(zip(widths, counts)):
        s.conv(f"encoder.layers.{at}", n, 3 if i == 0 else n, bias=i == 0)
        at += 1
        for _ in range(count):
            block(f"encoder.layers.{at}", n)
            at += 1
    s.conv(f"encoder.layers.{at}", z, widths[-1])
    widths, counts = config["decoder_block_out_channels"], config["num_decoder_blocks"]
    s.conv("decoder.layers.0", widths[0], z)
    at = 2  # a ReLU stands between
    for i, (n, count) in enumerate(zip(widths, counts)):
        final = i == len(widths) - 1
        for _ in range(count):
            block(f"decoder.layers.{at}", n)
            at += 1
        at += 0 if final else 1  # the doubling
        s.conv(f"decoder.layers.{at}", 3 if final else n, n, bias=final)
        at += 1
    return s


def text_shapes(config):
    """CLIP text encoder; with a projection where the config names the class that has one."""
    s, n, inner = Shapes(), config["hidden_size"], config["intermediate_size"]
    s["text_model.embeddings.token_embedding.weight"] = (config["vocab_size"], n)
    s["text_model.embeddings.position_embedding.weight"] = (config["max_position_embeddings"], n)
    for i in range(config["num_hidden_layers"]):
        layer = f"text_model.encoder.layers.{i}"
        for part in ("k_proj", "v_proj", "q_proj", "out_proj"):
            s.linear(f"{layer}.self_attn.{part}", n, n)
        s.norm(layer + ".layer_norm1", n)
        s.linear(layer + ".mlp.fc1", inner, n)
        s.linear(layer + ".mlp.fc2", n, inner)
        s.norm(layer + ".layer_norm2", n)
    s.norm("text_model.final_layer_norm", n)
    if config["architectures"] == ["CLIPTextModelWithProjection"]:
        s.linear("text_projection", config["projection_dim"], n, False)
    return s
