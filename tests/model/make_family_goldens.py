#!/usr/bin/env python3
"""Makes tests/model/goldens/families.safetensors: what diffusers computes with the tiny models of every family and feature.

    python3 models/fixtures.py build/fixtures
    python3 tests/model/make_family_goldens.py build/fixtures tests/model/goldens      # see requirements.txt

For MODEL in tiny-sd2, tiny-xl, tiny-refiner, tiny-inpaint, tiny-lcm one call of each network:
    MODEL.embedding.prompt, .negative   f32 [77, cross width]   MODEL.pooled.prompt, .negative   f32 [width]
    MODEL.unet.input, .output           f32 [2, in, 8, 8], [2, 4, 8, 8]: timesteps 981 and 40, negative then prompt; sizes SIZES
For every row of RUNS a whole job of the pipeline (families.json says of what):
    RUN.latents   f32 [evaluations, 4, height/8, width/8] after each evaluation      RUN.pixels   u8 [height, width, 3]
and besides
    encode.moments f32 [8, 8, 8], encode.latents f32 [4, 8, 8]   tiny-eps's encoder on input.image, drawn with SEED
    taesd.pixels u8 [64, 64, 3] of taesd.latents                 clip_skip.MODEL f32 [77, width]
    input.image, input.control u8 [64, 64, 3]; input.mask, input.soft u8 [64, 64]: hashed, not files
"""
import json
import sys
from pathlib import Path

import numpy as np
import torch
from diffusers import (AutoencoderTiny, ControlNetModel, DDIMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler,
                       HeunDiscreteScheduler, LatentConsistencyModelPipeline, PNDMScheduler, StableDiffusionControlNetPipeline,
                       StableDiffusionImg2ImgPipeline, StableDiffusionInpaintPipeline, StableDiffusionPipeline,
                       StableDiffusionXLControlNetPipeline, StableDiffusionXLImg2ImgPipeline, StableDiffusionXLInpaintPipeline,
                       StableDiffusionXLPipeline)
from PIL import Image
from safetensors.torch import save_file

PROMPT, NEGATIVE = "a red house by the lake at night", "snow and rain"
SEED, STEPS, GUIDANCE, SIDE = 1234, 8, 7.5, 64
TIMESTEPS = [981.0, 40.0]
SIZES = [64, 48, 8, 4, 64, 64]  # original height and width, crop top and left, target height and width
SCORE, NEGATIVE_SCORE = 6.0, 2.5


