#!/usr/bin/env python3
"""peer.py - what the same card does in PyTorch and diffusers, to stand beside darkroom-gpu.

    peer.py ceilings|eager|compiled|warm --rows FILE --scratch FOLDER [--seconds S] [--tiny]

ceilings  matrix products and copies as fast as PyTorch has them, its attention at Stable Diffusion's sizes
eager     SD 1.5 on the weights of tests/full/random_model.py: a step, twenty Euler steps, a decode
compiled  the same through torch.compile(mode="reduce-overhead")
warm      compiles and measures nothing: fills the compiler's cache, so that `compiled` begins at once

Rows are JSON, a line each, as tests/gpu/report.h writes them. Channels-last, f16, guidance as two rows an image, as an
experienced user runs it; medians, after warming up, over random data.
"""
import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path

IMAGES = (1, 2, 4, 8, 16)
STEPS = 20
ATTENTIONS = {"sd15-64": (2, 8, 4096, 4096, 40), "sd15-32": (2, 8, 1024, 1024, 80), "sd15-16": (2, 8, 256, 256, 160),
              "sd15-64-cross": (2, 8, 4096, 77, 40), "vae": (1, 1, 4096, 4096, 512)}


class Report:
    def __init__(self, path, seconds):
        self.file, self.end = open(path, "a", encoding="utf-8"), time.monotonic() + seconds

    def value(self, name, value, unit):
        print(f"  {name:<44} {value:.4g} {unit}", flush=True)
        self.file.write(json.dumps({"name": name, "value": value, "unit": unit}) + "\n")
        self.file.flush()

    def text(self, name, text):
        self.file.write(json.dumps({"name": name, "text": text}) + "\n")
        self.file.flush()

    def left(self):
        return self.end - time.monotonic()


class Bench:
    """A device, and how long a call takes on it."""

    def __init__(self, options):
        self.report, self.options = Report(options.rows, options.seconds), options
        self.device = "cuda" if options.device.startswith("cuda") and torch.cuda.is_available() else "cpu"
        self.half = torch.float16 if self.device == "cuda" else torch.bfloat16
        self.folder = Path(options.scratch) / ("fixtures/tiny-eps" if options.tiny else "sd15")
        self.side = 8 if options.tiny else 64
        torch.manual_seed(0)

    def random(self, *shape, dtype=None):
        return torch.randn(*shape, device=self.device, dtype=dtype or self.half)

    def wait(self):
        if self.device == "cuda":
            torch.cuda.synchronize()

    def milliseconds(self, call, seconds=1.0, least=5, most=50):
        """Median of single calls between two waits, after one or two that warm up; call takes its number."""
        for number in range(min(least, 2)):
            call(number)
        self.wait()
        times, end = [], time.monotonic() + seconds
        while len(times) < least or (len(times) < most and time.monotonic() < end):
            begin = time.perf_counter()
            call(len(times))
            self.wait()
            times.append((time.perf_counter() - begin) * 1000)
        return statistics.median(times)


def ceilings(bench):
    n = 256 if bench.options.tiny else 8192
    for name, dtype in (("f16", torch.float16), ("bf16", torch.bfloat16)):
        if bench.device == "cpu" and name == "f16":
            dtype = torch.float32
        a, b = bench.random(n, n, dtype=dtype), bench.random(n, n, dtype=dtype)
        out = torch.empty_like(a)
        ms = bench.milliseconds(lambda _, a=a, b=b, out=out: torch.matmul(a, b, out=out))
        bench.report.value(f"matrix.{name}", 2 * n ** 3 / ms / 1e9, "TFLOP/s")
    size = 1 << (20 if bench.options.tiny else 30)
    source = torch.randint(0, 255, (size,), dtype=torch.uint8, device=bench.device)
    target = torch.empty_like(source)
    ms = bench.milliseconds(lambda _: target.copy_(source))
    bench.report.value("copy", 2 * size / ms / 1e6, "GB/s")
    for name, (rows, heads, queries, keys, depth) in ATTENTIONS.items():
        queries, keys = (min(queries, 64), min(keys, 64)) if bench.options.tiny else (queries, keys)
        q = bench.random(rows, heads, queries, depth)
        k, v = bench.random(rows, heads, keys, depth), bench.random(rows, heads, keys, depth)
        ms = bench.milliseconds(lambda _, q=q, k=k, v=v: torch.nn.functional.scaled_dot_product_attention(q, k, v))
        bench.report.value(f"attention.{name}", 4 * rows * heads * queries * keys * depth / ms / 1e9, "TFLOP/s")


