#!/usr/bin/env python3
"""Writes two tiny SD 1.x models with random weights that anyone can make again, bit for bit.

    python3 models/fixtures.py OUTDIR       # OUTDIR/tiny-eps and OUTDIR/tiny-v, about 2.5 MB each

Both have the same weights; tiny-eps predicts noise (a PNDM config as in SD 1.5), tiny-v predicts v (DDIM,
trailing). Needs Python alone. Every element of every tensor follows from this hash, all in unsigned 64 bits:

    fnv(name):  h = 0xcbf29ce484222325; for each byte b: h = (h ^ b) * 0x100000001b3          (FNV-1a)
    mix(x):     x += 0x9e3779b97f4a7c15; x = (x ^ x>>30) * 0xbf58476d1ce4e5b9;
                x = (x ^ x>>27) * 0x94d049bb133111eb; return x ^ x>>31                        (splitmix64)
    u(name, i): (mix(fnv(name) + i) >> 40) / 2^23 - 1, a multiple of 2^-23 in [-1, 1)

where name is component/tensor, such as "unet/conv_in.weight", and i counts elements in row-major order. Then
    a norm's weight (one dimension)    1 + 0.1 u
    any other tensor of one dimension  0.1 u
    all others                         u / sqrt(fan_in), fan_in = product of all dimensions but the first
computed in double and rounded once to float32.
"""
import json
import math
import shutil
import struct
import sys
from array import array
from pathlib import Path

from tokenizer import END, START, byte_symbols, learn_merges

MASK = (1 << 64) - 1
UNET = dict(block_out_channels=[32, 64], cross=32, temb=128, heads=2, groups=8)
VAE = dict(block_out_channels=[16, 32, 32, 32], groups=8, latent=4)
TEXT = dict(hidden=32, layers=2, heads=4, inner=64, positions=77)
WORDS = "a the of and in on with at by lake mountain sun moon house boat tree snow rain night day red blue landscape".split()


def fnv(name):
    """FNV-1a of the UTF-8 bytes, 64 bits."""
    h = 0xCBF29CE484222325
    for byte in name.encode():
        h = ((h ^ byte) * 0x100000001B3) & MASK
    return h


def uniform(name, count):
    """count numbers in [-1, 1) by the hash of the docstring."""
    h = fnv(name) + 0x9E3779B97F4A7C15
    for i in range(count):
        x = (h + i) & MASK
        x = ((x ^ x >> 30) * 0xBF58476D1CE4E5B9) & MASK
        x = ((x ^ x >> 27) * 0x94D049BB133111EB) & MASK
        yield ((x ^ x >> 31) >> 40) / 8388608.0 - 1.0


def tensor(name, shape):
    """The bytes of the tensor of a full name, little-endian float32."""
    u = uniform(name, math.prod(shape))
    if len(shape) > 1:
        root = math.sqrt(math.prod(shape[1:]))
        values = array("f", (v / root for v in u))
    elif name.endswith(".weight"):
        values = array("f", (1.0 + 0.1 * v for v in u))
    else:
        values = array("f", (0.1 * v for v in u))
    if sys.byteorder == "big":
        values.byteswap()
    return values.tobytes()


class Shapes(dict):
    """Tensor name -> shape, filled by one method per kind of layer."""

    def layer(self, name, shape, bias=True):
        self[name + ".weight"] = tuple(shape)
        if bias:
            self[name + ".bias"] = (shape[0],)

    def norm(self, name, n):
        self.layer(name, (n,))

    def conv(self, name, out, inp, k=3):
        self.layer(name, (out, inp, k, k))

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

    def transformer(self, name, n, context):
        self.norm(name + ".norm", n)
        self.conv(name + ".proj_in", n, n, 1)
        block = name + ".transformer_blocks.0"
        for i in (1, 2, 3):
            self.norm(f"{block}.norm{i}", n)
        self.attention(block + ".attn1", n, n)
        self.attention(block + ".attn2", n, context)
        self.linear(block + ".ff.net.0.proj", 8 * n, n)
        self.linear(block + ".ff.net.2", n, 4 * n)
        self.conv(name + ".proj_out", n, n, 1)


