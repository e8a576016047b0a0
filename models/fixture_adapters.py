"""Tiny adapters for the tiny models: low-rank changes in every dialect, and words of textual inversion. Plain Python.

The values are hashed by the name "lora/" + what the change is of + its part, so all dialects of one change hold the same.
"""
from array import array

RANK, ALPHA = 4, 2.0
# What the plain ones change: of each kind of layer one or two.
LINEAR = ["down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q", "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_v",
          "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k", "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_v",
          "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_out.0", "mid_block.attentions.0.transformer_blocks.0.attn1.to_k",
          "up_blocks.1.attentions.1.transformer_blocks.0.ff.net.0.proj", "up_blocks.1.attentions.1.transformer_blocks.0.ff.net.2"]
TEXT = ["text_model.encoder.layers.0.self_attn.q_proj", "text_model.encoder.layers.1.self_attn.out_proj",
        "text_model.encoder.layers.1.mlp.fc1"]
CONVS = ["down_blocks.1.resnets.0.conv1", "mid_block.resnets.1.conv2", "up_blocks.0.upsamplers.0.conv"]
XL = ["down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q", "down_blocks.2.attentions.0.transformer_blocks.1.attn2.to_v",
      "mid_block.attentions.0.transformer_blocks.1.ff.net.2", "up_blocks.0.attentions.1.transformer_blocks.0.attn1.to_out.0",
      "up_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"]
# kohya's names of the XL ones are the original code's
XL_KOHYA = ["input_blocks_3_1_transformer_blocks_0_attn1_to_q", "input_blocks_5_1_transformer_blocks_1_attn2_to_v",
            "middle_block_1_transformer_blocks_1_ff_net_2", "output_blocks_1_1_transformer_blocks_0_attn1_to_out_0",
            "output_blocks_2_1_transformer_blocks_0_attn2_to_k"]


class Maker:
    """Hashed tensors for changes of a model's layers."""

    def __init__(self, models, tensor):
        self.models, self.tensor = models, tensor

    def shape(self, model, part, module):
        return self.models[model][part][module + ".weight"][0]

    def values(self, module, name, shape):
        return tuple(shape), self.tensor(f"lora/{module}/{name}", tuple(shape))

    def pair(self, model, part, module):
        """(down, up); a convolution's down has its kernel, its up none."""
        o, i, *kernel = self.shape(model, part, module)
        return self.values(module, "down", (RANK, i, *kernel)), self.values(module, "up", (o, RANK, *[1] * len(kernel)))


def scalar(value):
    return (), array("f", [value])


def kohya(maker, model, parts):
    """(prefix, part, modules or (module, name) pairs) -> a file in kohya's dialect."""
    table = {}
    for prefix, part, modules in parts:
        for module, name in modules:
            down, up = maker.pair(model, part, module)
            key = f"{prefix}_{name}"
            table |= {f"{key}.lora_down.weight": down, f"{key}.lora_up.weight": up, f"{key}.alpha": scalar(ALPHA)}
    return table


def underscored(modules):
    return [(module, module.replace(".", "_")) for module in modules]


def in_peft(prefix, module):
    """PEFT's names of a layer's two matrices."""
    return f"{prefix}.{module}.lora_A.weight", f"{prefix}.{module}.lora_B.weight"


def in_diffusers(prefix, module):
    """diffusers' own, of the time before PEFT: an attention's stand below its processor."""
    if prefix != "unet":
        return tuple(f"{prefix}.{module}.lora_linear_layer.{part}.weight" for part in ("down", "up"))
    attention, layer = module.rsplit(".to_", 1)
    return tuple(f"unet.{attention}.processor.to_{layer.removesuffix('.0')}_lora.{part}.weight" for part in ("down", "up"))


def dotted(maker, model, parts, names):
    """No alpha, so up carries alpha / rank to mean the same."""
    table = {}
    for prefix, part, modules in parts:
        for module in modules:
            down, (shape, values) = maker.pair(model, part, module)
            down_name, up_name = names(prefix, module)
            table[down_name] = down
            table[up_name] = shape, array("f", (v * (ALPHA / RANK) for v in values))
    return table


def flat(shape):
    """Rows and columns of a kernel as a matrix."""
    o, *rest = shape
    n = 1
    for side in rest:
        n *= side
    return o, n


def loha(maker, modules):
    """(w1_a w1_b) * (w2_a w2_b), element by element."""
    table = {}
    for module in modules:
        o, n = flat(maker.shape("tiny-eps", "unet", module))
        key = "lora_unet_" + module.replace(".", "_")
        for which in ("w1", "w2"):
            table[f"{key}.hada_{which}_a"] = maker.values(module, which + "_a", (o, RANK))
            table[f"{key}.hada_{which}_b"] = maker.values(module, which + "_b", (RANK, n))
        table[f"{key}.alpha"] = scalar(ALPHA)
    return table


