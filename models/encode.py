"""Encodes the training pictures once, and fixes the encoder and the latents' scale for good.

    python encode.py --work DIR [--count N] [--part 0/2]

Writes latents.npy (float16 means, unscaled) and latents.json ({"scaling_factor"}).
The encoder is that of the EMA weights. With --part k/n this process does every n-th block, so that several
can work side by side; done blocks are marked by files and skipped when it is started again.
"""
import argparse
import json
import os
from pathlib import Path

import numpy as np
import torch

from nets import Ema, load_checkpoint, make_vae, save_atomic

BLOCK = 1000
SCALE = 0.18215      # SD 1.x's own scaling_factor


@torch.no_grad()
def normalise(vae, mean, std):
    """Folds a shift and a scale of each latent channel into the two 1x1 convolutions around the latents.

    Afterwards every channel has mean 0 and deviation 1 / SCALE; the decoder's pictures stay the same.
    """
    k = 1 / (SCALE * std)
    quant, post = vae.quant_conv, vae.post_quant_conv
    quant.weight[:4] *= k.view(4, 1, 1, 1)
    quant.bias[:4] = (quant.bias[:4] - mean) * k
    quant.bias[4:] += 2 * torch.log(k)
    post.bias += post.weight[:, :, 0, 0] @ mean
    post.weight /= k.view(1, 4, 1, 1)


def freeze(work):
    """Moves the EMA encoder into place and fixes the scale; done once. Returns the model."""
    vae, path = make_vae(), work / "vae.pt"
    state = load_checkpoint(path)
    vae.load_state_dict(state["vae"])
    if state.get("scaling_factor", 1.0) != 1.0:
        return vae.eval()
    ema = Ema(vae)
    ema.load(state["ema"])
    ema.swap()
    vae.eval()
    pixels = np.load(work / "pixels.npy", mmap_mode="r")
    means = torch.from_numpy(encode(vae, pixels[:400], "cpu").astype(np.float32))
    normalise(vae, means.mean((0, 2, 3)), means.std((0, 2, 3)))
    state.update(vae=vae.state_dict(), phase="frozen", scaling_factor=SCALE,
                 ema={"step": ema.step, "mean": [p.detach().clone() for p in vae.parameters()]})
    save_atomic(state, path)
    (work / "latents.json").write_text(json.dumps({"scaling_factor": SCALE}))
    return vae


@torch.no_grad()
def encode(vae, pictures, device):
    """Posterior means of uint8 NHWC pictures, float16."""
    out = []
    for i in range(0, len(pictures), 8):
        x = torch.from_numpy(np.array(pictures[i:i + 8])).permute(0, 3, 1, 2).to(device).float() / 127.5 - 1
        with torch.autocast(device, torch.bfloat16):
            moments = vae.quant_conv(vae.encoder(x))
        out.append(moments[:, :4].float().cpu().numpy().astype(np.float16))
    return np.concatenate(out)


def create(path, shape):
    """Makes the file of latents unless it is there; of several processes only the first one's counts."""
    if path.exists():
        return
    own = f"{path}.{os.getpid()}"
    np.lib.format.open_memmap(own, "w+", np.float16, shape).flush()
    try:
        os.link(own, path)
    except FileExistsError:
        pass
    os.unlink(own)


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--work", default=".work/train")
    args.add_argument("--count", type=int, default=0, help="0: all")
    args.add_argument("--part", default="0/1")
    args.add_argument("--device", default="cpu")
    a = args.parse_args()
    work, (part, parts) = Path(a.work), map(int, a.part.split("/"))
    if a.device == "cpu":
        torch.set_num_threads(1)
    vae = freeze(work).to(a.device)
    pixels = np.load(work / "pixels.npy", mmap_mode="r")
    path = work / "latents.npy"
    create(path, (len(pixels), 4, pixels.shape[1] // 8, pixels.shape[2] // 8))
    latents = np.load(path, mmap_mode="r+")
    marks = work / "encoded"
    marks.mkdir(exist_ok=True)
    count = a.count or len(pixels)
    for block in range(part, (count + BLOCK - 1) // BLOCK, parts):
        mark = marks / f"{block:04d}"
        if mark.exists():
            continue
        rows = slice(block * BLOCK, min((block + 1) * BLOCK, count))
        latents[rows] = encode(vae, pixels[rows], a.device)
        latents.flush()
        mark.write_text(str(rows.stop - rows.start))
        print(f"block {block} done", flush=True)


if __name__ == "__main__":
    main()
