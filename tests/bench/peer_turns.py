#!/usr/bin/env python3
"""peer_turns.py - Stable Diffusion 1.5's U-Net step and decoder in another program, on request: what bench_turns is for ours.

    peer_turns.py diffusers|openvino [THREADS]      then words on stdin: step, decode

Random weights, 512x512 (64x64 latents), guidance as a batch of two, bf16: diffusers channels-last and eager, OpenVINO compiled
for this one shape. Optional reference tooling: needs torch, diffusers (models/requirements.txt) and openvino.
"""
import os
import pathlib
import resource
import sys
import time

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel


class Step(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.net = UNet2DConditionModel(sample_size=64, cross_attention_dim=768, attention_head_dim=8)

    def forward(self, latents, timestep, text):
        return self.net(latents, timestep, encoder_hidden_states=text, return_dict=False)[0]


class Decode(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.net = AutoencoderKL(block_out_channels=(128, 256, 512, 512), layers_per_block=2, down_block_types=("DownEncoderBlock2D",) * 4,
                                 up_block_types=("UpDecoderBlock2D",) * 4)

    def forward(self, latents):
        return self.net.decode(latents, return_dict=False)[0]


def inputs():
    return {"step": (torch.randn(2, 4, 64, 64), torch.tensor(500.0), torch.randn(2, 77, 768)), "decode": (torch.randn(1, 4, 64, 64),)}


def diffusers_call(module, values):
    def ready(value):
        return value.to(torch.bfloat16).to(memory_format=torch.channels_last) if value.ndim == 4 else value.to(torch.bfloat16)
    module = module.to(torch.bfloat16).to(memory_format=torch.channels_last)
    values = [ready(value) if value.ndim > 0 else value for value in values]
    return lambda: module(*values)


def openvino_call(name, make, values, threads):
    """Converting takes minutes: where PEER_CACHE names a folder, what was converted stays there."""
    import openvino
    kept = pathlib.Path(os.environ.get("PEER_CACHE", "/nowhere")) / f"{name}.xml"
    if not kept.exists():
        model = openvino.convert_model(make(), example_input=values, input=[list(value.shape) for value in values])
        if kept.parent.is_dir():
            openvino.save_model(model, kept)
    options = {"INFERENCE_PRECISION_HINT": "bf16", "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    request = openvino.Core().compile_model(kept if kept.exists() else model, "CPU", options).create_infer_request()
    values = [value.numpy() for value in values]
    return lambda: request.infer(values)


def main():
    kind, threads = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else len(os.sched_getaffinity(0))
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    values, calls = inputs(), {}
    with torch.inference_mode():
        for name, module in (("step", Step), ("decode", Decode)):
            def make(module=module):
                return module().eval()
            calls[name] = openvino_call(name, make, values[name], threads) if kind == "openvino" else diffusers_call(make(), values[name])
        print("ready", flush=True)
        for line in sys.stdin:
            start, begin = time.perf_counter(), time.process_time()
            calls[line.strip()]()
            print(f"{(time.perf_counter() - start) * 1e3:.3f} {(time.process_time() - begin) * 1e3:.3f}", flush=True)
    print(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f}", flush=True)


if __name__ == "__main__":
    main()
