"""Samples the exported model with diffusers: a contact sheet, or the held-out captions for judge.py.

    python sample.py --model models/demo --sheet sheet.png
    python sample.py --model models/demo --heldout DIR [--guidance 5] && python judge.py --images DIR
    python sample.py --model models/demo --prompt "a red house by a lake" --negative boat --out x.png

The seed of picture i is --seed + i, drawn on the CPU, so every run and every device starts from the same noise.
"""
import argparse
import json
from pathlib import Path

import numpy as np
import torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline
from PIL import Image

HERE = Path(__file__).resolve().parent
PROMPTS = (
    "a mountain landscape with a lake at sunset",
    "a winter landscape with two snow-capped mountains, a lake and a red house at night",
    "three mountains with a lake and a sailboat during the day in summer",
    "a mountain landscape with a lake at dawn in spring",
    "a yellow house and two orange trees with golden fields in autumn at noon",
    "one mountain with a lake, a boat and the full moon at night",
    "rolling hills with a green meadow and three round trees on a bright day",
    "a mountain landscape with a blue house and a pine tree in falling snow",
    "two mountains with a lake in the rain in the evening",
    "a mountain landscape with pine trees in the fog at sunrise",
    "snow-capped mountains with a lake, a boat and the sun on the left at sunset in autumn",
    "hills with a flowering meadow, a red house and pink trees in spring at dusk",
    "a snowy mountain with three pine trees under a clear sky at midday in winter",
    "a calm lake with a sailboat under a cloudy sky in summer",
    "a starry night with three mountains, a crescent moon and a yellow cottage",
    "a quiet lake at night",
)


def load(folder, device):
    """The pipeline in f32, DPM++ 2M as the engine's default."""
    pipe = StableDiffusionPipeline.from_pretrained(folder, torch_dtype=torch.float32, safety_checker=None).to(device)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def generate(pipe, prompts, a):
    """uint8 pictures for the prompts, in batches."""
    if a.sampler == "dpm":
        pipe.scheduler = DPMSolverMultistepScheduler.from_config(pipe.scheduler.config, timestep_spacing="trailing")
    out = []
    for i in range(0, len(prompts), a.batch):
        part = list(prompts[i:i + a.batch])
        seeds = [torch.Generator().manual_seed(a.seed + i + k) for k in range(len(part))]
        negative = [a.negative] * len(part) if a.negative else None
        images = pipe(part, negative_prompt=negative, num_inference_steps=a.steps, guidance_scale=a.guidance, height=a.size, width=a.size,
                      generator=seeds, output_type="np").images
        out += [np.rint(x * 255).astype(np.uint8) for x in images]
    return out


def sheet(pictures, columns=4, zoom=2, gap=4):
    """Pictures side by side on white."""
    side = pictures[0].shape[0] * zoom
    rows = -(-len(pictures) // columns)
    canvas = Image.new("RGB", (columns * (side + gap) + gap, rows * (side + gap) + gap), "white")
    for i, p in enumerate(pictures):
        tile = Image.fromarray(p).resize((side, side), Image.LANCZOS)
        canvas.paste(tile, (gap + i % columns * (side + gap), gap + i // columns * (side + gap)))
    return canvas


def options():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--model", default=str(HERE / "demo"))
    a.add_argument("--sheet")
    a.add_argument("--heldout")
    a.add_argument("--captions", default=str(HERE / "heldout.jsonl"))
    a.add_argument("--prompt")
    a.add_argument("--negative")
    a.add_argument("--out", default="out.png")
    a.add_argument("--steps", type=int, default=20)
    a.add_argument("--guidance", type=float, default=5.0)
    a.add_argument("--sampler", choices=("ddim", "dpm"), default="ddim")
    a.add_argument("--size", type=int, default=128)
    a.add_argument("--seed", type=int, default=0)
    a.add_argument("--batch", type=int, default=8)
    a.add_argument("--device", default="cpu")
    a.add_argument("--threads", type=int, default=1)
    return a.parse_args()


def main():
    a = options()
    torch.set_num_threads(a.threads)
    pipe = load(a.model, a.device)
    if a.sheet:
        sheet(generate(pipe, PROMPTS, a)).save(a.sheet)
    if a.heldout:
        folder = Path(a.heldout)
        folder.mkdir(parents=True, exist_ok=True)
        entries = [json.loads(line) for line in open(a.captions)]
        for entry, picture in zip(entries, generate(pipe, [e["caption"] for e in entries], a)):
            Image.fromarray(picture).save(folder / f"{entry['id']}.png")
    if a.prompt:
        Image.fromarray(generate(pipe, [a.prompt], a)[0]).save(a.out)


if __name__ == "__main__":
    main()
