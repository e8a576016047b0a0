#!/usr/bin/env python3
"""Makes tests/model/goldens: what diffusers computes with the tiny models, for our engine to agree with.

    python3 models/fixtures.py build/fixtures
    python3 tests/model/make_goldens.py build/fixtures tests/model/goldens tests/model/sd15   # see requirements.txt

tiny.safetensors holds, for MODEL in tiny-eps, tiny-v (the same weights, another scheduler config):
    embedding.prompt, embedding.negative   f32 [77, 32]      the text encoder's last hidden state
    unet.input, unet.output                f32 [2, 4, 8, 8]  rows at timesteps 981 and 40, prompt then negative
    unet_odd.input, unet_odd.output        f32 [1, 4, 5, 7]  a size that levels do not divide, timestep 500.5
    decode.latents, decode.pixels          f32 [4, 8, 8], u8 [64, 64, 3]
    MODEL.SAMPLER.latents                  f32 [N, 4, 8, 8]  after each evaluation of 8 steps
    MODEL.SAMPLER.pixels                   u8 [64, 64, 3]
    MODEL.noise                            f32 [4, 8, 8]     the first noise of the seed
and for each VARIANT of other shapes, its weights by the same hash as those of models/fixtures.py:
    VARIANT.embedding  VARIANT.unet.{input,output}  VARIANT.decode.{latents,pixels}
SAMPLER is each that is offered, with the model's noise schedule, and some with another; a name as --sampler takes it. diffusers
has no ancestral Euler with Karras spacing: there the ancestral scheduler is given the timesteps and sigmas of the plain one,
which is what k-diffusion does. The single-step SDE is given a Brownian path that is drawn in order from the picture's own
generator, as ours is, in place of torchsde's tree, whose seed nobody sets. goldens.json has the parameters, the variants' configs, token ids by CLIPTokenizerFast for texts that are easy to get
wrong, and for Stable Diffusion 1.5 (configs alone) how many tensors and values each network has, with the sha256 of
the sorted lines "NAME [SHAPE]" of all its tensors.
"""
import hashlib
import importlib.util
import json
import math
import sys
import types
from pathlib import Path

import diffusers
import numpy as np
import torch
import transformers
from diffusers import (AutoencoderKL, DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler,
                       EulerAncestralDiscreteScheduler, EulerDiscreteScheduler, HeunDiscreteScheduler, LCMScheduler,
                       LMSDiscreteScheduler, PNDMScheduler, StableDiffusionPipeline, TCDScheduler, UNet2DConditionModel,
                       UniPCMultistepScheduler)
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizerFast

if importlib.util.find_spec("torchsde") is None:  # its noise is not used
    sys.modules["torchsde"] = types.ModuleType("torchsde")
import diffusers.schedulers.scheduling_dpmsolver_sde as single_step_sde

PROMPT, NEGATIVE = "a red house by the lake at night", "snow and rain"
SEED, STEPS, GUIDANCE, SIDE = 1234, 8, 7.5, 64
TIMESTEPS, ODD_TIMESTEP = [981.0, 40.0], 500.5

TEXTS = [
    "", " ", "a", "a red house by the lake", "  A Red\tHouse\n\nBy  the LAKE  ", "the sun's light, isn't it?",
    "I'LL they're we've I'm he'd it's don't can't rock'n'roll 'tis", "1234 5th 3.14 x2", "night-time (blue:1.2) [snow]",
    "cafe\u0301 caf\u00e9 na\u00efve", "\u0130stanbul I\u0307 \u0131", "STRASSE Stra\u00dfe \u1e9e \ufb01 \u00c5ngstr\u00f6m \u212b",
    "\u65e5\u672c\u306e\u6e56 \u0441\u043d\u0435\u0433 \u05d0\u05d1 \u0e20\u0e39\u0e40\u0e02\u0e32", "\U0001f3d4\ufe0f\U0001f319 moon\U0001f319moon",
    "a\u00a0b\u2003c\u3000d\u200be\u200d", "tab\x01\x7fcontrol\x85x", "\u00bd \u2167 \u0663 \u00b2 x\u00b2", "!!!...;;;--- @#$%^&*()",
    "<|startoftext|> a <|endoftext|> b", "a<|endoftext|>b <|ENDOFTEXT|>", "<|endof text|>", "\ufffd \ufeff \u00ad",
    "\u03a3\u0391\u03a3 \u039f\u0394\u039f\u03a3", "e\u0323\u0302 \u1ec7 \uac00 \u1100\u1161",
    "lake " * 74, "lake " * 75, "lake " * 76, "lake " * 90, "mountainlakemountain" * 40, "'" * 200, "\u00e9" * 100,
]


