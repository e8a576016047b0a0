"""Shapes of the three networks, and small helpers that all training scripts share.

All are plain SD 1.x shapes built from diffusers' and transformers' own classes with standard options.
"""
import os
import random
import time

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

VAE_CONFIG = dict(
    in_channels=3, out_channels=3, latent_channels=4, norm_num_groups=8, act_fn="silu", sample_size=128,
    block_out_channels=(32, 32, 64, 128), layers_per_block=1,
    down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4)
UNET_CONFIG = dict(
    sample_size=16, in_channels=4, out_channels=4, cross_attention_dim=160, norm_num_groups=16, act_fn="silu",
    block_out_channels=(96, 128, 160), layers_per_block=1, attention_head_dim=(3, 4, 5),
    down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
    up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"))
TEXT_CONFIG = dict(
    hidden_size=160, intermediate_size=640, projection_dim=160, num_hidden_layers=3, num_attention_heads=5,
    max_position_embeddings=77, hidden_act="quick_gelu", layer_norm_eps=1e-5)
BETAS = dict(num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")


def make_vae():
    """Autoencoder whose posterior starts narrow (log-variance -8), so that noise never drowns the latents."""
    vae = AutoencoderKL(**VAE_CONFIG)
    with torch.no_grad():
        vae.quant_conv.bias[4:] = -8.0
        vae.quant_conv.weight[4:] *= 0.1
    return vae


def make_unet():
    return UNet2DConditionModel(**UNET_CONFIG)


def make_text(tokenizer):
    """CLIP text encoder for the vocabulary and the special tokens of `tokenizer`."""
    return CLIPTextModel(CLIPTextConfig(vocab_size=len(tokenizer), bos_token_id=tokenizer.bos_token_id,
                                        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, **TEXT_CONFIG))


def alphas_cumprod():
    """Product of (1 - beta) of the scaled-linear schedule."""
    start, end, n = BETAS["beta_start"], BETAS["beta_end"], BETAS["num_train_timesteps"]
    betas = torch.linspace(start ** 0.5, end ** 0.5, n, dtype=torch.float32) ** 2
    return torch.cumprod(1 - betas, 0)


def seed_all(seed):
    """Seeds every generator that a script may use."""
    random.seed(seed)
    np.random.seed(seed % 2 ** 32)
    torch.manual_seed(seed)


def save_atomic(state, path):
    """Writes a checkpoint so that a reader or a crash never sees half of it."""
    part = f"{path}.part"
    torch.save(state, part)
    os.replace(part, path)


def load_checkpoint(path, device="cpu"):
    """A checkpoint of our own making (tensors and plain values only), or None."""
    if not os.path.exists(path):
        return None
    return torch.load(path, map_location=device, weights_only=True)


class Ema:
    """Exponential mean of parameters, ramped so that early steps are forgotten."""

    def __init__(self, module, decay=0.999):
        self.decay, self.step = decay, 0
        self.params = [p for p in module.parameters()]
        self.mean = [p.detach().clone() for p in self.params]

    @torch.no_grad()
    def update(self):
        self.step += 1
        d = min(self.decay, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(self.mean, self.params, 1 - d)

    @torch.no_grad()
    def swap(self):
        """Exchanges live and mean parameters; call twice to restore."""
        for p, m in zip(self.params, self.mean):
            keep = p.detach().clone()
            p.copy_(m)
            m.copy_(keep)

    def state(self):
        return {"step": self.step, "mean": self.mean}

    def load(self, state):
        self.step = state["step"]
        with torch.no_grad():
            for m, s in zip(self.mean, state["mean"]):
                m.copy_(s)


class Clock:
    """Says when the next report and the next checkpoint are due, and when time is up."""

    def __init__(self, minutes, save_minutes=5.0, log_seconds=30.0):
        now = time.time()
        self.start, self.end = now, now + minutes * 60
        self.save_every, self.log_every = save_minutes * 60, log_seconds
        self.next_save, self.next_log = now + self.save_every, now + log_seconds

    def due(self, what):
        name, every = ("next_" + what), getattr(self, what + "_every")
        if time.time() < getattr(self, name):
            return False
        setattr(self, name, time.time() + every)
        return True

    def minutes(self):
        return (time.time() - self.start) / 60

    def fraction(self):
        """Share of the time that is used up, for learning rates that fall."""
        return min(1.0, (time.time() - self.start) / (self.end - self.start))

    def up(self):
        return time.time() > self.end
