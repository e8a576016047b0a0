#!/usr/bin/env python3
"""A model of full size through the whole fleet, against diffusers on the same weights.

    make parity MODEL=sd15|sd21|sdxl|refiner|inpaint|controlnet|lora [SIDE=256] [STEPS=3]

Weights are random_model.py's. One picture is made four times: by us and by diffusers, in f32 and as fast as either can (bf16
here). Printed as `name value unit`: the PSNR of our f32 against diffusers' f32, how far both bf16 pictures are from that, the
peak RSS of each. Fails when our f32 is below 60 dB, or our bf16 further from diffusers' f32 than diffusers' own bf16 is.

Random weights paint no landscape, but every layer counts in what they do paint. The reference needs torch and diffusers
(tests/model/requirements.txt); `make parity` installs them into .reference, on demand.
"""
import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import numpy as np
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "flow"))
import fleet as fleets  # noqa: E402

PROMPT, NEGATIVE, SEED, GUIDANCE = "a house by the lake", "rain", 7, 7.5
F32_DB_MIN = 60.0
# model -> (model in the table, what goes with it, words of the client)
JOBS = {
    "sd15": ("sd15", None, []),
    "sd21": ("sd21", None, []),
    "sdxl": ("sdxl", None, []),
    "refiner": ("refiner", None, ["--image", "{image}", "--strength", "0.5"]),
    "inpaint": ("inpaint", None, ["--image", "{image}", "--mask", "{mask}", "--strength", "1"]),
    "controlnet": ("sd15", "controlnet", ["--control", "controlnet={image}:0.8"]),
    "lora": ("sd15", "lora", ["--lora", "lora:0.7"]),
}


def made(model):
    """A random model, made once per build."""
    place = fleets.FIXTURES / "full" / (f"{model}.safetensors" if model == "lora" else model)
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        part = place.with_name(f"{os.getpid()}.{place.name}")
        subprocess.run([sys.executable, ROOT / "tests" / "full" / "random_model.py", model, part], check=True)
        part.rename(place)
    return place


def inputs(folder, side):
    """A picture with large forms and hard edges, and a mask of its middle."""
    y, x = np.mgrid[0:side, 0:side]
    planes = [(x * (3 + k) + y * (5 - k) + 60 * ((x // 32 + y // 32 + k) % 2)) % 256 for k in range(3)]
    Image.fromarray(np.stack(planes, -1).astype(np.uint8)).save(folder / "image.png")
    inside = (x >= side // 4) & (x < 3 * side // 4) & (y >= side // 4) & (y < 3 * side // 4)
    Image.fromarray((inside * 255).astype(np.uint8)).save(folder / "mask.png")


def peak_mib(pid):
    return int(re.search(r"VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text()).group(1)) / 1024


def ours(options, folder, f32):
    """The picture and the engine's peak RSS, through broker, queue and worker."""
    model, beside, words = JOBS[options.model]
    with fleets.working_fleet() as fleet:
        rows = fleets.model_row(made(model)) + "default = yes\n"
        fleet.models.write_text(rows + (fleets.model_row(made(beside)) if beside else ""))
        fleet.broker()
        worker = fleet.worker(wait=False, threads=0, environment={"DARKROOM_FORCE_F32": "true" if f32 else "false"})
        worker.wait_for("event=welcomed", 1800)
        out = folder / f"ours-{'f32' if f32 else 'fast'}.png"
        words = [word.format(image=folder / "image.png", mask=folder / "mask.png") for word in words]
        done = fleet.client("generate", PROMPT, "--negative", NEGATIVE, "--seed", SEED, "--steps", options.steps, "--guidance", GUIDANCE,
                            "--size", f"{options.side}x{options.side}", "--sampler", "euler", "-q", "-o", out, *words, seconds=3600)
        assert done.returncode == 0, done.stderr
        return np.asarray(Image.open(out)), peak_mib(worker.engines()[-1])


def theirs(options, folder, dtype):
    model, beside, _ = JOBS[options.model]
    out = folder / f"theirs-{dtype}.png"
    words = [options.python, ROOT / "tests" / "full" / "parity_peer.py", options.model, made(model), made(beside) if beside else "-", folder,
             out, options.side, options.steps, dtype]
    done = subprocess.run([str(word) for word in words], check=True, capture_output=True, text=True)
    return np.asarray(Image.open(out)), float(re.search(r"peak_rss ([\d.]+) MiB", done.stdout).group(1))


def psnr(a, b):
    error = np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2)
    return 99.0 if error == 0 else 10 * np.log10(255 ** 2 / error)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=JOBS)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--python", default=ROOT / ".reference" / "bin" / "python")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        inputs(folder, options.side)
        reference, their_peak = theirs(options, folder, "float32")
        their_fast, their_fast_peak = theirs(options, folder, "bfloat16")
        our_f32, our_peak = ours(options, folder, True)
        our_fast, our_fast_peak = ours(options, folder, False)
    rows = {"f32_psnr": (psnr(our_f32, reference), "dB"), "fast_psnr": (psnr(our_fast, reference), "dB"),
            "peer_bf16_psnr": (psnr(their_fast, reference), "dB"), "f32_peak_rss": (our_peak, "MiB"), "fast_peak_rss": (our_fast_peak, "MiB"),
            "peer_f32_peak_rss": (their_peak, "MiB"), "peer_bf16_peak_rss": (their_fast_peak, "MiB")}
    for row, (value, unit) in rows.items():
        print(f"parity_{options.model}_{row} {value:.2f} {unit}")
    assert rows["f32_psnr"][0] >= F32_DB_MIN, "our f32 is not diffusers' f32"
    assert rows["fast_psnr"][0] >= rows["peer_bf16_psnr"][0], "our 16 bits are further from diffusers' f32 than its own"


if __name__ == "__main__":
    main()
