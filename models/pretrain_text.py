"""Gives the text encoder its meaning before the U-Net learns from it, as CLIP's training does for Stable Diffusion.

    python pretrain_text.py --work DIR --minutes 3

Here the mean of the end positions must say, by one linear head an attribute (words.py), what the caption states and what it
leaves open. Text encoder and reader replace those in unet.pt (live and EMA), whose optimiser starts afresh.
"""
import argparse
import random
from pathlib import Path

import numpy as np
import torch

from captions import caption
from nets import Clock, Ema, load_checkpoint, make_text, make_unet, save_atomic
from ranks import add_options, setup
from train_unet import Samples
from words import Reader, labels


def batch(data, rng, count):
    """Token ids cut to a random length that keeps at least four end tokens, and labels."""
    ids, wanted = [], []
    for _ in range(count):
        text, stated = caption(data.scenes[rng.randrange(len(data.scenes))], rng)
        ids.append(data.tokens(text))
        wanted.append(labels(stated))
    ids = torch.tensor(ids)
    longest = int((ids != data.tokenizer.eos_token_id).sum(1).max()) + 4
    return ids[:, :min(77, longest if rng.random() < 0.7 else rng.randint(min(longest, 77), 77))], torch.tensor(wanted)


def install(path, text, reader, a):
    """Puts the text encoder and its reader into the U-Net's checkpoint."""
    state = load_checkpoint(path)
    unet = make_unet()
    both = torch.nn.ModuleList([unet, text])
    ema = Ema(both, 0.999)
    if state:
        unet.load_state_dict(state["unet"])
        count = len(list(unet.parameters()))
        ema.mean[:count] = state["ema"]["mean"][:count]
        ema.step = state["ema"]["step"]
    opt = torch.optim.AdamW(list(both.parameters()), a.lr, betas=(0.9, 0.99), weight_decay=1e-3, fused=True)
    step, seen = (state["step"], state["seen"]) if state else (0, 0)
    save_atomic({"unet": unet.state_dict(), "text": text.state_dict(), "ema": ema.state(), "opt": opt.state_dict(),
                 "reader": reader.state_dict(), "step": step, "seen": seen}, path)


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(a, port=29533)
    a.add_argument("--batch", type=int, default=64)
    a.add_argument("--lr", type=float, default=1e-3)
    a.add_argument("--drop", type=float, default=0.0)
    a = a.parse_args()
    setup(0, a)
    rng = random.Random(a.seed)
    data = Samples(a, np.random.default_rng(a.seed), a.seed)
    text = make_text(data.tokenizer).to(a.device)
    reader = Reader(data.tokenizer, text.config.hidden_size).to(a.device)
    opt = torch.optim.AdamW([*text.parameters(), *reader.parameters()], a.lr, betas=(0.9, 0.99), fused=True)
    clock, step = Clock(a.minutes), 0
    while not clock.up():
        ids, wanted = (v.to(a.device) for v in batch(data, rng, a.batch))
        loss, right = reader(text(ids).last_hidden_state, ids, wanted)
        for g in opt.param_groups:
            g["lr"] = a.lr * min(1.0, (step + 1) / 50) * (1 - 0.9 * clock.fraction())
        opt.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(text.parameters(), 1.0)
        opt.step()
        step += 1
        if step % 50 == 0:
            print(f"step {step} loss {loss.item():.4f} right {right:.3f} min {clock.minutes():.1f}", flush=True)
    install(Path(a.work) / "unet.pt", text.cpu(), reader.cpu(), a)


if __name__ == "__main__":
    main()
