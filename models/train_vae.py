"""Trains the autoencoder; resumes from its checkpoint by itself.

    python train_vae.py --work DIR --minutes 40                     # phase 1: all of it
    python encode.py --work DIR                                     # freezes the latents
    python train_vae.py --work DIR --decoder-only --minutes 60      # phase 2: sharper decoder, same latents

Loss: L1, plus L1 of the picture's horizontal and vertical differences, plus L1 at half size; objects
count more (--object-weight) and half of the steps see 64x64 crops, most of them around an object.
On a CPU use --ranks 2 (single-threaded processes that average gradients); on a GPU --device cuda --batch 64.
"""
import argparse
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from nets import Clock, Ema, load_checkpoint, make_vae, save_atomic
from ranks import add_options, any_rank, average_gradients, launch, setup

CROP = 64


def options():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(a, port=29531)
    a.add_argument("--batch", type=int, default=4, help="full pictures a step and rank; four times as many crops")
    a.add_argument("--crops", type=float, default=0.5, help="share of steps that see crops")
    a.add_argument("--lr", type=float, default=1e-3)
    a.add_argument("--lr-end", type=float, default=2e-4)
    a.add_argument("--object-weight", type=float, default=2.0, help="extra weight inside object boxes")
    a.add_argument("--kl", type=float, default=1e-4)
    a.add_argument("--noise", type=float, default=0.06, help="decoder-only: noise on latents, in their deviations")
    a.add_argument("--decoder-only", action="store_true")
    return a.parse_args()


