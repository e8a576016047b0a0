"""Trains the demo's tiny autoencoder (TAESD's architecture) on the base's latents: previews, and pictures in a hurry.

    python train_tiny_vae.py --work DIR --out demo-family/tiny --minutes 15
"""
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderTiny
from safetensors.torch import save_file

from variants import begin, in_half, options, train, write_config

WIDTHS = (32, 32, 32, 32)


def main():
    a = options(__doc__, 29545, lr=2e-3)
    base = begin(a)
    tiny = AutoencoderTiny(encoder_block_out_channels=WIDTHS, decoder_block_out_channels=WIDTHS, num_encoder_blocks=(1, 2, 2, 2),
                           num_decoder_blocks=(2, 2, 2, 1), scaling_factor=1.0)
    tiny.train()

    def loss():
        rows = base.pick(a.batch)
        latents = base.latents(rows)
        x = torch.from_numpy(base.pictures(rows)).permute(0, 3, 1, 2).float() / 127.5 - 1
        y = tiny.decode(latents).sample.float()
        edges = sum((a_ - b_).abs().mean() for a_, b_ in ((y.diff(dim=2), x.diff(dim=2)), (y.diff(dim=3), x.diff(dim=3))))
        small = (F.avg_pool2d(y, 4) - F.avg_pool2d(x, 4)).abs().mean()
        return (y - x).abs().mean() + 0.5 * edges + small + 0.1 * F.mse_loss(tiny.encode(x).latents.float(), latents)

    train(a, "tiny-vae", list(tiny.parameters()), loss)
    write_config(tiny, Path(a.out))
    save_file(in_half(tiny), Path(a.out) / "diffusion_pytorch_model.safetensors", metadata={"format": "pt"})


if __name__ == "__main__":
    main()
