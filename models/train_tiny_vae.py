"""Trains the demo's tiny decoder (the half of TAESD's architecture that decodes): previews, and pictures in a hurry.

    python train_tiny_vae.py --work DIR --out demo-family/tiny --minutes 15

The file holds the decoder alone: the latents are the base's, so that an encoder of its own would have no use.
"""
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderTiny

from variants import begin, in_half, options, train, write_config, write_weights

WIDTHS = (32, 32, 32, 32)


def edges(picture, other):
    """Mean difference of the steps between neighbours."""
    return sum((picture.diff(dim=d) - other.diff(dim=d)).abs().mean() for d in (2, 3))


def main():
    a = options(__doc__, 29545, lr=1e-3, batch=4)
    base = begin(a)
    tiny = AutoencoderTiny(encoder_block_out_channels=WIDTHS, decoder_block_out_channels=WIDTHS, num_encoder_blocks=(1, 2, 2, 2),
                           num_decoder_blocks=(2, 2, 2, 1), scaling_factor=1.0)
    decoder = tiny.decoder.train().to(memory_format=torch.channels_last)

    def loss():
        rows = base.pick(a.batch)
        x = torch.from_numpy(base.pictures(rows)).permute(0, 3, 1, 2).float() / 127.5 - 1
        y = tiny.decode(base.latents(rows)).sample.float()
        return (y - x).abs().mean() + 0.5 * edges(y, x) + (F.avg_pool2d(y, 4) - F.avg_pool2d(x, 4)).abs().mean()

    train(a, "tiny-vae", list(decoder.parameters()), loss)
    write_config(tiny, Path(a.out))
    kept = {name: value for name, value in in_half(tiny).items() if name.startswith("decoder.")}
    write_weights(kept, Path(a.out) / "diffusion_pytorch_model.safetensors")


if __name__ == "__main__":
    main()
