#!/usr/bin/env python3
"""Makes tests/model/goldens/full_size.json: all tensors that diffusers and transformers build from the configs of full-size models.

    python3 tests/model/make_full_size_goldens.py tests/model tests/model/goldens       # see requirements.txt

For every MODEL of MODELS, whose configs lie in tests/model/MODEL, and every network of it: how many tensors and values it has,
and the sha256 of the sorted lines "NAME [SHAPE]". No weights are made: the tensors have shapes only. "vae" is
the VAE's decoder alone, "vae_whole" all of it.
"""
import hashlib
import json
import sys
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

MODELS = ("sd15", "sd21", "sdxl", "sdxl-refiner")


def build(folder, network):
    config = json.loads((folder / network / "config.json").read_text())
    with torch.device("meta"):
        if network == "unet":
            return UNet2DConditionModel.from_config(config)
        if network == "vae":
            return AutoencoderKL.from_config(config)
        kind = {"CLIPTextModel": CLIPTextModel, "CLIPTextModelWithProjection": CLIPTextModelWithProjection}[config["architectures"][0]]
        return kind(CLIPTextConfig(**config))


def facts(tensors):
    lines = sorted(f"{name} [{', '.join(map(str, tensor.shape))}]\n" for name, tensor in tensors)
    return {"tensors": len(lines), "values": sum(tensor.numel() for _, tensor in tensors),
            "sha256": hashlib.sha256("".join(lines).encode()).hexdigest()}


def networks(folder):
    out = {}
    for network in sorted(path.name for path in folder.iterdir() if (path / "config.json").exists()):
        tensors = list(build(folder, network).named_parameters())
        if network == "vae":
            out["vae_whole"] = facts(tensors)
            tensors = [(n, t) for n, t in tensors if not n.startswith(("encoder.", "quant_conv."))]
        out[network] = facts(tensors)
    return out


def main(configs, folder):
    value = {model: networks(Path(configs) / model) for model in MODELS}
    (Path(folder) / "full_size.json").write_text(json.dumps(value, indent=1) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