def embed(pipe, text):
    ids = pipe.tokenizer(text, padding="max_length", max_length=pipe.tokenizer.model_max_length, truncation=True,
                         return_tensors="pt").input_ids
    return pipe.text_encoder(ids)[0]


def noise(shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def pixels_of(image):
    return (image / 2 + 0.5).clamp(0, 1).mul(255).round().to(torch.uint8)[0].permute(1, 2, 0).contiguous()


def parts(pipe, out):
    """One call of each network."""
    prompt, negative = embed(pipe, PROMPT), embed(pipe, NEGATIVE)
    out["embedding.prompt"], out["embedding.negative"] = prompt[0], negative[0]
    x = noise((2, 4, 8, 8), 1)
    out["unet.input"] = x
    out["unet.output"] = pipe.unet(x, torch.tensor(TIMESTEPS), torch.cat([prompt, negative])).sample
    x = noise((1, 4, 5, 7), 2)
    out["unet_odd.input"] = x
    out["unet_odd.output"] = pipe.unet(x, torch.tensor([ODD_TIMESTEP]), prompt).sample
    x = noise((1, 4, 8, 8), 3) * pipe.vae.config.scaling_factor
    out["decode.latents"] = x[0]
    out["decode.pixels"] = pixels_of(pipe.vae.decode(x / pipe.vae.config.scaling_factor).sample)


class AncestralKarras(EulerAncestralDiscreteScheduler):
    def set_timesteps(self, num_inference_steps, device=None):
        super().set_timesteps(num_inference_steps, device)
        plain = EulerDiscreteScheduler.from_config(self.config, use_karras_sigmas=True)
        plain.set_timesteps(num_inference_steps, device)
        self.timesteps, self.sigmas = plain.timesteps, plain.sigmas


class BrownianPath:
    """The first look's way and the whole way of one path, each brought to variance 1."""

    generator = None

    def __init__(self, sample, *_):
        self.shape, self.half = sample.shape, None

    def fresh(self):
        return torch.randn(self.shape, generator=self.generator)

    def __call__(self, sigma, to):
        if self.half is None:
            self.half = (to, self.fresh())
            return self.half[1]
        (middle, first), self.half = self.half, None
        return first * ((sigma - middle) / (sigma - to)) ** 0.5 + self.fresh() * ((middle - to) / (sigma - to)) ** 0.5


single_step_sde.BrownianTreeNoiseSampler = BrownianPath
SAMPLERS = {
    "euler": (EulerDiscreteScheduler, {}),
    "euler_karras": (EulerDiscreteScheduler, {"use_karras_sigmas": True}),
    "euler_a": (EulerAncestralDiscreteScheduler, {}),
    "euler_a_karras": (AncestralKarras, {}),
    "ddim": (DDIMScheduler, {}),
    "dpmpp_2m": (DPMSolverMultistepScheduler, {}),
    "dpmpp_2m_karras": (DPMSolverMultistepScheduler, {"use_karras_sigmas": True}),
    "dpmpp_2m_beta": (DPMSolverMultistepScheduler, {"use_beta_sigmas": True}),
    "ddpm": (DDPMScheduler, {"clip_sample": False}),
    "pndm": (PNDMScheduler, {"skip_prk_steps": True}),
    "lms": (LMSDiscreteScheduler, {}),
    "lms_exponential": (LMSDiscreteScheduler, {"use_exponential_sigmas": True}),
    "heun": (HeunDiscreteScheduler, {}),
    "heun_karras": (HeunDiscreteScheduler, {"use_karras_sigmas": True}),
    "dpmpp_2m_sde": (DPMSolverMultistepScheduler, {"algorithm_type": "sde-dpmsolver++"}),
    "dpmpp_sde": (single_step_sde.DPMSolverSDEScheduler, {}),
    "dpmpp_sde_karras": (single_step_sde.DPMSolverSDEScheduler, {"use_karras_sigmas": True}),
    "unipc": (UniPCMultistepScheduler, {}),
    "unipc_karras": (UniPCMultistepScheduler, {"use_karras_sigmas": True}),
    "lcm": (LCMScheduler, {}),
    "tcd": (TCDScheduler, {}),
}


def images(pipe, model, out):
    config = pipe.scheduler.config
    out[f"{model}.noise"] = noise((4, 8, 8), SEED)
    for name, (kind, options) in SAMPLERS.items():
        pipe.scheduler = kind.from_config(config, **options)
        steps = []

        def keep(_pipe, _step, _timestep, tensors):
            steps.append(tensors["latents"][0].clone())
            return tensors

        BrownianPath.generator = torch.Generator().manual_seed(SEED)
        image = pipe(PROMPT, negative_prompt=NEGATIVE, num_inference_steps=STEPS, guidance_scale=GUIDANCE, height=SIDE,
                     width=SIDE, generator=BrownianPath.generator, callback_on_step_end=keep,
                     output_type="pt").images
        out[f"{model}.{name}.latents"] = torch.stack(steps)
        out[f"{model}.{name}.pixels"] = image.mul(255).round().to(torch.uint8)[0].permute(1, 2, 0).contiguous()
        print(model, name, len(steps), [round(float(s.abs().mean()), 4) for s in steps])


def tokens(folder):
    fast = CLIPTokenizerFast(f"{folder}/tokenizer/vocab.json", f"{folder}/tokenizer/merges.txt", model_max_length=77)
    return [{"text": text, "ids": fast(text, padding="max_length", truncation=True).input_ids} for text in TEXTS]


def full_size(configs):
    """Names and shapes at full size, from modules without memory."""
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(f"{configs}/unet"))
        vae = AutoencoderKL.from_config(AutoencoderKL.load_config(f"{configs}/vae"))
        text = CLIPTextModel(CLIPTextConfig.from_pretrained(f"{configs}/text_encoder"))
    facts = {}
    for name, module, skipped in (("text_encoder", text, ()), ("unet", unet, ()), ("vae", vae, ("encoder.", "quant_conv."))):
        tensors = {key: value for key, value in module.named_parameters() if not key.startswith(tuple(skipped))}
        lines = "".join(sorted(f"{key} {list(value.shape)}\n" for key, value in tensors.items()))
        facts[name] = dict(tensors=len(tensors), values=sum(value.numel() for value in tensors.values()),
                           sha256=hashlib.sha256(lines.encode()).hexdigest())
    return facts


