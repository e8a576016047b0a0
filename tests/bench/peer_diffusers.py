#!/usr/bin/env python3
"""peer_diffusers.py - the full-size SD 1.5 U-Net step in diffusers on this machine, to stand beside bench_unet.

Random weights, 512x512 (64x64 latents), classifier-free guidance as a batch of two, bf16, channels-last, eager. Prints
`name value unit`. Optional reference tooling: needs torch and diffusers (models/requirements.txt); `make bench` runs it with
the interpreter named by PEER_PYTHON and leaves it out otherwise.
"""
import argparse
import resource
import statistics
import time

import torch
from diffusers import UNet2DConditionModel


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    unet = UNet2DConditionModel(sample_size=64, cross_attention_dim=768, attention_head_dim=8)
    unet = unet.to(torch.bfloat16).to(memory_format=torch.channels_last).eval()
    latents = torch.randn(2, 4, 64, 64, dtype=torch.bfloat16).to(memory_format=torch.channels_last)
    text = torch.randn(2, 77, 768, dtype=torch.bfloat16)
    times = []
    with torch.inference_mode():
        for _ in range(options.repeats + 1):
            start = time.perf_counter()
            unet(latents, 500, encoder_hidden_states=text)
            times.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"diffusers_sd15_unet_step {statistics.median(times[1:]) * 1000:.1f} ms")
    print(f"diffusers_sd15_unet_peak_rss {peak:.0f} MiB")


if __name__ == "__main__":
    main()
