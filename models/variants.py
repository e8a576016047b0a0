"""What the training scripts of the demo model's family share: the base model as it is exported, pictures, captions, the loop.

The base's weights do not change here: what is trained goes beside it (a control net, low-rank layers, a word) or begins as a
copy of it (the inpainting U-Net).
"""
import argparse
import contextlib
import json
import math
import random
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from safetensors.torch import load_file, save_file
from transformers import CLIPTextModel

from nets import Clock, alphas_cumprod, load_checkpoint, save_atomic
from ranks import add_options, setup
from train_unet import Samples

HERE = Path(__file__).resolve().parent


def options(text, port, **more):
    a = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(a, port=port)
    a.add_argument("--model", default=str(HERE / "demo"), help="the exported base")
    a.add_argument("--out", required=True, help="where the result goes")
    a.add_argument("--batch", type=int, default=more.get("batch", 16))
    a.add_argument("--lr", type=float, default=more.get("lr", 4e-4))
    a.add_argument("--drop", type=float, default=0.1, help="share of captions replaced by the empty one")
    for name, help_text in more.get("flags", {}).items():
        a.add_argument(name, help=help_text, required=True)
    return a.parse_args()


def in_f32(kind, folder, file):
    module = kind.from_config(kind.load_config(folder)) if hasattr(kind, "load_config") else kind(kind.config_class.from_pretrained(folder))
    module.load_state_dict({name: value.float() for name, value in load_file(f"{folder}/{file}.safetensors").items()}, strict=True)
    return module.eval().requires_grad_(False)


class Base:
    """The networks of the exported model in f32, none of them trained, and the training pictures."""

    def __init__(self, a):
        self.vae = in_f32(AutoencoderKL, f"{a.model}/vae", "diffusion_pytorch_model")
        self.unet = in_f32(UNet2DConditionModel, f"{a.model}/unet", "diffusion_pytorch_model")
        self.text = in_f32(CLIPTextModel, f"{a.model}/text_encoder", "model")
        self.unet.set_attn_processor(AttnProcessor())
        self.text.set_attn_implementation("eager")
        self.scale = self.vae.config.scaling_factor
        self.rng = np.random.default_rng([a.seed, 77])
        self.data = Samples(a, self.rng, a.seed)
        self.pixels = np.load(Path(a.work) / "pixels.npy", mmap_mode="r")
        self.bars = alphas_cumprod()

    def pick(self, count):
        """Indices of training pictures, what is rare as often."""
        data = self.data
        pools = [data.pools[self.rng.integers(len(data.pools))] for _ in range(count)]
        return [pool[self.rng.integers(len(pool))] for pool in pools]

    def latents(self, rows):
        return torch.from_numpy(np.stack([self.data.latents[i] for i in rows]).astype(np.float32)) * self.scale

    def pictures(self, rows):
        """uint8 [n, size, size, 3]"""
        return np.stack([self.pixels[i] for i in rows])

    @torch.no_grad()
    def encode(self, pictures):
        """Scaled latents of pictures that have none yet."""
        x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
        with torch.autocast("cpu", torch.bfloat16):
            return self.vae.encode(x).latent_dist.mean.float() * self.scale

    def captions(self, rows, drop):
        """Texts, freshly worded; some empty."""
        from captions import caption
        words = self.data.words
        return ["" if words.random() < drop else caption(self.data.scenes[i], words)[0] for i in rows]

    def said(self, texts):
        ids = torch.tensor([self.data.tokens(text) for text in texts])
        with torch.no_grad():
            return self.text(ids).last_hidden_state

    def noised(self, x0, power=1.0):
        """(noisy latents, v, timesteps, weight): stratified timesteps and the soft min-SNR weight of train_unet.py. A power below 1
        takes more of the noisy ones, where it is decided what lies where."""
        n = len(x0)
        t = (((torch.randperm(n) + torch.rand(n)) / n) ** power * 1000).long().clamp(0, 999)
        bar = self.bars[t].view(-1, 1, 1, 1)
        noise = torch.randn_like(x0)
        snr = bar / (1 - bar)
        weight = torch.clamp(snr + 1, max=5) / (snr + 1)
        return bar.sqrt() * x0 + (1 - bar).sqrt() * noise, bar.sqrt() * noise - (1 - bar).sqrt() * x0, t, weight


def train(a, name, params, loss_of, state=None):
    """AdamW with a falling rate until the time is up; checkpoints every few minutes, resumed by itself.

    loss_of() gives the loss of a fresh batch. state: {name: module or list of parameters} to be kept.
    """
    path = Path(a.work) / f"{name}.pt"
    opt = torch.optim.AdamW(params, a.lr, betas=(0.9, 0.99), weight_decay=1e-3, fused=True)
    kept, step = load_checkpoint(path), 0
    if kept:
        step = kept["step"]
        with torch.no_grad():
            for p, value in zip(params, kept["params"]):
                p.copy_(value)
        opt.load_state_dict(kept["opt"])
    torch.manual_seed(a.seed * 1000003 + step)
    random.seed(a.seed + step)
    clock, losses = Clock(a.minutes), []

    def save():
        save_atomic({"params": [p.detach().clone() for p in params], "opt": opt.state_dict(), "step": step}, path)

    while not clock.up():
        for group in opt.param_groups:
            group["lr"] = a.lr * min(1.0, (step + 1) / 50) * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * clock.fraction())))
        with torch.autocast("cpu", torch.bfloat16) if a.device == "cpu" else contextlib.nullcontext():
            loss = loss_of()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        opt.step()
        opt.zero_grad()
        step += 1
        losses.append(loss.item())
        if clock.due("log"):
            print(f"step {step} seen {step * a.batch} loss {np.mean(losses):.4f} min {clock.minutes():.1f}", flush=True)
            losses.clear()
        if clock.due("save"):
            save()
    save()


def begin(a):
    setup(0, a)
    return Base(a)


def write_config(module, folder):
    config = json.loads(module.to_json_string())
    config.pop("_name_or_path", None)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def in_half(module):
    tensors = {name: value.detach().half().contiguous() for name, value in module.state_dict().items()}
    assert all(torch.isfinite(value).all() for value in tensors.values()), "a weight does not fit fp16"
    return tensors


def write_weights(tensors, path):
    """A safetensors file that everybody may read; never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    save_file(tensors, part, metadata={"format": "pt"})
    part.chmod(0o644)
    part.replace(path)
