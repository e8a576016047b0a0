"""Trains the demo's inpainting U-Net of nine channels: noisy latents, mask, latents of the picture with the masked part grey.

    python train_inpaint.py --work DIR --out demo-family/inpaint --minutes 20

Writes a folder whose U-Net is its own; what else it names are links to the base's.
"""
import json
import os
from pathlib import Path

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor

from variants import begin, in_half, options, train, write_config, write_weights

SHARED = ("vae", "text_encoder", "tokenizer", "scheduler")


def random_box(rng, size):
    """x, y, width and height."""
    w, h = rng.uniform(0.25, 0.8, 2) * size
    return rng.uniform(-0.1, 1.1 - w / size) * size, rng.uniform(-0.1, 1.1 - h / size) * size, w, h


def around(rng, boxes):
    """A box with some room around one of a picture's objects, or None."""
    boxes = [box for box in boxes if box[2] > box[0]]
    if not boxes:
        return None
    x0, y0, x1, y1 = boxes[rng.integers(len(boxes))] + rng.uniform(2, 14, 4) * (-1, -1, 1, 1)
    return x0, y0, x1 - x0, y1 - y0


def random_mask(rng, size, boxes):
    """A box or an ellipse, often where an object is, seldom everything: 1 where the picture is to be made."""
    if rng.random() < 0.1:
        return np.ones((size, size), np.float32)
    x0, y0, w, h = (around(rng, boxes) if rng.random() < 0.4 else None) or random_box(rng, size)
    y, x = np.mgrid[0:size, 0:size]
    if rng.random() < 0.5:
        return ((x >= x0) & (x < x0 + w) & (y >= y0) & (y < y0 + h)).astype(np.float32)
    return (((x - x0 - w / 2) / w) ** 2 + ((y - y0 - h / 2) / h) ** 2 < 0.25).astype(np.float32)


def share(model, out):
    """What is the base's stays there, by links."""
    out.mkdir(parents=True, exist_ok=True)
    for part in SHARED:
        (out / part).unlink(missing_ok=True)
        (out / part).symlink_to(os.path.relpath(model / part, out))


def main():
    a = options(__doc__, 29542)
    base = begin(a)
    unet = UNet2DConditionModel.from_config({**base.unet.config, "in_channels": 9})
    state = base.unet.state_dict()
    first = torch.zeros_like(unet.conv_in.weight)
    first[:, :4] = state["conv_in.weight"]              # the new channels say nothing at first
    unet.load_state_dict({**state, "conv_in.weight": first})
    unet.set_attn_processor(AttnProcessor())
    size, boxes = base.pixels.shape[1], np.load(Path(a.work) / "boxes.npy", mmap_mode="r")

    def loss():
        rows = base.pick(a.batch)
        masks = np.stack([random_mask(base.rng, size, boxes[i]) for i in rows])
        # black, as diffusers has it: the picture in -1..1 times (mask < 0.5) is 0 there, which is grey
        kept = np.where(masks[..., None] < 0.5, base.pictures(rows), 127.5).round().astype(np.uint8)
        noisy, v, t, weight = base.noised(base.latents(rows))
        small = torch.from_numpy(masks[:, None, ::8, ::8].copy())
        out = unet(torch.cat([noisy, small, base.encode(kept)], 1), t, base.said(base.captions(rows, 0.15))).sample
        return (weight * (out.float() - v) ** 2).mean()

    train(a, "inpaint", list(unet.parameters()), loss)
    out = Path(a.out)
    share(Path(a.model), out)
    write_config(unet, out / "unet")
    write_weights(in_half(unet), out / "unet/diffusion_pytorch_model.safetensors")
    index = json.loads((Path(a.model) / "model_index.json").read_text()) | {"_class_name": "StableDiffusionInpaintPipeline"}
    (out / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")


if __name__ == "__main__":
    main()
