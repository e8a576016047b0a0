#!/usr/bin/env python3
"""Writes a model of full size with random weights, in half precision.

    python3 tests/full/random_model.py MODEL OUT     # MODEL: sd15 sd21 sdxl refiner inpaint controlnet lora

OUT is a folder in diffusers' layout (2 GB for sd15, 7 GB for sdxl), for lora a file in kohya's dialect, rank 16, for sd15. Configs
are those of tests/model; names and shapes are built by models/fixture_nets.py, and the worker holds them to the config. Needs
Python alone, takes seconds, and gives the same bytes everywhere. All values come from one block of BLOCK numbers u("sd15", 0),
u("sd15", 1), ... by the hash that models/fixtures.py states; tensor number n in the order of its file's names begins at place
7919 n of the block and goes round it:
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
from fixture_nets import control_shapes, text_shapes, unet_shapes, vae_shapes  # noqa: E402
from fixtures import uniform  # noqa: E402

BLOCK = 65521  # values; a prime, so that rows do not repeat
RANK = 16
PARTS = {"unet": unet_shapes, "vae": vae_shapes, "text_encoder": text_shapes, "text_encoder_2": text_shapes}
CONFIGS = {"refiner": "sdxl-refiner"}  # whose folder in tests/model is called otherwise
START, END = "<|startoftext|>", "<|endoftext|>"


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
    path.parent.mkdir(parents=True, exist_ok=True)
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


def write_tokenizer(folder, pad):
    """Bytes alone and no merges: what both sides read alike, whatever the vocabulary of the embedding."""
    sys.path.insert(0, str(ROOT / "models"))
    from tokenizer import byte_symbols
    alphabet = sorted(byte_symbols().values(), key=lambda c: (ord(c) > 255, ord(c)))
    vocabulary = {token: i for i, token in enumerate([*alphabet, *(c + "</w>" for c in alphabet)])}
    vocabulary |= {START: 49406, END: 49407}
    special = {"bos_token": START, "eos_token": END, "pad_token": pad, "unk_token": END}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "special_tokens_map.json").write_text(json.dumps(special))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, **special}))


def read(path):
    return json.loads(path.read_text())


def change(path, **changes):
    path.write_text(json.dumps(read(path) | changes))


def write_folder(model, out, **unet_changes):
    source = ROOT / "tests" / "model" / CONFIGS.get(model, model)
    shutil.copytree(source, out, ignore=shutil.ignore_patterns("README.md"))
    change(out / "model_index.json", safety_checker=[None, None], feature_extractor=[None, None])  # what looks at pictures is not made
    change(out / "unet" / "config.json", **unet_changes)
    for part, shapes in PARTS.items():
        if not (out / part / "config.json").exists():
            continue
        stem = "model" if part.startswith("text") else "diffusion_pytorch_model"
        write_safetensors(out / part / f"{stem}.safetensors", shapes(read(out / part / "config.json")))
        if part.startswith("text"):
            first = model in ("sd15", "inpaint") or (model == "sdxl" and part == "text_encoder")
            write_tokenizer(out / part.replace("text_encoder", "tokenizer"), END if first else "!")


def inpaint(out):
    write_folder("sd15", out, in_channels=9)
    change(out / "model_index.json", _class_name="StableDiffusionInpaintPipeline")


def controlnet(out):
    unet = read(ROOT / "tests" / "model" / "sd15" / "unet" / "config.json")
    config = {key: value for key, value in unet.items() if key not in ("center_input_sample", "out_channels", "sample_size", "up_block_types")}
    config |= {"_class_name": "ControlNetModel", "conditioning_channels": 3, "conditioning_embedding_out_channels": [16, 32, 96, 256],
               "controlnet_conditioning_channel_order": "rgb", "global_pool_conditions": False}
    out.mkdir(parents=True)
    (out / "config.json").write_text(json.dumps(config))
    write_safetensors(out / "diffusion_pytorch_model.safetensors", control_shapes(config))


def lora(out):
    """Every linear layer of every transformer; up is a tenth, so that the picture stays one."""
    unet = unet_shapes(read(ROOT / "tests" / "model" / "sd15" / "unet" / "config.json"))
    table = {}
    for name, shape in unet.items():
        if "transformer_blocks" in name and name.endswith(".weight") and len(shape) == 2:
            key = "lora_unet_" + name.removesuffix(".weight").replace(".", "_")
            table[f"{key}.lora_down.weight"], table[f"{key}.lora_up.weight"] = (RANK, shape[1]), (shape[0], RANK)
    write_safetensors(out, table)


MODELS = {"sd15": lambda out: write_folder("sd15", out), "sd21": lambda out: write_folder("sd21", out),
          "sdxl": lambda out: write_folder("sdxl", out), "refiner": lambda out: write_folder("refiner", out),
          "inpaint": inpaint, "controlnet": controlnet, "lora": lora}


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in MODELS:
        sys.exit(__doc__)
    MODELS[sys.argv[1]](pathlib.Path(sys.argv[2]))


if __name__ == "__main__":
    main()
