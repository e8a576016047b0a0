"""Trains the demo's control net: line drawing -> landscape.

    python train_control.py --work DIR --out demo-family/sketch --minutes 20

The painter's horizon never moves, so most pictures are stretched above and squeezed below it, or the other way round: where the
horizon lies is then told by the lines alone. Some lines are rubbed out, for drawings that leave to the words what is not drawn.
"""
from pathlib import Path

import numpy as np
import torch
from diffusers import ControlNetModel
from diffusers.models.attention_processor import AttnProcessor

from palette import BASE, HORIZON
from sketch import sketch
from variants import begin, in_half, options, train, write_config, write_weights

HORIZONS = (44, 90)     # rows of 128 in which it may lie
AS_PAINTED, RUBBED = 0.25, 0.4


def with_horizon(picture, row):
    """The picture with its horizon in another row (of 128)."""
    side = picture.shape[0]
    old, new = HORIZON * side / BASE, row * side / BASE
    y = np.arange(side, dtype=np.float64)
    source = np.where(y < new, y * old / new, old + (y - new) * (side - 1 - old) / (side - 1 - new))
    above = np.floor(source).astype(int)
    part = (source - above)[:, None, None]
    return (picture[above] * (1 - part) + picture[np.minimum(above + 1, side - 1)] * part).round().astype(np.uint8)


def rub(lines, rng):
    """Nothing is drawn in a box of the drawing."""
    side = lines.shape[0]
    w, h = (rng.uniform(0.2, 0.7, 2) * side).astype(int)
    x, y = rng.integers(0, side - w), rng.integers(0, side - h)
    lines[y:y + h, x:x + w] = 0
    return lines


def main():
    a = options(__doc__, 29541, lr=1e-3, batch=8)
    base = begin(a)
    control = ControlNetModel.from_unet(base.unet, conditioning_channels=3, load_weights_from_unet=True)
    control = ControlNetModel.from_config({**control.config, "conditioning_embedding_out_channels": (16, 32, 64, 96)})
    missing = control.load_state_dict({k: v for k, v in base.unet.state_dict().items() if k.startswith(("conv_in", "time_", "down_", "mid_"))},
                                      strict=False)
    assert not missing.unexpected_keys
    control.set_attn_processor(AttnProcessor())
    control.requires_grad_(True)

    def loss():
        rows, rng = base.pick(a.batch), base.rng
        pictures = np.stack([p if rng.random() < AS_PAINTED else with_horizon(p, rng.integers(*HORIZONS)) for p in base.pictures(rows)])
        drawn = [rub(sketch(p), rng) if rng.random() < RUBBED else sketch(p) for p in pictures]
        lines = torch.from_numpy(np.stack(drawn)).permute(0, 3, 1, 2).float() / 255
        noisy, v, t, weight = base.noised(base.encode(pictures), power=0.6)
        said = base.said(base.captions(rows, 0.3))      # often without words, so that the lines alone say where things are
        downs, middle = control(noisy, t, said, lines, return_dict=False)
        out = base.unet(noisy, t, said, down_block_additional_residuals=downs, mid_block_additional_residual=middle).sample
        return (weight * (out.float() - v) ** 2).mean()

    train(a, "control", list(control.parameters()), loss)
    write_config(control, Path(a.out))
    write_weights(in_half(control), Path(a.out) / "diffusion_pytorch_model.safetensors")


if __name__ == "__main__":
    main()