VARIANTS = {
    "four-levels": dict(  # SD 1.5's shape, narrow
        text_encoder=dict(vocab_size=568, hidden_size=24, intermediate_size=40, num_hidden_layers=3,
                          num_attention_heads=3, hidden_act="gelu", layer_norm_eps=1e-4),
        unet=dict(sample_size=8, block_out_channels=[8, 16, 24, 24], layers_per_block=2, attention_head_dim=[2, 4, 3, 3],
                  norm_num_groups=4, cross_attention_dim=24, norm_eps=1e-4,
                  down_block_types=["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
                  up_block_types=["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3),
        vae=dict(block_out_channels=[8, 16, 24], layers_per_block=2, norm_num_groups=4, latent_channels=4)),
    "linear": dict(  # linear projections, several transformer layers, attention at the deep end as in SDXL
        text_encoder=dict(vocab_size=568, hidden_size=16, intermediate_size=32, num_hidden_layers=1,
                          num_attention_heads=2, hidden_act="quick_gelu"),
        unet=dict(sample_size=8, block_out_channels=[16, 8, 32], layers_per_block=1, attention_head_dim=[1, 2, 4],
                  transformer_layers_per_block=[1, 2, 3], norm_num_groups=8, cross_attention_dim=16,
                  use_linear_projection=True,
                  down_block_types=["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
                  up_block_types=["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"]),
        vae=dict(block_out_channels=[16, 8], layers_per_block=1, norm_num_groups=8, latent_channels=4,
                 mid_block_add_attention=False, use_post_quant_conv=False, use_quant_conv=False)),
}


def hashed(component, module):
    """Sets every parameter by the hash of models/fixtures.py."""
    def mix(x):
        x = (x ^ x >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ x >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
        return x ^ x >> np.uint64(31)

    for name, value in module.named_parameters():
        fnv = 0xCBF29CE484222325
        for byte in f"{component}/{name}".encode():
            fnv = ((fnv ^ byte) * 0x100000001B3) & (2 ** 64 - 1)
        with np.errstate(over="ignore"):
            x = np.uint64(fnv) + np.uint64(0x9E3779B97F4A7C15) + np.arange(value.numel(), dtype=np.uint64)
            u = (mix(x) >> np.uint64(40)).astype(np.float64) / 2 ** 23 - 1
        if value.dim() > 1:
            u = u / math.sqrt(math.prod(value.shape[1:]))
        else:
            u = 1 + 0.1 * u if name.endswith(".weight") else 0.1 * u
        value.copy_(torch.from_numpy(u.astype(np.float32)).reshape(value.shape))
    return module.eval()


def variants(fixtures, out):
    """One call of each network of other shapes; their configs go into goldens.json as the classes write them."""
    pipe = StableDiffusionPipeline.from_pretrained(f"{fixtures}/tiny-eps", torch_dtype=torch.float32)
    configs = {}
    for variant, parts in VARIANTS.items():
        pipe.text_encoder = hashed("text_encoder", CLIPTextModel(CLIPTextConfig(**parts["text_encoder"])))
        pipe.unet = hashed("unet", UNet2DConditionModel(**parts["unet"]))
        pipe.vae = hashed("vae", AutoencoderKL(
            down_block_types=["DownEncoderBlock2D"] * len(parts["vae"]["block_out_channels"]),
            up_block_types=["UpDecoderBlock2D"] * len(parts["vae"]["block_out_channels"]), **parts["vae"]))
        text = torch.cat([embed(pipe, PROMPT), embed(pipe, NEGATIVE)])
        x, timesteps = noise((2, 4, 10, 9), 4), torch.tensor(TIMESTEPS)
        out[f"{variant}.embedding"] = text[0]
        out[f"{variant}.unet.input"], out[f"{variant}.unet.output"] = x, pipe.unet(x, timesteps, text).sample
        x = noise((1, 4, 5, 6), 5) * pipe.vae.config.scaling_factor
        out[f"{variant}.decode.latents"] = x[0]
        out[f"{variant}.decode.pixels"] = pixels_of(pipe.vae.decode(x / pipe.vae.config.scaling_factor).sample)
        configs[variant] = {
            "text_encoder": json.loads(pipe.text_encoder.config.to_json_string()),
            "unet": json.loads(pipe.unet.to_json_string()), "vae": json.loads(pipe.vae.to_json_string())}
    return configs


def scheduler_files():
    """What each class of scheduler that we accept writes, at its defaults: as text, for -Infinity is not JSON."""
    kinds = (DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler, EulerAncestralDiscreteScheduler,
             EulerDiscreteScheduler, HeunDiscreteScheduler, LCMScheduler, LMSDiscreteScheduler, PNDMScheduler, TCDScheduler,
             UniPCMultistepScheduler)
    return {kind.__name__: kind().to_json_string() for kind in kinds}


def main(fixtures, folder, configs):
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    out = {}
    for model in ("tiny-eps", "tiny-v"):
        pipe = StableDiffusionPipeline.from_pretrained(f"{fixtures}/{model}", torch_dtype=torch.float32)
        pipe.set_progress_bar_config(disable=True)
        if model == "tiny-eps":
            parts(pipe, out)
        images(pipe, model, out)
    shapes = variants(fixtures, out)
    Path(folder).mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in out.items()}, f"{folder}/tiny.safetensors")
    facts = dict(prompt=PROMPT, negative=NEGATIVE, seed=SEED, steps=STEPS, guidance=GUIDANCE, side=SIDE,
                 timesteps=TIMESTEPS, odd_timestep=ODD_TIMESTEP, samplers=list(SAMPLERS),
                 made_with=dict(diffusers=diffusers.__version__, torch=torch.__version__,
                                transformers=transformers.__version__),
                 tokens=tokens(f"{fixtures}/tiny-eps"), sd15=full_size(configs), variants=shapes,
                 schedulers=scheduler_files())
    Path(f"{folder}/goldens.json").write_text(json.dumps(facts, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
