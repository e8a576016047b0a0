#!/usr/bin/env python3
"""Makes tests/model/goldens/control.safetensors: one U-Net call under control nets, as diffusers computes it.

    python3 models/fixtures.py build/fixtures
    python3 tests/model/make_control_goldens.py build/fixtures tests/model/goldens      # see requirements.txt

    input            f32 [2, 4, 8, 8]: timesteps 981 and 40, negative then prompt (make_family_goldens.py)
    plain            f32 [2, 4, 8, 8]: tiny-eps's output under tiny-control at scale 0.7, which sees input.control
    guess            the same with the scales of guess mode     blue_first   a net that takes blue, green, red
    pooled           a net with global_pool_conditions          two          at 0.5 (input.control) and 0.9 (input.image)
    hint, hint_blue_first   f32 [32, 8, 8]: what both nets make of input.control
    xl               tiny-xl's output under tiny-control-xl at scale 0.6, sizes as in families.json
    standard.*       a vae with latents_mean and latents_std (write_standard below): what its encoder and decoder give
"""
import sys

import torch
from diffusers import AutoencoderKL, ControlNetModel, StableDiffusionPipeline, StableDiffusionXLPipeline
from safetensors.torch import load_file, save_file

from make_family_goldens import INPUT, NEGATIVE, PROMPT, SIZES, TIMESTEPS, noise

MEAN, DEVIATION = [0.5, -1.0, 0.25, 2.0], [1.5, 0.5, 2.0, 1.0]


def hint(name):
    return torch.from_numpy(INPUT[name]).permute(2, 0, 1)[None].float().div(255).repeat(2, 1, 1, 1)


def call(unet, x, nets, text, **more):
    """The U-Net with the sum of what the nets say, as MultiControlNetModel adds it."""
    down, middle = None, None
    for net, name, scale, guess in nets:
        residuals, last = net(x, torch.tensor(TIMESTEPS), text, hint(name), scale, guess_mode=guess, return_dict=False, **more)
        down = residuals if down is None else [a + b for a, b in zip(down, residuals)]
        middle = last if middle is None else middle + last
    return unet(x, torch.tensor(TIMESTEPS), text, down_block_additional_residuals=down, mid_block_additional_residual=middle, **more).sample


def changed(folder, **options):
    net = ControlNetModel.from_config({**ControlNetModel.load_config(folder), **options})
    net.load_state_dict(load_file(f"{folder}/diffusion_pytorch_model.safetensors"))
    return net.eval()


def control(fixtures, out):
    folder = f"{fixtures}/tiny-control"
    pipe = StableDiffusionPipeline.from_pretrained(f"{fixtures}/tiny-eps")
    prompt, negative = pipe.encode_prompt(PROMPT, "cpu", 1, True, NEGATIVE)
    text, x, net = torch.cat([negative, prompt]), noise((2, 4, 8, 8), 11), changed(folder)
    out["input"] = x
    out["plain"] = call(pipe.unet, x, [(net, "control", 0.7, False)], text)
    out["guess"] = call(pipe.unet, x, [(net, "control", 0.7, True)], text)
    out["two"] = call(pipe.unet, x, [(net, "control", 0.5, False), (net, "image", 0.9, False)], text)
    blue = changed(folder, controlnet_conditioning_channel_order="bgr")
    out["hint"] = net.controlnet_cond_embedding(hint("control"))[0]
    out["hint_blue_first"] = net.controlnet_cond_embedding(hint("control").flip(1))[0]
    out["blue_first"] = call(pipe.unet, x, [(blue, "control", 0.7, False)], text)
    out["pooled"] = call(pipe.unet, x, [(changed(folder, global_pool_conditions=True), "control", 0.7, True)], text)
    pipe = StableDiffusionXLPipeline.from_pretrained(f"{fixtures}/tiny-xl")
    prompt, negative, pooled, negative_pooled = pipe.encode_prompt(PROMPT, None, "cpu", 1, True, NEGATIVE)
    added = {"text_embeds": torch.cat([negative_pooled, pooled]), "time_ids": torch.tensor([SIZES, SIZES], dtype=torch.float32)}
    out["xl"] = call(pipe.unet, x, [(changed(f"{fixtures}/tiny-control-xl"), "control", 0.6, False)], torch.cat([negative, prompt]),
                     added_cond_kwargs=added)


def standard(fixtures, out):
    """As StableDiffusionXLPipeline and ...Img2ImgPipeline use latents_mean and latents_std."""
    vae = AutoencoderKL.from_pretrained(f"{fixtures}/tiny-eps/vae")
    mean, deviation, scale = torch.tensor(MEAN).view(1, 4, 1, 1), torch.tensor(DEVIATION).view(1, 4, 1, 1), vae.config.scaling_factor
    image = torch.from_numpy(INPUT["image"]).permute(2, 0, 1)[None].float() / 127.5 - 1
    z = vae.encode(image).latent_dist.sample(torch.Generator().manual_seed(1234))
    out["standard.latents"] = ((z - mean) * scale / deviation)[0]
    out["standard.picture"] = vae.decode(out["standard.latents"][None] * deviation / scale + mean).sample[0]


def main(fixtures, folder):
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    out = {}
    control(fixtures, out)
    standard(fixtures, out)
    save_file({name: tensor.contiguous() for name, tensor in out.items()}, f"{folder}/control.safetensors")
    for name, tensor in out.items():
        print(name, list(tensor.shape), float(tensor.abs().mean()))


if __name__ == "__main__":
    main(*sys.argv[1:])