def unet_shapes():
    """CrossAttnDown(32), Down(64), mid with attention, Up(64), CrossAttnUp(32); one layer a block."""
    s, (a, b), cross, temb = Shapes(), UNET["block_out_channels"], UNET["cross"], UNET["temb"]
    s.conv("conv_in", a, 4)
    s.linear("time_embedding.linear_1", temb, a)
    s.linear("time_embedding.linear_2", temb, temb)
    s.resnet("down_blocks.0.resnets.0", a, a, temb)
    s.transformer("down_blocks.0.attentions.0", a, cross)
    s.conv("down_blocks.0.downsamplers.0.conv", a, a)
    s.resnet("down_blocks.1.resnets.0", a, b, temb)
    s.resnet("mid_block.resnets.0", b, b, temb)
    s.transformer("mid_block.attentions.0", b, cross)
    s.resnet("mid_block.resnets.1", b, b, temb)
    # Skips, last first: down 1's resnet (b), down 0's downsampler (a), down 0's attention (a), conv_in (a).
    s.resnet("up_blocks.0.resnets.0", b + b, b, temb)
    s.resnet("up_blocks.0.resnets.1", b + a, b, temb)
    s.conv("up_blocks.0.upsamplers.0.conv", b, b)
    s.resnet("up_blocks.1.resnets.0", b + a, a, temb)
    s.transformer("up_blocks.1.attentions.0", a, cross)
    s.resnet("up_blocks.1.resnets.1", a + a, a, temb)
    s.transformer("up_blocks.1.attentions.1", a, cross)
    s.norm("conv_norm_out", a)
    s.conv("conv_out", 4, a)
    return s


def vae_mid(s, side, n):
    """Residual, attention with biases, residual."""
    s.resnet(side + ".mid_block.resnets.0", n, n)
    s.norm(side + ".mid_block.attentions.0.group_norm", n)
    for part in ("to_q", "to_k", "to_v", "to_out.0"):
        s.linear(f"{side}.mid_block.attentions.0.{part}", n, n)
    s.resnet(side + ".mid_block.resnets.1", n, n)


def vae_shapes():
    """Four levels (factor 8), one resnet a down block and two an up block."""
    s, widths, z = Shapes(), VAE["block_out_channels"], VAE["latent"]
    s.conv("encoder.conv_in", widths[0], 3)
    for i, n in enumerate(widths):
        s.resnet(f"encoder.down_blocks.{i}.resnets.0", widths[max(i - 1, 0)], n)
        if i < 3:
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
        s.resnet(f"decoder.up_blocks.{i}.resnets.0", before, n)
        s.resnet(f"decoder.up_blocks.{i}.resnets.1", n, n)
        if i < 3:
            s.conv(f"decoder.up_blocks.{i}.upsamplers.0.conv", n, n)
        before = n
    s.norm("decoder.conv_norm_out", widths[0])
    s.conv("decoder.conv_out", 3, widths[0])
    return s


def text_shapes(vocabulary):
    """CLIP text encoder."""
    s, n, inner = Shapes(), TEXT["hidden"], TEXT["inner"]
    s["text_model.embeddings.token_embedding.weight"] = (vocabulary, n)
    s["text_model.embeddings.position_embedding.weight"] = (TEXT["positions"], n)
    for i in range(TEXT["layers"]):
        layer = f"text_model.encoder.layers.{i}"
        for part in ("k_proj", "v_proj", "q_proj", "out_proj"):
            s.linear(f"{layer}.self_attn.{part}", n, n)
        s.norm(layer + ".layer_norm1", n)
        s.linear(layer + ".mlp.fc1", inner, n)
        s.linear(layer + ".mlp.fc2", n, inner)
        s.norm(layer + ".layer_norm2", n)
    s.norm("text_model.final_layer_norm", n)
    return s


def write_safetensors(path, component, shapes):
    """u64 length, JSON header (padded to 8 bytes), tensors in order of their names; float32."""
    header, blobs, at = {"__metadata__": {"format": "pt"}}, [], 0
    for name in sorted(shapes):
        blob = tensor(f"{component}/{name}", shapes[name])
        header[name] = {"dtype": "F32", "shape": list(shapes[name]), "data_offsets": [at, at + len(blob)]}
        blobs.append(blob)
        at += len(blob)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n")