class Pictures:
    """Random batches of pictures or crops, with weights and, when frozen, their latents."""

    def __init__(self, a, rng):
        work = Path(a.work)
        self.pixels = np.load(work / "pixels.npy", mmap_mode="r")
        self.boxes = np.load(work / "boxes.npy")
        self.latents = np.load(work / "latents.npy", mmap_mode="r") if a.decoder_only else None
        self.rng, self.weight, self.size = rng, a.object_weight, self.pixels.shape[1]

    def corner(self, boxes):
        """Upper left corner of a crop, on the latent grid, around an object three times in four."""
        span = self.size - CROP
        real = boxes[boxes[:, 2] > boxes[:, 0]]
        if len(real) and self.rng.random() < 0.75:
            box = real[self.rng.integers(len(real))]
            x = (box[0] + box[2]) / 2 - CROP / 2 + self.rng.uniform(-16, 16)
            y = (box[1] + box[3]) / 2 - CROP / 2 + self.rng.uniform(-16, 16)
        else:
            x, y = self.rng.uniform(0, span, 2)
        return tuple(int(min(max(round(v / 8) * 8, 0), span)) for v in (x, y))

    def mask(self, boxes):
        """Weight of every pixel of a full picture."""
        m = np.ones((self.size, self.size), np.float32)
        for x0, y0, x1, y1 in boxes.astype(int):
            if x1 > x0:
                m[max(y0, 0):y1 + 1, max(x0, 0):x1 + 1] = 1 + self.weight
        return m

    def batch(self, count, crops):
        """Pictures [-1,1] NCHW, weights N1HW, latents or None."""
        xs, ws, zs = [], [], []
        for i in self.rng.integers(0, len(self.pixels), count):
            x, y, n = (*self.corner(self.boxes[i]), CROP) if crops else (0, 0, self.size)
            p, w = self.pixels[i, y:y + n, x:x + n], self.mask(self.boxes[i])[y:y + n, x:x + n]
            if self.latents is not None:
                zs.append(self.latents[i, :, y // 8:(y + n) // 8, x // 8:(x + n) // 8])
            elif self.rng.random() < 0.5:
                p, w = p[:, ::-1], w[:, ::-1]
            xs.append(p)
            ws.append(w)
        x = torch.from_numpy(np.stack(xs)).permute(0, 3, 1, 2).float() / 127.5 - 1
        w = torch.from_numpy(np.stack(ws))[:, None]
        return x, w, torch.from_numpy(np.stack(zs).astype(np.float32)) if zs else None


def edges(x):
    return x[..., :, 1:] - x[..., :, :-1], x[..., 1:, :] - x[..., :-1, :]


def picture_loss(y, x, w):
    """Weighted L1 + 0.5 L1 of differences, and a quarter of the same at half size."""
    total = 0.0
    for k, share in ((1, 1.0), (2, 0.25)):
        if k > 1:
            x, y, w = (F.avg_pool2d(t, k) for t in (x, y, w))
        d = y - x
        dx, dy = edges(d)
        total = total + share * ((d.abs() * w).mean() + 0.5 * ((dx.abs() * w[..., 1:]).mean() + (dy.abs() * w[..., 1:, :]).mean()))
    return total


def forward(vae, x, z, a, scale):
    """Reconstruction and KL; z are frozen latents in phase 2."""
    if z is None:
        moments = vae.quant_conv(vae.encoder(x)).float()
        mean, logvar = moments.chunk(2, 1)
        logvar = logvar.clamp(-30, 20)
        kl = 0.5 * (mean ** 2 + logvar.exp() - 1 - logvar).mean()
        z = mean + torch.exp(0.5 * logvar) * torch.randn_like(mean)
    else:
        kl = 0.0
        strength = a.noise / scale * torch.rand(len(z), 1, 1, 1, device=z.device)
        z = z + strength * torch.randn_like(z)
    return vae.decoder(vae.post_quant_conv(z)).float(), kl


def train(rank, a):
    setup(rank, a)
    vae = make_vae().to(a.device)
    path = Path(a.work) / "vae.pt"
    state = load_checkpoint(path, a.device)
    if state:
        vae.load_state_dict(state["vae"])
    if a.decoder_only:
        vae.encoder.requires_grad_(False)
        vae.quant_conv.requires_grad_(False)
    params = [p for p in vae.parameters() if p.requires_grad]
    opt = torch.optim.AdamW(params, a.lr, betas=(0.9, 0.99), weight_decay=1e-4, fused=True)
    ema = Ema(vae, 0.999)
    step, seen = (state["step"], state["seen"]) if state else (0, 0)
    phase = "decoder" if a.decoder_only else "all"
    if state:
        ema.load(state["ema"])
        if state["phase"] == phase:
            opt.load_state_dict(state["opt"])
    scale = (state or {}).get("scaling_factor", 1.0)
    rng = np.random.default_rng([a.seed, step, rank])
    torch.manual_seed(a.seed * 1000003 + step * 17 + rank)
    data, clock, run_step, losses = Pictures(a, rng), Clock(a.minutes), 0, []

    def save():
        if rank == 0:
            save_atomic({"vae": vae.state_dict(), "ema": ema.state(), "opt": opt.state_dict(), "step": step, "seen": seen,
                         "phase": phase, "scaling_factor": scale}, path)

    half = torch.autocast(a.device, torch.bfloat16)
    while True:
        done = clock.fraction()
        lr = a.lr_end + (a.lr - a.lr_end) * 0.5 * (1 + math.cos(math.pi * done))
        for g in opt.param_groups:
            g["lr"] = lr * min(1.0, (run_step + 1) / 100)
        crops = np.random.default_rng([a.seed, step]).random() < a.crops
        x, w, z = (t if t is None else t.to(a.device) for t in data.batch(a.batch * (4 if crops else 1), crops))
        with half:
            y, kl = forward(vae, x, z, a, scale)
        loss = picture_loss(y, x, w) + a.kl * kl
        loss.backward()
        average_gradients(params, a.ranks)
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        opt.step()
        opt.zero_grad()
        ema.update()
        step, run_step, seen = step + 1, run_step + 1, seen + a.batch * a.ranks
        with torch.no_grad():
            losses.append([loss.item(), ((y - x) ** 2).mean().item() / 4, float(kl), crops])
        if rank == 0 and clock.due("log"):
            full = [v[1] for v in losses if not v[3]] or [1.0]
            print(f"step {step} seen {seen} loss {np.mean([v[0] for v in losses]):.4f} psnr {-10 * math.log10(np.mean(full)):.2f} "
                  f"kl {np.mean([v[2] for v in losses]):.2f} lr {lr:.2e} min {clock.minutes():.1f}",
                  flush=True)
            losses.clear()
        if clock.due("save"):
            save()
        if any_rank(clock.up(), a.ranks):
            save()
            return


if __name__ == "__main__":
    launch(train, options())
