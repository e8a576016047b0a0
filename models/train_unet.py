"""Trains the U-Net and the text encoder on cached latents; resumes from its checkpoint by itself.

    python train_unet.py --work DIR --minutes 60 [--ranks 2 --core 0]     # CPU
    python train_unet.py --work DIR --minutes 25 --device cuda --batch 256 --lr 1e-3

v-prediction with a soft min-SNR weight, min(SNR + 1, 5) / (SNR + 1) (plain min-SNR all but ignores the noisiest
steps, where the caption decides what the picture shows), stratified timesteps, AdamW (betas 0.9, 0.99), EMA, 10% of captions
dropped. Captions are made anew for every sample, so the wording never repeats. A linear reader keeps the text encoder able to
tell what a caption states (words.py).
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
from scene import drawable
from words import Reader, labels


def options():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(a, port=29532)
    a.add_argument("--batch", type=int, default=32, help="samples a step, over all ranks")
    a.add_argument("--lr", type=float, default=8e-4)
    a.add_argument("--lr-end", type=float, default=2e-4)
    a.add_argument("--warmup", type=int, default=150)
    a.add_argument("--drop", type=float, default=0.1, help="share of captions replaced by the empty one")
    a.add_argument("--ema", type=float, default=0.999)
    a.add_argument("--words", type=float, default=0.1, help="weight of the loss of words.py beside the U-Net's")
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
        """Looks again at which blocks of 1000 are encoded. Pools by number of trees, weather, and whether sun or moon are
        there: what is rare is drawn as often."""
        blocks = sorted(int(p.name) for p in (self.work / "encoded").iterdir())
        pools = {}
        for i in (block * 1000 + k for block in blocks for k in range(1000)):
            if drawable(self.scenes[i]):
                scene = self.scenes[i]
                pools.setdefault((scene["trees"], scene["weather"], scene["body"] == "none"), []).append(i)
        self.pictures = sum(map(len, pools.values()))
        self.pools = [pool for (_, weather, _), pool in pools.items() for _ in range(2 if weather == "clear" else 1)]

    def tokens(self, text):
        """77 ids, padded with the end token; words are looked up once."""
        ids = [self.tokenizer.bos_token_id]
        for word in re.findall(r"[a-z]+|[0-9]|[^\sa-z0-9]+", text.lower()):
            if word not in self.cache:
                self.cache[word] = self.tokenizer(word).input_ids[1:-1]
            ids += self.cache[word]
        return ids[:76] + [self.tokenizer.eos_token_id] * max(1, 77 - len(ids))

    def batch(self, count):
        """Scaled latents, token ids, and the labels of what the captions state."""
        rows, ids, wanted = [], [], []
        for _ in range(count):
            pool = self.pools[self.rng.integers(len(self.pools))]
            i = pool[self.rng.integers(len(pool))]
            rows.append(self.latents[i])
            text, stated = ("", {}) if self.words.random() < self.drop else caption(self.scenes[i], self.words)
            ids.append(self.tokens(text))
            wanted.append(labels(stated))
        return torch.from_numpy(np.stack(rows).astype(np.float32)) * self.scale, torch.tensor(ids), torch.tensor(wanted)


def v_loss(unet, text, x0, ids, bars, half):
    """Mean of min(SNR + 1, 5) / (SNR + 1) times the squared error of v; and the text encoder's states."""
    n = len(x0)
    t = ((torch.randperm(n, device=x0.device) + torch.rand(n, device=x0.device)) / n * 1000).long().clamp(0, 999)
    bar = bars[t].view(-1, 1, 1, 1)
    noise = torch.randn_like(x0)
    noisy, v = bar.sqrt() * x0 + (1 - bar).sqrt() * noise, bar.sqrt() * noise - (1 - bar).sqrt() * x0
    with half:
        said = text(ids).last_hidden_state
        out = unet(noisy, t, said).sample
    snr = bar / (1 - bar)
    return (torch.clamp(snr + 1, max=5) / (snr + 1) * (out.float() - v) ** 2).mean(), said


def save(path, unet, text, reader, ema, opt, step, seen):
    save_atomic({"unet": unet.state_dict(), "text": text.state_dict(), "reader": reader.state_dict(), "ema": ema.state(),
                 "opt": opt.state_dict(), "step": step, "seen": seen}, path)


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
    reader = Reader(data.tokenizer, text.config.hidden_size).to(a.device)
    ema = Ema(both, a.ema)
    params = list(both.parameters())
    opt = torch.optim.AdamW(params, a.lr, betas=(0.9, 0.99), weight_decay=1e-3, fused=True)
    reading = torch.optim.AdamW(reader.parameters(), 1e-3, betas=(0.9, 0.99), fused=True)
    if state:
        unet.load_state_dict(state["unet"])
        text.load_state_dict(state["text"])
        ema.load(state["ema"])
        if "reader" in state:
            reader.load_state_dict(state["reader"])
        if "opt" in state:
            opt.load_state_dict(state["opt"])
    torch.manual_seed(a.seed * 1000003 + step * 17 + rank)
    bars, clock, losses, rights = alphas_cumprod().to(a.device), Clock(a.minutes), [], []
    half = torch.autocast(a.device, torch.bfloat16, enabled=not a.f32)
    while True:
        lr = a.lr_end + (a.lr - a.lr_end) * 0.5 * (1 + math.cos(math.pi * clock.fraction()))
        for g in opt.param_groups:
            g["lr"] = lr * min(1.0, (step + 1) / a.warmup)
        x0, ids, wanted = (v.to(a.device) for v in data.batch(a.batch // a.ranks))
        loss, said = v_loss(unet, text, x0, ids, bars, half)
        unread, right = reader(said, ids, wanted)
        (loss + a.words * unread).backward()
        average_gradients([*params, *reader.parameters()], a.ranks)
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        for optimiser in (opt, reading):
            optimiser.step()
            optimiser.zero_grad()
        ema.update()
        step, seen = step + 1, seen + a.batch
        losses.append(loss.item())
        rights.append(right)
        if clock.due("log"):
            data.refresh()
            if rank == 0:
                print(f"step {step} seen {seen} loss {np.mean(losses):.4f} words {np.mean(rights):.3f} lr {lr:.2e} pictures {data.pictures} "
                      f"min {clock.minutes():.1f}", flush=True)
            losses.clear()
            rights.clear()
        last = any_rank(clock.up(), a.ranks)
        if rank == 0 and (last or clock.due("save")):
            save(path, unet, text, reader, ema, opt, step, seen)
        if last:
            return


if __name__ == "__main__":
    launch(train, options())
