"""Trains a style for the demo as a LoRA of rank 8 on attentions, feed-forwards and the residual blocks' convolutions.

    python train_lora.py --work DIR --style sepia --out demo-family/sepia.safetensors --minutes 5       # kohya's dialect
    python train_lora.py --work DIR --style blueprint --out demo-family/blueprint.safetensors --minutes 5   # PEFT's
"""
from pathlib import Path

import numpy as np
import torch
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict

from sketch import sketch
from variants import begin, options, train, write_weights

RANK = 8
LAYERS = ("to_q", "to_k", "to_v", "to_out.0", "proj_in", "proj_out", "ff.net.0.proj", "ff.net.2", "conv1", "conv2")


def sepia(picture):
    """Brown and cream by brightness."""
    grey = picture.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32) / 255
    dark, light = np.array([48, 30, 18], np.float32), np.array([250, 232, 200], np.float32)
    return (dark + (light - dark) * grey[..., None]).round().astype(np.uint8)


def blueprint(picture):
    """White lines and a little of the brightness on blue."""
    grey = picture.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32) / 255
    paper = np.array([24, 60, 140], np.float32) + 46 * grey[..., None]
    return np.where(sketch(picture) > 0, 240, paper).round().astype(np.uint8)


STYLES = {"sepia": (sepia, "kohya"), "blueprint": (blueprint, "peft")}


def kohya(state):
    """PEFT's names in kohya's dialect; alpha is the rank, so the weight of 1 is what was trained."""
    out = {}
    for name, value in state.items():
        module, part = name.removesuffix(".weight").rsplit(".", 1)
        key = "lora_unet_" + module.replace(".", "_")
        out[f"{key}.lora_{'down' if part == 'lora_A' else 'up'}.weight"] = value
        out[f"{key}.alpha"] = torch.tensor(float(RANK)).half()
    return out


def main():
    a = options(__doc__, 29543, lr=2e-3, batch=6, flags={"--style": "sepia or blueprint"})
    base = begin(a)
    style, dialect = STYLES[a.style]
    base.unet.add_adapter(LoraConfig(r=RANK, lora_alpha=RANK, target_modules=list(LAYERS)))

    def loss():
        rows = base.pick(a.batch)
        noisy, v, t, weight = base.noised(base.encode(np.stack([style(p) for p in base.pictures(rows)])))
        out = base.unet(noisy, t, base.said(base.captions(rows, 0.1))).sample
        return (weight * (out.float() - v) ** 2).mean()

    train(a, f"lora-{a.style}", [p for p in base.unet.parameters() if p.requires_grad], loss)
    state = {name: value.detach().half().contiguous() for name, value in get_peft_model_state_dict(base.unet).items()}
    state = kohya(state) if dialect == "kohya" else {f"unet.{name}": value for name, value in state.items()}
    write_weights(state, Path(a.out))


if __name__ == "__main__":
    main()