def load(kind, folder, part, bench):
    """A network on the weights of a folder. The random decoder comes without its encoder: what is missing is not used."""
    from safetensors.torch import load_file
    config = json.loads((folder / part / "config.json").read_text())
    net = kind.from_config(config)
    state = load_file(folder / part / "diffusion_pytorch_model.safetensors")
    missing, unexpected = net.load_state_dict(state, strict=False)
    wrong = [name for name in missing if not name.startswith(("encoder.", "quant_conv."))] + list(unexpected)
    if wrong:
        sys.exit(f"{folder / part}: {wrong[:5]}")
    return net.to(bench.device, bench.half).to(memory_format=torch.channels_last).eval().requires_grad_(False)


def rows_of(bench, unet, images):
    latents = bench.random(2 * images, 4, bench.side, bench.side).to(memory_format=torch.channels_last)
    return latents, bench.random(2 * images, 77, unet.config.cross_attention_dim)


def step(bench, unet, images):
    latents, text = rows_of(bench, unet, images)
    timestep = torch.tensor(500.0, device=bench.device)
    return bench.milliseconds(lambda _: unet(latents, timestep, encoder_hidden_states=text, return_dict=False)[0])


def whole(bench, unet, images):
    """Twenty Euler steps with guidance, as diffusers' pipeline makes them."""
    from diffusers import EulerDiscreteScheduler
    scheduler = EulerDiscreteScheduler.from_config(json.loads((bench.folder / "scheduler" / "scheduler_config.json").read_text()))
    _, text = rows_of(bench, unet, images)

    def denoise(_):
        scheduler.set_timesteps(STEPS, device=bench.device)
        latents = bench.random(images, 4, bench.side, bench.side) * scheduler.init_noise_sigma
        for timestep in scheduler.timesteps:
            pair = scheduler.scale_model_input(torch.cat([latents] * 2), timestep).to(memory_format=torch.channels_last)
            without, asked = unet(pair, timestep, encoder_hidden_states=text, return_dict=False)[0].chunk(2)
            latents = scheduler.step(without + 7.5 * (asked - without), timestep, latents, return_dict=False)[0]
        if not torch.isfinite(latents).all():
            sys.exit("the latents are not finite")
    return bench.milliseconds(denoise, 2.0, 3, 10) if images == 1 else bench.milliseconds(denoise, 0.5, 1, 3)


def decode(bench, vae):
    latents = bench.random(1, 4, bench.side, bench.side).to(memory_format=torch.channels_last)
    return bench.milliseconds(lambda _: vae(latents))


def diffusers_figures(bench, compiled):
    from diffusers import AutoencoderKL, UNet2DConditionModel
    unet = load(UNet2DConditionModel, bench.folder, "unet", bench)
    vae = load(AutoencoderKL, bench.folder, "vae", bench)
    decoder = lambda latents: vae.decode(latents, return_dict=False)[0]  # noqa: E731
    bench.report.text("weights", str(bench.folder))
    if compiled:
        unet = torch.compile(unet, mode="reduce-overhead", fullgraph=True, dynamic=False)
        decoder = torch.compile(decoder, mode="reduce-overhead", fullgraph=True, dynamic=False)
    bench.report.value("step.b1", step(bench, unet, 1), "ms")
    if bench.options.what != "warm":
        bench.report.value("whole.b1", whole(bench, unet, 1), "ms")
    bench.report.value("decode", decode(bench, decoder), "ms")
    for images in IMAGES[1:]:
        if bench.report.left() < (25 if compiled else 8) or bench.options.tiny:
            break
        bench.report.value(f"step.b{images}", step(bench, unet, images), "ms")
        if bench.options.what != "warm":
            bench.report.value(f"whole.b{images}", whole(bench, unet, images), "ms")


PARTS = {"ceilings": ceilings, "eager": lambda bench: diffusers_figures(bench, False),
         "compiled": lambda bench: diffusers_figures(bench, True), "warm": lambda bench: diffusers_figures(bench, True)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=PARTS)
    parser.add_argument("--rows", required=True)
    parser.add_argument("--scratch", required=True)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--demo", help="taken and not used")
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(Path(options.scratch).absolute() / "inductor"))
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    global torch
    try:
        import torch
        if options.what != "ceilings":
            import diffusers  # noqa: F401
    except ImportError as missing:
        with open(options.rows, "a", encoding="utf-8") as file:
            file.write(json.dumps({"name": "skipped", "skip": str(missing)}) + "\n")
        return
    with torch.inference_mode():
        bench = Bench(options)
        bench.report.text("torch", torch.__version__)
        PARTS[options.what](bench)


if __name__ == "__main__":
    main()
