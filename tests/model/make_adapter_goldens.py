#!/usr/bin/env python3
"""Makes tests/model/goldens/adapters.safetensors: what diffusers and PEFT compute with tiny-eps under the adapters of models/fixtures.py.

    python3 models/fixtures.py build/fixtures
    python3 tests/model/make_adapter_goldens.py build/fixtures tests/model/goldens        # see requirements.txt

For each CASE, a list of adapters with weights, on the inputs of make_goldens.py ("unet.input", the two prompts, timesteps 981 and 40):
    CASE.embedding   f32 [77, 32]      the first prompt
    CASE.output      f32 [2, 4, 8, 8]  the U-Net's
kohya, diffusers, peft and locon are loaded by diffusers (load_lora_weights, set_adapters), which takes no dora_scale: dora is put into PEFT's
own layers. Of what neither loads, the change is computed here in float64 by the formulas of the papers and added: loha, lokr, tucker, full.
"""
import sys
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline
from peft import LoraConfig, inject_adapter_in_model
from safetensors.torch import load_file, save_file

from make_goldens import NEGATIVE, PROMPT, TIMESTEPS, embed, noise

BY_DIFFUSERS = {
    "kohya": [("kohya", 1.0)], "diffusers": [("diffusers", 1.0)], "peft": [("peft", 1.0)], "locon": [("locon", 1.0)],
    "half": [("kohya", 0.5)], "minus": [("kohya", -1.0)], "two": [("kohya", 0.75), ("locon", 0.5)],
}
BY_FORMULA = ["loha", "lokr", "tucker", "full"]


def shaped(delta, weight):
    return delta.reshape(weight.shape)


def delta_of(parts, weight):
    """The change of one weight, float64."""
    p = {name: value.double() for name, value in parts.items()}
    scale = 1.0
    if "hada_w1_a" in p:
        scale = p["alpha"] / p["hada_w1_b"].shape[0]
        return scale * shaped((p["hada_w1_a"] @ p["hada_w1_b"]) * (p["hada_w2_a"] @ p["hada_w2_b"]), weight)
    if "lokr_w1" in p:
        scale = p["alpha"] / p["lokr_w2_b"].shape[0]
        return scale * shaped(torch.kron(p["lokr_w1"], p["lokr_w2_a"] @ p["lokr_w2_b"]), weight)
    if "lora_mid.weight" in p:
        scale = p["alpha"] / p["lora_down.weight"].shape[0]
        return scale * torch.einsum("or,rskl,si->oikl", p["lora_up.weight"].flatten(1), p["lora_mid.weight"], p["lora_down.weight"].flatten(1))
    return p.get("diff", p.get("w_norm"))


def add_by_formula(unet, table):
    for name, parts in grouped(unet, table).items():
        module = unet.get_submodule(name)
        module.weight.data = (module.weight.double() + delta_of(parts, module.weight)).float()
        bias = parts.get("diff_b", parts.get("b_norm"))
        if bias is not None:
            module.bias.data = (module.bias.double() + bias.double()).float()


def grouped(unet, table):
    """Module name -> part -> tensor."""
    names, out = {name.replace(".", "_"): name for name, _ in unet.named_modules()}, {}
    for key, value in table.items():
        stem, part = key.split(".", 1)
        out.setdefault(names[stem.removeprefix("lora_unet_")], {})[part] = value
    return out


def add_dora(unet, table):
    """PEFT's DoRA layers with the file's values."""
    layers = grouped(unet, table)
    parts = next(iter(layers.values()))
    rank = parts["lora_down.weight"].shape[0]
    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=float(parts["alpha"]), use_dora=True, target_modules=list(layers)), unet)
    for name, parts in layers.items():
        layer = unet.get_submodule(name)
        layer.lora_A["default"].weight.data = parts["lora_down.weight"]
        layer.lora_B["default"].weight.data = parts["lora_up.weight"]
        magnitude = layer.lora_magnitude_vector["default"].weight
        magnitude.data = parts["dora_scale"].reshape(magnitude.shape)


def run(pipe, case, out):
    prompt, negative = embed(pipe, PROMPT), embed(pipe, NEGATIVE)
    out[case + ".embedding"] = prompt[0]
    out[case + ".output"] = pipe.unet(noise((2, 4, 8, 8), 1), torch.tensor(TIMESTEPS), torch.cat([prompt, negative])).sample


def main(fixtures, folder):
    out = {}
    for case in [*BY_DIFFUSERS, "dora", *BY_FORMULA]:
        pipe = StableDiffusionPipeline.from_pretrained(fixtures / "tiny-eps", safety_checker=None, feature_extractor=None,
                                                       requires_safety_checker=False)
        if case == "dora":
            add_dora(pipe.unet, load_file(fixtures / "lora/dora.safetensors"))
        elif case in BY_FORMULA:
            add_by_formula(pipe.unet, load_file(fixtures / f"lora/{case}.safetensors"))
        else:
            for name, _ in BY_DIFFUSERS[case]:
                pipe.load_lora_weights(fixtures / "lora", weight_name=f"{name}.safetensors", adapter_name=name)
            pipe.set_adapters([name for name, _ in BY_DIFFUSERS[case]], [weight for _, weight in BY_DIFFUSERS[case]])
        run(pipe, case, out)
    save_file({name: tensor.contiguous() for name, tensor in out.items()}, folder / "adapters.safetensors")


if __name__ == "__main__":
    with torch.no_grad():
        main(Path(sys.argv[1]), Path(sys.argv[2]))
