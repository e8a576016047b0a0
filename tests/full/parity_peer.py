#!/usr/bin/env python3
"""diffusers' side of parity.py: one picture of a model of full size, and the peak RSS.

    parity_peer.py MODEL FOLDER BESIDE|- INPUTS OUT SIDE STEPS DTYPE
"""
import resource
import sys

import torch
from diffusers import (ControlNetModel, EulerDiscreteScheduler, StableDiffusionControlNetPipeline, StableDiffusionInpaintPipeline,
                       StableDiffusionPipeline, StableDiffusionXLImg2ImgPipeline, StableDiffusionXLPipeline)
from PIL import Image

PROMPT, NEGATIVE, SEED, GUIDANCE = "a house by the lake", "rain", 7, 7.5
KINDS = {"sdxl": StableDiffusionXLPipeline, "refiner": StableDiffusionXLImg2ImgPipeline, "inpaint": StableDiffusionInpaintPipeline,
         "controlnet": StableDiffusionControlNetPipeline}


def drawn_in_f32(shape, generator=None, device=None, dtype=None, layout=None):
    """Noise is drawn in f32 whatever the pipeline computes in: the same seed is the same noise."""
    return torch.randn(shape, generator=generator, dtype=torch.float32).to(dtype)


def main(model, folder, beside, inputs, out, side, steps, dtype):
    side, dtype = int(side), getattr(torch, dtype)
    more = {"controlnet": ControlNetModel.from_pretrained(beside, torch_dtype=dtype)} if model == "controlnet" else {}
    pipe = KINDS.get(model, StableDiffusionPipeline).from_pretrained(folder, torch_dtype=dtype, **more)
    for module in sys.modules.values():
        if getattr(module, "randn_tensor", None) is not None and module.__name__.startswith("diffusers."):
            module.randn_tensor = drawn_in_f32
    pipe.watermark = None
    pipe.set_progress_bar_config(disable=True)
    pipe.scheduler = EulerDiscreteScheduler.from_config(pipe.scheduler.config)
    image = Image.open(f"{inputs}/image.png")
    options = {"sd15": {}, "sd21": {}, "sdxl": {}, "lora": {}, "refiner": {"image": image, "strength": 0.5},
               "inpaint": {"image": image, "mask_image": Image.open(f"{inputs}/mask.png"), "strength": 1.0},
               "controlnet": {"image": image, "controlnet_conditioning_scale": 0.8}}[model]
    if model == "lora":
        pipe.load_lora_weights(beside, adapter_name="lora")
        pipe.set_adapters(["lora"], [0.7])
    if model != "refiner":
        options |= {"height": side, "width": side}
    pipe(PROMPT, negative_prompt=NEGATIVE, num_inference_steps=int(steps), guidance_scale=GUIDANCE,
         generator=torch.Generator().manual_seed(SEED), **options).images[0].save(out)
    print(f"peak_rss {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.1f} MiB")


if __name__ == "__main__":
    main(*sys.argv[1:])
