"""Trains the demo's control net: line drawing -> landscape.

    python train_control.py --work DIR --out demo-family/sketch --minutes 15
"""
import numpy as np
import torch
from diffusers import ControlNetModel
from diffusers.models.attention_processor import AttnProcessor
from safetensors.torch import save_file
from pathlib import Path

from sketch import sketch
from variants import begin, in_half, options, train, write_config


def main():
    a = options(__doc__, 29541)
    base = begin(a)
    control = ControlNetModel.from_unet(base.unet, conditioning_channels=3, load_weights_from_unet=True)
    control = ControlNetModel.from_config({**control.config, "conditioning_embedding_out_channels": (16, 32, 64, 96)})
    missing = control.load_state_dict({k: v for k, v in base.unet.state_dict().items() if k.startswith(("conv_in", "time_", "down_", "mid_"))},
                                      strict=False)
    assert not missing.unexpected_keys
    control.set_attn_processor(AttnProcessor())
    control.requires_grad_(True)

    def loss():
        rows = base.pick(a.batch)
        lines = torch.from_numpy(np.stack([sketch(p) for p in base.pictures(rows)])).permute(0, 3, 1, 2).float() / 255
        noisy, v, t, weight = base.noised(base.latents(rows))
        said = base.said(base.captions(rows, 0.3))      # often without words, so that the lines alone say where things are
        downs, middle = control(noisy, t, said, lines, return_dict=False)
        out = base.unet(noisy, t, said, down_block_additional_residuals=downs, mid_block_additional_residual=middle).sample
        return (weight * (out.float() - v) ** 2).mean()

    train(a, "control", list(control.parameters()), loss)
    write_config(control, Path(a.out))
    save_file(in_half(control), Path(a.out) / "diffusion_pytorch_model.safetensors", metadata={"format": "pt"})


if __name__ == "__main__":
    main()