def write_tokenizer(folder):
    """Complete byte alphabet, the merges of a few words, two special tokens; returns the vocabulary's size."""
    symbols = byte_symbols()
    alphabet = sorted(symbols.values(), key=lambda c: (ord(c) > 255, ord(c)))
    merges = learn_merges({w: 10 for w in WORDS}, symbols)
    vocab = [*alphabet, *(c + "</w>" for c in alphabet), *("".join(m) for m in merges), START, END]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(vocab)}, ensure_ascii=False), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{x} {y}\n" for x, y in merges), encoding="utf-8")
    special = {"bos_token": START, "eos_token": END, "pad_token": END, "unk_token": END}
    write_json(folder / "special_tokens_map.json", special)
    write_json(folder / "tokenizer_config.json", {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "do_lower_case": True,
                                                  "errors": "replace", "add_prefix_space": False, **special})
    return len(vocab)


def configs(vocabulary, v):
    """config.json of every part, as diffusers and transformers write them."""
    unet = {"_class_name": "UNet2DConditionModel", "act_fn": "silu", "attention_head_dim": UNET["heads"],
            "block_out_channels": UNET["block_out_channels"], "center_input_sample": False, "cross_attention_dim": UNET["cross"],
            "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"], "downsample_padding": 1, "flip_sin_to_cos": True,
            "freq_shift": 0, "in_channels": 4, "layers_per_block": 1, "mid_block_scale_factor": 1, "norm_eps": 1e-05,
            "norm_num_groups": UNET["groups"], "out_channels": 4, "sample_size": 8, "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"]}
    vae = {"_class_name": "AutoencoderKL", "act_fn": "silu", "block_out_channels": VAE["block_out_channels"],
           "down_block_types": ["DownEncoderBlock2D"] * 4, "in_channels": 3, "latent_channels": 4, "layers_per_block": 1,
           "norm_num_groups": VAE["groups"], "out_channels": 3, "sample_size": 64, "scaling_factor": 0.5,
           "up_block_types": ["UpDecoderBlock2D"] * 4}
    text = {"architectures": ["CLIPTextModel"], "model_type": "clip_text_model", "vocab_size": vocabulary, "hidden_size": TEXT["hidden"],
            "intermediate_size": TEXT["inner"], "num_hidden_layers": TEXT["layers"], "num_attention_heads": TEXT["heads"],
            "max_position_embeddings": TEXT["positions"], "hidden_act": "quick_gelu", "layer_norm_eps": 1e-05, "projection_dim": TEXT["hidden"],
            "bos_token_id": vocabulary - 2, "eos_token_id": vocabulary - 1, "pad_token_id": vocabulary - 1}
    betas = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000, "clip_sample": False}
    if v:
        scheduler = {"_class_name": "DDIMScheduler", **betas, "prediction_type": "v_prediction", "timestep_spacing": "trailing",
                     "set_alpha_to_one": True, "steps_offset": 1, "rescale_betas_zero_snr": False}
    else:
        scheduler = {"_class_name": "PNDMScheduler", **betas, "prediction_type": "epsilon", "timestep_spacing": "leading",
                     "set_alpha_to_one": False, "skip_prk_steps": True, "steps_offset": 1}
    index = {"_class_name": "StableDiffusionPipeline", "_diffusers_version": "0.35.2", "feature_extractor": [None, None],
             "requires_safety_checker": False, "safety_checker": [None, None], "scheduler": ["diffusers", scheduler["_class_name"]],
             "text_encoder": ["transformers", "CLIPTextModel"], "tokenizer": ["transformers", "CLIPTokenizer"],
             "unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"]}
    return {"unet/config.json": unet, "vae/config.json": vae, "text_encoder/config.json": text,
            "scheduler/scheduler_config.json": scheduler, "model_index.json": index}


def write_model(out, v, weights):
    """One complete diffusers folder; weights are copied from another when given."""
    vocabulary = write_tokenizer(out / "tokenizer")
    for name, value in configs(vocabulary, v).items():
        write_json(out / name, value)
    parts = {"unet/diffusion_pytorch_model.safetensors": unet_shapes(), "vae/diffusion_pytorch_model.safetensors": vae_shapes(),
             "text_encoder/model.safetensors": text_shapes(vocabulary)}
    for file, shapes in parts.items():
        if weights:
            shutil.copyfile(weights / file, out / file)
        else:
            write_safetensors(out / file, file.split("/")[0], shapes)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    out = Path(sys.argv[1])
    write_model(out / "tiny-eps", False, None)
    write_model(out / "tiny-v", True, out / "tiny-eps")


if __name__ == "__main__":
    main()
