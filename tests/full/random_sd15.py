#!/usr/bin/env python3
"""Writes a model of the full size of Stable Diffusion 1.5 with random weights, in half precision: 2 GB.

    python3 tests/full/random_sd15.py OUTDIR

Configs are tests/model/sd15's; names and shapes are built here as diffusers names them, and the worker holds them to the
config. Needs Python alone, takes seconds, and gives the same bytes everywhere. All values come from one block of BLOCK
numbers u("sd15", 0), u("sd15", 1), ... by the hash that models/fixtures.py states; tensor number n in the order of its file's
names begins at place 7919 n of the block and goes round it:
    a norm's weight (one dimension)    1 + 0.1 u
    any other tensor of one dimension  0.1 u
    all others                         u / sqrt(fan_in)
rounded once to half. So sums stay of the order of one, and no activation of twenty steps leaves the range of a half.
"""
import json
import math
import pathlib
import shutil
import struct
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "models"))
from fixture_nets import Shapes  # noqa: E402
from fixtures import uniform  # noqa: E402

CHANNELS, CROSS, TIME = (320, 640, 1280, 1280), 768, 1280
VAE_CHANNELS = (512, 512, 256, 128)  # of the decoder, from the inside out
HIDDEN, INNER, LAYERS, VOCABULARY = 768, 3072, 12, 49408
BLOCK = 65521  # values; a prime, so that rows do not repeat


def unet_shapes():
    s, skips = Shapes(), [CHANNELS[0]]
    s.conv("conv_in", CHANNELS[0], 4)
    s.linear("time_embedding.linear_1", TIME, CHANNELS[0])
    s.linear("time_embedding.linear_2", TIME, TIME)
    before = CHANNELS[0]
    for level, n in enumerate(CHANNELS):
        for layer in range(2):
            s.resnet(f"down_blocks.{level}.resnets.{layer}", before, n, TIME)
            if level < 3:
                s.transformer(f"down_blocks.{level}.attentions.{layer}", n, CROSS)
            before = n
            skips.append(n)
        if level < 3:
            s.conv(f"down_blocks.{level}.downsamplers.0.conv", n, n)
            skips.append(n)
    s.resnet("mid_block.resnets.0", before, before, TIME)
    s.transformer("mid_block.attentions.0", before, CROSS)
    s.resnet("mid_block.resnets.1", before, before, TIME)
    for level, n in enumerate(reversed(CHANNELS)):
        for layer in range(3):
            s.resnet(f"up_blocks.{level}.resnets.{layer}", before + skips.pop(), n, TIME)
            if level > 0:
                s.transformer(f"up_blocks.{level}.attentions.{layer}", n, CROSS)
            before = n
        if level < 3:
            s.conv(f"up_blocks.{level}.upsamplers.0.conv", n, n)
    s.norm("conv_norm_out", before)
    s.conv("conv_out", 4, before)
    return s


def decoder_shapes():
    s, before = Shapes(), VAE_CHANNELS[0]
    s.conv("post_quant_conv", 4, 4, 1)
    s.conv("decoder.conv_in", before, 4)
    s.resnet("decoder.mid_block.resnets.0", before, before)
    s.norm("decoder.mid_block.attentions.0.group_norm", before)
    for part in ("to_q", "to_k", "to_v", "to_out.0"):
        s.linear(f"decoder.mid_block.attentions.0.{part}", before, before)
    s.resnet("decoder.mid_block.resnets.1", before, before)
    for level, n in enumerate(VAE_CHANNELS):
        for layer in range(3):
            s.resnet(f"decoder.up_blocks.{level}.resnets.{layer}", before, n)
            before = n
        if level < 3:
            s.conv(f"decoder.up_blocks.{level}.upsamplers.0.conv", n, n)
    s.norm("decoder.conv_norm_out", before)
    s.conv("decoder.conv_out", 3, before)
    return s


def text_shapes():
    s = Shapes()
    s["text_model.embeddings.token_embedding.weight"] = (VOCABULARY, HIDDEN)
    s["text_model.embeddings.position_embedding.weight"] = (77, HIDDEN)
    for layer in range(LAYERS):
        name = f"text_model.encoder.layers.{layer}"
        for part in ("k_proj", "v_proj", "q_proj", "out_proj"):
            s.linear(f"{name}.self_attn.{part}", HIDDEN, HIDDEN)
        s.norm(name + ".layer_norm1", HIDDEN)
        s.linear(name + ".mlp.fc1", INNER, HIDDEN)
        s.linear(name + ".mlp.fc2", HIDDEN, INNER)
        s.norm(name + ".layer_norm2", HIDDEN)
    s.norm("text_model.final_layer_norm", HIDDEN)
    return s


def block_of(name, shape, blocks={}):
    """BLOCK values of a tensor as bytes."""
    if len(shape) > 1:
        centre, width = 0.0, 1 / math.sqrt(math.prod(shape[1:]))
    else:
        centre, width = (1.0 if name.endswith(".weight") else 0.0), 0.1
    if (centre, width) not in blocks:
        blocks[centre, width] = struct.pack(f"<{BLOCK}e", *(centre + width * u for u in uniform("sd15", BLOCK)))
    return blocks[centre, width]


def write_safetensors(path, shapes):
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name in sorted(shapes):
        size = 2 * math.prod(shapes[name])
        header[name] = {"dtype": "F16", "shape": list(shapes[name]), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for number, name in enumerate(sorted(shapes)):
            block, size = block_of(name, shapes[name]), 2 * math.prod(shapes[name])
            start = number * 7919 % BLOCK * 2
            block = block[start:] + block[:start]  # each tensor begins elsewhere
            whole, rest = divmod(size, len(block))
            for _ in range(whole):
                file.write(block)
            file.write(block[:rest])


def main(out):
    shutil.copytree(ROOT / "tests" / "model" / "sd15", out, ignore=shutil.ignore_patterns("README.md"))
    (out / "tokenizer").mkdir()
    (out / "tokenizer" / "merges.txt").write_text("#version: 0.2\n")
    (out / "tokenizer" / "vocab.json").write_text('{"<|startoftext|>": 0, "<|endoftext|>": 1}')
    write_safetensors(out / "unet" / "diffusion_pytorch_model.safetensors", unet_shapes())
    write_safetensors(out / "vae" / "diffusion_pytorch_model.safetensors", decoder_shapes())
    write_safetensors(out / "text_encoder" / "model.safetensors", text_shapes())


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]))
