"""Trains the U-Net and the text encoder on cached latents; resumes from its checkpoint by itself.

    python train_unet.py --work DIR --minutes 60 [--ranks 2 --core 0]     # CPU
    python train_unet.py --work DIR --minutes 25 --device cuda --batch 256 --lr 1e-3

v-prediction with a soft min-SNR weight, min(SNR + 1, 5) / (SNR + 1) (plain min-SNR all but ignores the noisiest
steps, where the caption decides what the picture shows), stratified timesteps, AdamW (betas 0.9, 0.99), EMA, 10% of captions
dropped. Captions are made anew for every sample, so the wording never repeats.
"""
import argparse
import json
import math
import random
import re
from pathlib import Path

import numpy as np
import torch
from diffusers.models.attention_processor import AttnProcessor
from transformers import CLIPTokenizer

from captions import caption
from nets import Clock, Ema, alphas_cumprod, load_checkpoint, make_text, make_unet, save_atomic
from ranks import add_options, any_rank, average_gradients, launch, setup


def options():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(a, port=29532)
    a.add_argument("--batch", type=int, default=32, help="samples a step, over all ranks")
    a.add_argument("--lr", type=float, default=8e-4)
    a.add_argument("--lr-end", type=float, default=2e-4)
    a.add_argument("--warmup", type=int, default=150)
    a.add_argument("--drop", type=float, default=0.1, help="share of captions replaced by the empty one")
    a.add_argument("--ema", type=float, default=0.999)
    a.add_argument("--f32", action="store_true", help="no bf16 autocast")
    return a.parse_args()


class Samples:
    """Random latents with freshly made, tokenised captions."""

    def __init__(self, a, rng, seed):
        self.work, self.rng, self.words = Path(a.work), rng, random.Random(seed)
        self.tokenizer = CLIPTokenizer.from_pretrained(self.work / "tokenizer")
        self.scenes = [json.loads(line) for line in open(self.work / "scenes.jsonl")]
        self.latents = np.load(self.work / "latents.npy", mmap_mode="r")
        self.scale = json.loads((self.work / "latents.json").read_text())["scaling_factor"]
        self.cache, self.drop = {}, a.drop
        self.refresh()

    def refresh(self):
        """Looks again at which blocks of 1000 are encoded."""
        self.blocks = sorted(int(p.name) for p in (self.work / "encoded").iterdir())

    def tokens(self, text):
        """77 ids, padded with the end token; words are looked up once."""
        ids = [self.tokenizer.bos_token_id]
        for word in re.findall(r"[a-z]+|[0-9]|[^\sa-z0-9]+", text.lower()):
            if word not in self.cache:
                self.cache[word] = self.tokenizer(word).input_ids[1:-1]
            ids += self.cache[word]
        return ids[:76] + [self.tokenizer.eos_token_id] * max(1, 77 - len(ids))

    def batch(self, count):
        """Scaled latents and token ids."""
        rows, ids = [], []
        for _ in range(count):
            i = self.blocks[self.rng.integers(len(self.blocks))] * 1000 + self.rng.integers(1000)
            rows.append(self.latents[i])
            text = "" if self.words.random() < self.drop else caption(self.scenes[i], self.words)[0]
            ids.append(self.tokens(text))
        return torch.from_numpy(np.stack(rows).astype(np.float32)) * self.scale, torch.tensor(ids)


def v_loss(unet, text, x0, ids, bars, half):
    """Mean of min(SNR + 1, 5) / (SNR + 1) times the squared error of v."""
    n = len(x0)
    t = ((torch.randperm(n, device=x0.device) + torch.rand(n, device=x0.device)) / n * 1000).long().clamp(0, 999)
    bar = bars[t].view(-1, 1, 1, 1)
    noise = torch.randn_like(x0)
    noisy, v = bar.sqrt() * x0 + (1 - bar).sqrt() * noise, bar.sqrt() * noise - (1 - bar).sqrt() * x0
    with half:
        said = text(ids).last_hidden_state
        out = unet(noisy, t, said).sample
    snr = bar / (1 - bar)
    return (torch.clamp(snr + 1, max=5) / (snr + 1) * (out.float() - v) ** 2).mean()


def save(path, unet, text, ema, opt, step, seen):
    save_atomic({"unet": unet.state_dict(), "text": text.state_dict(), "ema": ema.state(), "opt": opt.state_dict(),
                 "step": step, "seen": seen}, path)


def train(rank, a):
    setup(rank, a)
    path = Path(a.work) / "unet.pt"
    state = load_checkpoint(path, a.device)
    step, seen = (state["step"], state["seen"]) if state else (0, 0)
    data = Samples(a, np.random.default_rng([a.seed, step, rank]), a.seed * 7919 + step * 31 + rank)
    unet, text = make_unet().to(a.device), make_text(data.tokenizer).to(a.device)
    if a.device == "cpu":       # plain attention: a fifth faster there than the fused kernel's backward
        unet.set_attn_processor(AttnProcessor())
        text.set_attn_implementation("eager")
    both = torch.nn.ModuleList([unet, text])
    ema = Ema(both, a.ema)
    params = list(both.parameters())
    opt = torch.optim.AdamW(params, a.lr, betas=(0.9, 0.99), weight_decay=1e-3, fused=True)
    if state:
        unet.load_state_dict(state["unet"])
        text.load_state_dict(state["text"])
        ema.load(state["ema"])
        if "opt" in state:
            opt.load_state_dict(state["opt"])
    torch.manual_seed(a.seed * 1000003 + step * 17 + rank)
    bars, clock, losses = alphas_cumprod().to(a.device), Clock(a.minutes), []
    half = torch.autocast(a.device, torch.bfloat16, enabled=not a.f32)
    while True:
        lr = a.lr_end + (a.lr - a.lr_end) * 0.5 * (1 + math.cos(math.pi * clock.fraction()))
        for g in opt.param_groups:
            g["lr"] = lr * min(1.0, (step + 1) / a.warmup)
        x0, ids = (v.to(a.device) for v in data.batch(a.batch // a.ranks))
        loss = v_loss(unet, text, x0, ids, bars, half)
        loss.backward()
        average_gradients(params, a.ranks)
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        opt.step()
        opt.zero_grad()
        ema.update()
        step, seen = step + 1, seen + a.batch
        losses.append(loss.item())
        if clock.due("log"):
            data.refresh()
            if rank == 0:
                print(f"step {step} seen {seen} loss {np.mean(losses):.4f} lr {lr:.2e} pictures {len(data.blocks) * 1000} min {clock.minutes():.1f}", flush=True)
            losses.clear()
        last = any_rank(clock.up(), a.ranks)
        if rank == 0 and (last or clock.due("save")):
            save(path, unet, text, ema, opt, step, seen)
        if last:
            return


if __name__ == "__main__":
    launch(train, options())
