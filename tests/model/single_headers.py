#!/usr/bin/env python3
"""Writes single files of full size without weights: the header that a real one has, and a hole in place of the data.

    python3 tests/model/single_headers.py OUT     # OUT/sd15.safetensors and so on, and OUT/sd15.names: what is in it

A .names file has a line `NETWORK NAME SIDES` for every tensor by the name that diffusers has for it. Configs are the published ones,
as far as they say shapes; names and shapes are those of models/fixture_nets.py, the original names those of fixture_single.py. Plain
Python, takes a second.
"""
import json
import math
import struct
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "models"))
import fixture_single  # noqa: E402
from fixture_nets import text_shapes, unet_shapes, vae_shapes  # noqa: E402


class Nothing:
    """In the place of an array of values."""

    def __init__(self, *_):
        pass

    def __iadd__(self, _):
        return self

    def __mul__(self, _):
        return self

    def __len__(self):
        return 0


fixture_single.array = Nothing
fixture_single.transposed = lambda shape, values: (shape[::-1], values)

DOWN, CROSS_DOWN, UP, CROSS_UP = "DownBlock2D", "CrossAttnDownBlock2D", "UpBlock2D", "CrossAttnUpBlock2D"


def unet(channels, cross, attention, **changes):
    return {"block_out_channels": channels, "cross_attention_dim": cross, "layers_per_block": 2, "in_channels": 4, "out_channels": 4,
            "down_block_types": [CROSS_DOWN if a else DOWN for a in attention],
            "up_block_types": [CROSS_UP if a else UP for a in reversed(attention)], **changes}


def text(width, layers, **changes):
    return {"vocab_size": 49408, "hidden_size": width, "intermediate_size": 4 * width, "num_hidden_layers": layers,
            "max_position_embeddings": 77, "architectures": ["CLIPTextModel"], **changes}


VAE = {"block_out_channels": [128, 256, 512, 512], "layers_per_block": 2, "latent_channels": 4, "in_channels": 3, "out_channels": 3}
BIG_G = text(1280, 32, architectures=["CLIPTextModelWithProjection"], projection_dim=1280)
FOUR, LINEAR = [320, 640, 1280, 1280], {"use_linear_projection": True}
TEXT_TIME = {"addition_embed_type": "text_time", "addition_time_embed_dim": 256}
MODELS = {
    "sd15": {"unet": unet(FOUR, 768, [1, 1, 1, 0]), "text_encoder": text(768, 12)},
    "sd15-inpainting": {"unet": unet(FOUR, 768, [1, 1, 1, 0], in_channels=9), "text_encoder": text(768, 12)},
    "sd21": {"unet": unet(FOUR, 1024, [1, 1, 1, 0], **LINEAR), "text_encoder": text(1024, 23)},
    "sdxl": {"unet": unet([320, 640, 1280], 2048, [0, 1, 1], transformer_layers_per_block=[1, 2, 10],
                          projection_class_embeddings_input_dim=2816, **LINEAR, **TEXT_TIME),
             "text_encoder": text(768, 12), "text_encoder_2": BIG_G},
    "refiner": {"unet": unet([384, 768, 1536, 1536], 1280, [0, 1, 1, 0], transformer_layers_per_block=4,
                             projection_class_embeddings_input_dim=2560, **LINEAR, **TEXT_TIME), "text_encoder_2": BIG_G},
}
SD15 = MODELS["sd15"]
STRANGE = {  # of sd15's keys, with sides that nothing here has room for
    "long-text": {**SD15, "text_encoder": text(768, 12, max_position_embeddings=1000)},
    "wide-guidance": {**SD15, "unet": unet(FOUR, 768, [1, 1, 1, 0], time_cond_proj_dim=40000)},
    "narrow-guidance": {**SD15, "unet": unet(FOUR, 768, [1, 1, 1, 0], time_cond_proj_dim=2)},
    "deep-transformer": {**SD15, "unet": unet(FOUR, 768, [1, 1, 1, 0], transformer_layers_per_block=33)},
    "odd-vae": {**SD15, "vae": {**VAE, "block_out_channels": [128, 250, 512, 512]}},
    "wide-vae": {**SD15, "vae": {**VAE, "block_out_channels": [32768, 256, 512, 512]}},
}
SHAPES = {"unet": unet_shapes, "vae": vae_shapes, "text_encoder": text_shapes, "text_encoder_2": text_shapes}


def write(path, table):
    header, at = {}, 0
    for name in sorted(table):
        size = 2 * math.prod(table[name][0])
        header[name] = {"dtype": "F16", "shape": list(table[name][0]), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + at)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    out = Path(sys.argv[1])
    out.mkdir(parents=True)
    for name, model in {**MODELS, **STRANGE}.items():
        model = {"vae": VAE, **model}
        shapes = {part: SHAPES[part](config) for part, config in model.items()}
        parts = {part: {key: (shape, Nothing()) for key, shape in table.items()} for part, table in shapes.items()}
        write(out / f"{name}.safetensors", fixture_single.single("tiny-sd2" if name == "sd21" else "sd15" if name in STRANGE else name, parts, model))
        lines = [f"{part} {key} {'x'.join(map(str, shape))}\n" for part, table in shapes.items() for key, shape in table.items()]
        (out / f"{name}.names").write_text("".join(sorted(lines)))


if __name__ == "__main__":
    main()