def picture(seed, channels):
    """Something with large forms and a few hard edges, the same everywhere."""
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    planes = [(x * (3 + k + seed) + y * (5 - k) + 40 * ((x // 16 + y // 16 + k + seed) % 2) * seed) % 256 for k in range(channels)]
    return np.stack(planes, -1).astype(np.uint8)


def mask(soft):
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    inside = (x >= 16) & (x < 48) & (y >= 24) & (y < 56)
    return (np.where(inside, np.clip(8 * (x - 15), 0, 255), 0) if soft else inside * 255).astype(np.uint8)


INPUT = {"image": picture(1, 3), "control": picture(2, 3), "mask": mask(False), "soft": mask(True)}


def pil(name):
    return Image.fromarray(INPUT[name])


def noise(shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def pixels_of(image):
    return image.mul(255).round().to(torch.uint8)[0].permute(1, 2, 0).contiguous()


def plain(value):
    """Whether JSON can hold it: pictures cannot be."""
    items = value if isinstance(value, (list, tuple)) else [value]
    return all(isinstance(item, (int, float, str)) for item in items)


class Bench:
    def __init__(self, fixtures):
        self.fixtures, self.out, self.facts = fixtures, {}, {}

    def open(self, kind, model, **parts):
        pipe = kind.from_pretrained(f"{self.fixtures}/{model}", torch_dtype=torch.float32, **parts)
        pipe.set_progress_bar_config(disable=True)
        pipe.watermark = None
        return pipe

    def run(self, name, pipe, model, facts=None, **options):
        """One job: the latents after every evaluation, and the picture."""
        steps = []

        def keep(_pipe, _step, _timestep, tensors):
            steps.append(tensors["latents"][0].clone())
            return tensors

        options = {"negative_prompt": NEGATIVE, "num_inference_steps": STEPS, "guidance_scale": GUIDANCE, **options}
        result = pipe(PROMPT, generator=torch.Generator().manual_seed(SEED), callback_on_step_end=keep,
                      output_type=options.pop("output_type", "pt"), **options).images
        self.out[f"{name}.latents"] = torch.stack(steps)
        if result.shape[1] == 3:
            self.out[f"{name}.pixels"] = pixels_of(result)
        self.facts[name] = {"model": model, "scheduler": type(pipe.scheduler).__name__, **(facts or {}),
                            **{key: value for key, value in options.items() if plain(value)}}
        print(name, len(steps), float(steps[-1].abs().mean()))
        return result


def networks(bench):
    """One call of every network of every family."""
    out = bench.out
    for model, kind in (("tiny-sd2", StableDiffusionPipeline), ("tiny-inpaint", StableDiffusionInpaintPipeline),
                        ("tiny-lcm", LatentConsistencyModelPipeline)):
        pipe = bench.open(kind, model)
        prompt, negative = pipe.encode_prompt(PROMPT, "cpu", 1, True, NEGATIVE)
        out[f"{model}.embedding.prompt"], out[f"{model}.embedding.negative"] = prompt[0], negative[0]
        x, more = noise((2, pipe.unet.config.in_channels, 8, 8), 1), {}
        if pipe.unet.config.time_cond_proj_dim:
            w = torch.tensor([7.0, 7.0])
            more["timestep_cond"] = pipe.get_guidance_scale_embedding(w, embedding_dim=pipe.unet.config.time_cond_proj_dim)
        out[f"{model}.unet.input"] = x
        out[f"{model}.unet.output"] = pipe.unet(x, torch.tensor(TIMESTEPS), torch.cat([negative, prompt]), **more).sample
    for model, kind, numbers in (("tiny-xl", StableDiffusionXLPipeline, [SIZES, SIZES]),
                                 ("tiny-refiner", StableDiffusionXLImg2ImgPipeline, [[*SIZES[:4], NEGATIVE_SCORE], [*SIZES[:4], SCORE]])):
        pipe = bench.open(kind, model)
        prompt, negative, pooled, negative_pooled = pipe.encode_prompt(PROMPT, None, "cpu", 1, True, NEGATIVE)
        out[f"{model}.embedding.prompt"], out[f"{model}.embedding.negative"] = prompt[0], negative[0]
        out[f"{model}.pooled.prompt"], out[f"{model}.pooled.negative"] = pooled[0], negative_pooled[0]
        x = noise((2, 4, 8, 8), 1)
        added = {"text_embeds": torch.cat([negative_pooled, pooled]), "time_ids": torch.tensor(numbers, dtype=torch.float32)}
        out[f"{model}.unet.input"] = x
        out[f"{model}.unet.output"] = pipe.unet(x, torch.tensor(TIMESTEPS), torch.cat([negative, prompt]), added_cond_kwargs=added).sample


def lone_parts(bench):
    out = bench.out
    pipe = bench.open(StableDiffusionPipeline, "tiny-eps")
    image = torch.from_numpy(INPUT["image"]).permute(2, 0, 1)[None].float() / 127.5 - 1
    posterior = pipe.vae.encode(image).latent_dist
    out["encode.moments"] = posterior.parameters[0]
    out["encode.latents"] = posterior.sample(torch.Generator().manual_seed(SEED))[0] * pipe.vae.config.scaling_factor
    out["clip_skip.tiny-eps"] = pipe.encode_prompt(PROMPT, "cpu", 1, False, clip_skip=1)[0][0]
    out["clip_skip.tiny-xl"] = bench.open(StableDiffusionXLPipeline, "tiny-xl").encode_prompt(PROMPT, None, "cpu", 1, False, clip_skip=1)[0][0]
    tiny = AutoencoderTiny.from_pretrained(f"{bench.fixtures}/tiny-taesd")
    out["taesd.latents"] = noise((4, 8, 8), 6)
    out["taesd.pixels"] = pixels_of((tiny.decode(out["taesd.latents"][None]).sample / 2 + 0.5).clamp(0, 1))


SCHEDULERS = {"ddim": DDIMScheduler, "euler": EulerDiscreteScheduler, "heun": HeunDiscreteScheduler,
              "dpmpp_2m": DPMSolverMultistepScheduler, "pndm": PNDMScheduler}


def with_scheduler(pipe, sampler):
    pipe.scheduler = SCHEDULERS[sampler].from_config(pipe.scheduler.config)
    return pipe


def families(bench):
    pipe = with_scheduler(bench.open(StableDiffusionPipeline, "tiny-sd2"), "ddim")
    bench.run("sd2", pipe, "tiny-sd2", {"sampler": "ddim"}, height=SIDE, width=SIDE, guidance_rescale=0.7)
    pipe = bench.open(StableDiffusionXLPipeline, "tiny-xl")
    bench.run("xl", pipe, "tiny-xl", {"sampler": "euler"}, height=SIDE, width=SIDE, original_size=(SIZES[0], SIZES[1]),
              crops_coords_top_left=(SIZES[2], SIZES[3]), target_size=(SIZES[4], SIZES[5]))
    bench.run("xl_no_negative", pipe, "tiny-xl", {"sampler": "euler"}, height=SIDE, width=SIDE, negative_prompt=None)
    bench.run("xl_empty_negative", pipe, "tiny-xl", {"sampler": "euler"}, height=SIDE, width=SIDE, negative_prompt="")
    half = bench.run("xl_first", pipe, "tiny-xl", {"sampler": "euler"}, height=SIDE, width=SIDE, denoising_end=0.7, output_type="latent")
    refiner = bench.open(StableDiffusionXLImg2ImgPipeline, "tiny-refiner")
    bench.run("xl_refined", refiner, "tiny-refiner", {"sampler": "euler", "after": "xl_first"}, image=half, denoising_start=0.7)
    pipe = bench.open(LatentConsistencyModelPipeline, "tiny-lcm")
    steps = []

    def keep(_pipe, _step, _timestep, tensors):
        steps.append(tensors["latents"][0].clone())
        return tensors

    image = pipe(PROMPT, num_inference_steps=4, guidance_scale=GUIDANCE, height=SIDE, width=SIDE, callback_on_step_end=keep,
                 generator=torch.Generator().manual_seed(SEED), output_type="pt").images
    bench.out["lcm.latents"], bench.out["lcm.pixels"] = torch.stack(steps), pixels_of(image)
    bench.facts["lcm"] = {"model": "tiny-lcm", "sampler": "lcm", "num_inference_steps": 4, "guidance_scale": GUIDANCE}


def images_in(bench):
    pipe = bench.open(StableDiffusionImg2ImgPipeline, "tiny-eps")
    for sampler in ("ddim", "euler", "heun", "dpmpp_2m", "pndm"):
        bench.run(f"img2img_{sampler}", with_scheduler(pipe, sampler), "tiny-eps", {"sampler": sampler}, image=pil("image"), strength=0.6)
    bench.run("img2img_whole", with_scheduler(pipe, "euler"), "tiny-eps", {"sampler": "euler"}, image=pil("image"), strength=1.0)
    pipe = with_scheduler(bench.open(StableDiffusionInpaintPipeline, "tiny-eps"), "euler")
    for name, strength in (("inpaint_blend", 0.6), ("inpaint_blend_whole", 1.0)):
        bench.run(name, pipe, "tiny-eps", {"sampler": "euler"}, image=pil("image"), mask_image=pil("mask"), strength=strength, height=SIDE, width=SIDE)
    bench.run("inpaint_blend_ddim", with_scheduler(pipe, "ddim"), "tiny-eps", {"sampler": "ddim"}, image=pil("image"),
              mask_image=pil("mask"), strength=0.8, height=SIDE, width=SIDE)
    pipe = with_scheduler(bench.open(StableDiffusionInpaintPipeline, "tiny-inpaint"), "ddim")
    for name, strength in (("inpaint", 1.0), ("inpaint_part", 0.6)):
        bench.run(name, pipe, "tiny-inpaint", {"sampler": "ddim"}, image=pil("image"), mask_image=pil("mask"), strength=strength, height=SIDE, width=SIDE)
    pipe = bench.open(StableDiffusionXLInpaintPipeline, "tiny-xl")
    bench.run("xl_inpaint", pipe, "tiny-xl", {"sampler": "euler"}, image=pil("image"), mask_image=pil("mask"), strength=0.7, height=SIDE, width=SIDE)
    pipe = bench.open(StableDiffusionXLImg2ImgPipeline, "tiny-xl")
    bench.run("xl_img2img", pipe, "tiny-xl", {"sampler": "euler"}, image=pil("image"), strength=0.7)


def controls(bench):
    net = ControlNetModel.from_pretrained(f"{bench.fixtures}/tiny-control")
    pipe = with_scheduler(bench.open(StableDiffusionControlNetPipeline, "tiny-eps", controlnet=net), "euler")
    one = {"image": pil("control"), "height": SIDE, "width": SIDE}
    bench.run("control", pipe, "tiny-eps", {"sampler": "euler"}, controlnet_conditioning_scale=0.7, **one)
    bench.run("control_window", pipe, "tiny-eps", {"sampler": "euler"}, controlnet_conditioning_scale=1.0, control_guidance_start=0.2,
              control_guidance_end=0.7, **one)
    bench.run("control_guess", pipe, "tiny-eps", {"sampler": "euler"}, guess_mode=True, **one)
    pipe = with_scheduler(bench.open(StableDiffusionControlNetPipeline, "tiny-eps", controlnet=[net, net]), "euler")
    bench.run("control_two", pipe, "tiny-eps", {"sampler": "euler"}, image=[pil("control"), pil("image")], height=SIDE, width=SIDE,
              controlnet_conditioning_scale=[0.5, 0.9], control_guidance_start=[0.0, 0.4], control_guidance_end=[1.0, 1.0])
    net = ControlNetModel.from_pretrained(f"{bench.fixtures}/tiny-control-xl")
    pipe = bench.open(StableDiffusionXLControlNetPipeline, "tiny-xl", controlnet=net)
    bench.run("xl_control", pipe, "tiny-xl", {"sampler": "euler"}, controlnet_conditioning_scale=0.6, **one)


def adapters(bench):
    size = {"height": SIDE, "width": SIDE}
    for name, model, kind, weight in (("kohya", "tiny-eps", StableDiffusionPipeline, 0.8), ("locon", "tiny-eps", StableDiffusionPipeline, 1.0),
                                      ("kohya-xl", "tiny-xl", StableDiffusionXLPipeline, 0.8)):
        pipe = with_scheduler(bench.open(kind, model), "euler")
        pipe.load_lora_weights(f"{bench.fixtures}/lora/{name}.safetensors", adapter_name="one")
        pipe.set_adapters(["one"], [weight])
        bench.run(f"lora_{name}", pipe, model, {"sampler": "euler", "lora": name, "weight": weight}, **size)
    pipe = with_scheduler(bench.open(StableDiffusionPipeline, "tiny-eps"), "euler")
    for name in ("kohya", "locon"):
        pipe.load_lora_weights(f"{bench.fixtures}/lora/{name}.safetensors", adapter_name=name)
    pipe.set_adapters(["kohya", "locon"], [0.5, 0.7])
    bench.run("lora_two", pipe, "tiny-eps", {"sampler": "euler", "lora": ["kohya", "locon"], "weight": [0.5, 0.7]}, **size)
    pipe = with_scheduler(bench.open(StableDiffusionPipeline, "tiny-eps"), "euler")
    pipe.load_textual_inversion(f"{bench.fixtures}/embedding/a1111.safetensors", token="house")
    bench.run("embedding", pipe, "tiny-eps", {"sampler": "euler", "token": "house", "embedding": "a1111"}, **size)


def main(fixtures, folder):
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    bench = Bench(fixtures)
    for name, values in INPUT.items():
        bench.out[f"input.{name}"] = torch.from_numpy(values)
    for part in (networks, lone_parts, families, images_in, controls, adapters):
        part(bench)
    save_file({name: tensor.contiguous() for name, tensor in bench.out.items()}, f"{folder}/families.safetensors")
    facts = dict(prompt=PROMPT, negative=NEGATIVE, seed=SEED, steps=STEPS, guidance=GUIDANCE, side=SIDE, timesteps=TIMESTEPS, sizes=SIZES,
                 runs=bench.facts)
    Path(f"{folder}/families.json").write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
