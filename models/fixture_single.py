"""The same weights in one file, under the names that Stable Diffusion's original code gives them. Plain Python.

The U-Net's blocks are counted through, the VAE's way up is counted from the other end, OpenCLIP keeps queries, keys and values
of a layer in one tensor and its projection transposed. Where diffusers drops something (the last layer of SD 2.x's encoder,
its projection, the temperature) the file has it all the same, as real ones do.
"""
import re
from array import array

RESNET = {"norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "norm2": "out_layers.0",
          "conv2": "out_layers.3", "conv_shortcut": "skip_connection"}
UNET_ENDS = {"conv_in": "input_blocks.0.0", "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
             "add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2", "conv_norm_out": "out.0",
             "conv_out": "out.2", "time_embedding.cond_proj": "time_embed.cond_proj"}
HINT_ENDS = {"controlnet_cond_embedding.conv_in": "input_hint_block.0", "controlnet_mid_block": "middle_block_out.0"}


def split(name, count):
    """The first parts of a dotted name, and the rest."""
    parts = name.split(".")
    return parts[:count], ".".join(parts[count:])


def inside(kind, rest):
    """The name of a layer within a residual block or a transformer."""
    if kind == "resnets":
        layer, kind_of_tensor = rest.rsplit(".", 1)
        return f"{RESNET[layer]}.{kind_of_tensor}"
    return rest


def unet_name(name, config):
    layers, cross = config["layers_per_block"], [kind.startswith("Cross") for kind in config.get("up_block_types", [])]
    for ours, theirs in UNET_ENDS.items():
        if name.startswith(ours + "."):
            return theirs + name[len(ours):]
    (where, *at), rest = split(name, 4)
    if where == "mid_block":
        (kind, number), rest = (name.split(".")[1], int(name.split(".")[2])), split(name, 3)[1]
        place = {"resnets": 2 * number, "attentions": 1}[kind]
        return f"middle_block.{place}.{inside(kind, rest)}"
    block, kind, number = int(at[0]), at[1], int(at[2])
    if where == "down_blocks":
        row = 1 + block * (layers + 1) + (layers if kind == "downsamplers" else number)
        return f"input_blocks.{row}.0.op.{rest.split('.')[-1]}" if kind == "downsamplers" else \
            f"input_blocks.{row}.{0 if kind == 'resnets' else 1}.{inside(kind, rest)}"
    if kind == "upsamplers":
        return f"output_blocks.{block * (layers + 1) + layers}.{2 if cross[block] else 1}.{rest}"
    return f"output_blocks.{block * (layers + 1) + number}.{0 if kind == 'resnets' else 1}.{inside(kind, rest)}"


def control_name(name, config):
    for ours, theirs in HINT_ENDS.items():
        if name.startswith(ours + "."):
            return theirs + name[len(ours):]
    if name.startswith("controlnet_down_blocks."):
        return re.sub(r"controlnet_down_blocks\.(\d+)", r"zero_convs.\1.0", name)
    last = 4 * len(config["conditioning_embedding_out_channels"]) - 2
    if name.startswith("controlnet_cond_embedding.conv_out"):
        return name.replace("controlnet_cond_embedding.conv_out", f"input_hint_block.{last}")
    hint = re.match(r"controlnet_cond_embedding\.blocks\.(\d+)(.*)", name)
    if hint:
        return f"input_hint_block.{2 + 2 * int(hint.group(1))}{hint.group(2)}"
    return unet_name(name, config)


VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}


def vae_name(name, levels):
    name = name.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m.group(1)) + 1}", name)
    found = re.match(r"(.*)mid_block\.attentions\.0\.(.*)\.(\w+)$", name)
    if found:
        return f"{found.group(1)}mid.attn_1.{VAE_ATTENTION[found.group(2)]}.{found.group(3)}"
    name = re.sub(r"down_blocks\.(\d)\.resnets", r"down.\1.block", name)
    name = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", name)
    name = re.sub(r"up_blocks\.(\d)\.resnets", lambda m: f"up.{levels - 1 - int(m.group(1))}.block", name)
    return re.sub(r"up_blocks\.(\d)\.upsamplers\.0", lambda m: f"up.{levels - 1 - int(m.group(1))}.upsample", name)


