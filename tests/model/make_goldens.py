#!/usr/bin/env python3
"""Makes tests/model/goldens: what diffusers computes with the tiny models, for our engine to agree with.

    python3 models/fixtures.py build/fixtures
    python3 tests/model/make_goldens.py build/fixtures tests/model/goldens     # with tests/model/requirements.txt

tiny.safetensors holds, for MODEL in tiny-eps, tiny-v (the same weights, another scheduler config):
    embedding.prompt, embedding.negative   f32 [77, 32]      the text encoder's last hidden state
    unet.input, unet.output                f32 [2, 4, 8, 8]  rows at timesteps 981 and 40, prompt then negative
    unet_odd.input, unet_odd.output        f32 [1, 4, 5, 7]  a size that levels do not divide, timestep 500.5
    decode.latents, decode.pixels          f32 [4, 8, 8], u8 [64, 64, 3]
    MODEL.SAMPLER.latents                  f32 [8, 4, 8, 8]  after each of 8 steps
    MODEL.SAMPLER.pixels                   u8 [64, 64, 3]
    MODEL.noise                            f32 [4, 8, 8]     the first noise of the seed
SAMPLER is euler, euler_a, ddim, dpmpp_2m or one of them with _karras. diffusers has no ancestral Euler with Karras
spacing: there the ancestral scheduler is given the timesteps and sigmas of the plain one, which is what k-diffusion
does. goldens.json has the parameters, and token ids by CLIPTokenizerFast for texts that are easy to get wrong.
"""
import json
import sys
from pathlib import Path

import diffusers
import torch
import transformers
from diffusers import (DDIMScheduler, DPMSolverMultistepScheduler, EulerAncestralDiscreteScheduler,
                       EulerDiscreteScheduler, StableDiffusionPipeline)
from safetensors.torch import save_file
from transformers import CLIPTokenizerFast

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


SAMPLERS = {
    "euler": (EulerDiscreteScheduler, {}),
    "euler_karras": (EulerDiscreteScheduler, {"use_karras_sigmas": True}),
    "euler_a": (EulerAncestralDiscreteScheduler, {}),
    "euler_a_karras": (AncestralKarras, {}),
    "ddim": (DDIMScheduler, {}),
    "dpmpp_2m": (DPMSolverMultistepScheduler, {}),
    "dpmpp_2m_karras": (DPMSolverMultistepScheduler, {"use_karras_sigmas": True}),
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

        image = pipe(PROMPT, negative_prompt=NEGATIVE, num_inference_steps=STEPS, guidance_scale=GUIDANCE, height=SIDE,
                     width=SIDE, generator=torch.Generator().manual_seed(SEED), callback_on_step_end=keep,
                     output_type="pt").images
        out[f"{model}.{name}.latents"] = torch.stack(steps)
        out[f"{model}.{name}.pixels"] = image.mul(255).round().to(torch.uint8)[0].permute(1, 2, 0).contiguous()
        print(model, name, len(steps), [round(float(s.abs().mean()), 4) for s in steps])


def tokens(folder):
    fast = CLIPTokenizerFast(f"{folder}/tokenizer/vocab.json", f"{folder}/tokenizer/merges.txt", model_max_length=77)
    return [{"text": text, "ids": fast(text, padding="max_length", truncation=True).input_ids} for text in TEXTS]


def main(fixtures, folder):
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    out = {}
    for model in ("tiny-eps", "tiny-v"):
        pipe = StableDiffusionPipeline.from_pretrained(f"{fixtures}/{model}", torch_dtype=torch.float32)
        pipe.set_progress_bar_config(disable=True)
        if model == "tiny-eps":
            parts(pipe, out)
        images(pipe, model, out)
    Path(folder).mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in out.items()}, f"{folder}/tiny.safetensors")
    facts = dict(prompt=PROMPT, negative=NEGATIVE, seed=SEED, steps=STEPS, guidance=GUIDANCE, side=SIDE,
                 timesteps=TIMESTEPS, odd_timestep=ODD_TIMESTEP, samplers=list(SAMPLERS),
                 made_with=dict(diffusers=diffusers.__version__, torch=torch.__version__,
                                transformers=transformers.__version__),
                 tokens=tokens(f"{fixtures}/tiny-eps"))
    Path(f"{folder}/goldens.json").write_text(json.dumps(facts, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