def lokr(maker, modules):
    """kron(w1, w2) with w1 whole and w2 in two factors."""
    table = {}
    for module in modules:
        o, i, *kernel = maker.shape("tiny-eps", "unet", module)
        key = "lora_unet_" + module.replace(".", "_")
        n = 1
        for side in kernel:
            n *= side
        table[f"{key}.lokr_w1"] = maker.values(module, "lokr_w1", (4, 2))
        table[f"{key}.lokr_w2_a"] = maker.values(module, "lokr_w2_a", (o // 4, RANK))
        table[f"{key}.lokr_w2_b"] = maker.values(module, "lokr_w2_b", (RANK, i // 2 * n))
        table[f"{key}.alpha"] = scalar(ALPHA)
    return table


def dora(maker, modules):
    """Low rank with a magnitude for every output."""
    table = kohya(maker, "tiny-eps", [("lora_unet", "unet", underscored(modules))])
    for module in modules:
        shape = maker.shape("tiny-eps", "unet", module)
        _, values = maker.values(module, "dora", (shape[0],))
        key = "lora_unet_" + module.replace(".", "_")
        table[f"{key}.dora_scale"] = (shape[0], *[1] * (len(shape) - 1)), array("f", (1.0 + v for v in values))
    return table


def full(maker, modules):
    """Whole differences of a weight and its bias, and of a norm."""
    table = {}
    for module in modules:
        shape = maker.shape("tiny-eps", "unet", module)
        key = "lora_unet_" + module.replace(".", "_")
        table[f"{key}.diff"] = maker.values(module, "diff", shape)
        table[f"{key}.diff_b"] = maker.values(module, "diff_b", shape[:1])
    norm = "down_blocks.1.resnets.0.norm1"
    (width,) = maker.shape("tiny-eps", "unet", norm)
    key = "lora_unet_" + norm.replace(".", "_")
    return {**table, f"{key}.w_norm": maker.values(norm, "w_norm", (width,)), f"{key}.b_norm": maker.values(norm, "b_norm", (width,))}


def tucker(maker, modules):
    """LoCon with a middle: up (mid (down x))."""
    table = {}
    for module in modules:
        o, i, *kernel = maker.shape("tiny-eps", "unet", module)
        key = "lora_unet_" + module.replace(".", "_")
        table[f"{key}.lora_down.weight"] = maker.values(module, "tucker_down", (RANK, i, 1, 1))
        table[f"{key}.lora_mid.weight"] = maker.values(module, "tucker_mid", (RANK, RANK, *kernel))
        table[f"{key}.lora_up.weight"] = maker.values(module, "tucker_up", (o, RANK, 1, 1))
        table[f"{key}.alpha"] = scalar(ALPHA)
    return table


def write_adapters(out, models, tensor, write):
    maker = Maker(models, tensor)
    both = [("unet", "unet", LINEAR), ("text_encoder", "text_encoder", TEXT)]
    files = {
        "kohya": kohya(maker, "tiny-eps", [("lora_unet", "unet", underscored(LINEAR)), ("lora_te", "text_encoder", underscored(TEXT))]),
        "diffusers": dotted(maker, "tiny-eps", [("unet", "unet", [name for name in LINEAR if ".to_" in name]), both[1]], in_diffusers),
        "peft": dotted(maker, "tiny-eps", both, in_peft),
        "kohya-xl": kohya(maker, "tiny-xl", [("lora_unet", "unet", list(zip(XL, XL_KOHYA))),
                                             ("lora_te1", "text_encoder", underscored(TEXT)),
                                             ("lora_te2", "text_encoder_2", underscored(TEXT))]),
        "peft-xl": dotted(maker, "tiny-xl", [("unet", "unet", XL), ("text_encoder", "text_encoder", TEXT),
                                             ("text_encoder_2", "text_encoder_2", TEXT)], in_peft),
        "locon": kohya(maker, "tiny-eps", [("lora_unet", "unet", underscored(LINEAR + CONVS))]),
        "tucker": tucker(maker, CONVS),
        "loha": loha(maker, LINEAR + CONVS),
        "lokr": lokr(maker, LINEAR + CONVS),
        "dora": dora(maker, LINEAR + CONVS),
        "full": full(maker, CONVS),
    }
    for name, table in files.items():
        write(out / f"lora/{name}.safetensors", table)
    words = {"a1111": {"emb_params": ((2, 32), tensor("embedding/one", (2, 32)))},
             "diffusers": {"<castle>": ((3, 32), tensor("embedding/two", (3, 32)))},
             "single": {"<tower>": ((32,), tensor("embedding/three", (32,)))},
             "xl": {"clip_l": ((2, 32), tensor("embedding/one", (2, 32))), "clip_g": ((2, 48), tensor("embedding/four", (2, 48)))}}
    for name, table in words.items():
        write(out / f"embedding/{name}.safetensors", table)