def vae_tensor(name, shape):
    """The attention's matrices are 1x1 convolutions there."""
    return (*shape, 1, 1) if re.search(r"mid\.attn_1\.(q|k|v|proj_out)\.weight$", name) else shape


OPEN_CLIP = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj",
             "self_attn.out_proj": "attn.out_proj"}


def transposed(shape, values):
    rows, columns = shape
    return (columns, rows), array("f", (values[r * columns + c] for c in range(columns) for r in range(rows)))


def open_clip(table):
    """A text encoder as OpenCLIP keeps it."""
    out = {"positional_embedding": table["text_model.embeddings.position_embedding.weight"],
           "token_embedding.weight": table["text_model.embeddings.token_embedding.weight"]}
    for part in ("weight", "bias"):
        out[f"ln_final.{part}"] = table[f"text_model.final_layer_norm.{part}"]
    layers = 1 + max(int(name.split(".")[3]) for name in table if ".layers." in name)
    for i in range(layers):
        ours, theirs = f"text_model.encoder.layers.{i}", f"transformer.resblocks.{i}"
        for part in ("weight", "bias"):
            for a, b in OPEN_CLIP.items():
                out[f"{theirs}.{b}.{part}"] = table[f"{ours}.{a}.{part}"]
            thirds = [table[f"{ours}.self_attn.{x}_proj.{part}"] for x in "qkv"]
            (rows, *rest), joined = thirds[0][0], array("f")
            for _, values in thirds:
                joined += values
            out[f"{theirs}.attn.in_proj_{part}"] = ((3 * rows, *rest), joined)
    if "text_projection.weight" in table:
        out["text_projection"] = transposed(*table["text_projection.weight"])
    return out, layers


def with_dropped(out, layers):
    """What an SD 2.x file has beyond what is used: one more layer, a projection, the temperature."""
    for name in [name for name in out if name.startswith(f"transformer.resblocks.{layers - 1}.")]:
        shape, values = out[name]
        out[name.replace(f"resblocks.{layers - 1}.", f"resblocks.{layers}.")] = shape, array("f", [0.5]) * len(values)
    width = out["ln_final.weight"][0][0]
    out["text_projection"] = (width, width), array("f", [0.25]) * (width * width)
    out["logit_scale"] = (), array("f", [4.6])
    return out


def renamed(prefix, table, rename):
    return {prefix + rename(name): value for name, value in table.items()}


def text_part(name, parts):
    """The text encoders under the prefixes of their family."""
    if name == "tiny-sd2":
        out = with_dropped(*open_clip(parts["text_encoder"]))
        return renamed("cond_stage_model.model.", out, str)
    if "text_encoder_2" not in parts:
        return renamed("cond_stage_model.transformer.", parts["text_encoder"], str)
    out = {}
    second = 1 if "text_encoder" in parts else 0
    if second:
        out = renamed("conditioner.embedders.0.transformer.", parts["text_encoder"], str)
    return {**out, **renamed(f"conditioner.embedders.{second}.model.", open_clip(parts["text_encoder_2"])[0], str)}


def single(name, parts, model):
    levels = len(model["vae"]["block_out_channels"])
    vae = {vae_name(key, levels): value for key, value in parts["vae"].items()}
    return {**renamed("model.diffusion_model.", parts["unet"], lambda key: unet_name(key, model["unet"])),
            **{f"first_stage_model.{key}": (vae_tensor(key, shape), values) for key, (shape, values) in vae.items()},
            **text_part(name, parts)}


def write_singles(out, models, configs, write):
    """One file a model, and the control nets under their original names."""
    for name, model in configs.items():
        if name != "tiny-v":  # whose weights are tiny-eps's
            write(out / f"{name}.safetensors", single(name, models[name], model))
    for name, base in (("tiny-control", "tiny-eps"), ("tiny-control-xl", "tiny-xl")):
        config = {**configs[base]["unet"], "conditioning_embedding_out_channels": [8, 16, 16, 24]}
        table = models[name]["control"]
        write(out / f"{name}.safetensors", renamed("control_model.", table, lambda key, c=config: control_name(key, c)))
