#!/usr/bin/env python3
"""Makes goldens.def: what diffusers' schedulers do with a small made-up model, for test_goldens.c.

    python3 tests/unit/sampler/goldens_make.py > tests/unit/sampler/goldens.def      (diffusers 0.35.2, torch 2.8.0)

The made-up model is out = x / (1 + |x|) + t / 2000; the start is 64 numbers sin(i + 1); the k-th noise is sin(i + 7 k).
"""
import warnings

import torch

import diffusers
import diffusers.schedulers.scheduling_euler_ancestral_discrete as ancestral

warnings.filterwarnings("ignore")
diffusers.utils.logging.set_verbosity_error()
torch.set_num_threads(1)

CLASSES = {
    "euler": diffusers.EulerDiscreteScheduler,
    "euler_a": diffusers.EulerAncestralDiscreteScheduler,
    "ddim": diffusers.DDIMScheduler,
    "dpmpp_2m": diffusers.DPMSolverMultistepScheduler,
}
BETAS = {"linear": "BETAS_LINEAR", "scaled_linear": "BETAS_SCALED_LINEAR", "squaredcos_cap_v2": "BETAS_SQUARED_COSINE"}
PREDICTIONS = {"epsilon": "PREDICTION_EPSILON", "v_prediction": "PREDICTION_V", "sample": "PREDICTION_SAMPLE"}
INDEX = torch.arange(64, dtype=torch.float32)


def run(name, karras, steps, betas, prediction, spacing, offset, one, zero):
    config = dict(num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule=betas,
                  prediction_type=prediction, steps_offset=offset, rescale_betas_zero_snr=zero)
    if spacing:
        config["timestep_spacing"] = spacing
    if name == "ddim":
        config.update(clip_sample=False, set_alpha_to_one=one)
    elif name != "euler_a":
        config["use_karras_sigmas"] = karras
    scheduler = CLASSES[name](**config)
    scheduler.set_timesteps(steps)
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(0)
    drawn = 0

    def noise(*_, **__):
        nonlocal drawn
        drawn += 1
        return torch.sin(INDEX + 7 * drawn)

    ancestral.randn_tensor = noise
    x = torch.sin(INDEX + 1) * scheduler.init_noise_sigma
    for t in scheduler.timesteps:
        seen = scheduler.scale_model_input(x, t)
        x = scheduler.step(seen / (1 + seen.abs()) + float(t) / 2000, t, x, return_dict=False)[0]
    flag = lambda value: "true" if value else "false"
    space = "SPACING_" + (spacing or "default").upper()
    print(f'    {{"{name}", {flag(karras)}, {steps}, {BETAS[betas]}, {PREDICTIONS[prediction]}, {space}, {offset}, '
          f'{flag(one)}, {flag(zero)}, {float(scheduler.timesteps[0]):.7g}, {float(scheduler.timesteps[-1]):.7g}, '
          f'{float(x[0]):.6f}, {float(x[63]):.6f}, {float(x.abs().sum()):.5f}}},')


print("/* goldens.def - made by goldens_make.py with diffusers", diffusers.__version__, "and torch", torch.__version__, "*/")
print("static const struct golden goldens[] = {")
for sampler in CLASSES:
    for use_karras in (False, True):
        if use_karras and sampler in ("ddim", "euler_a"):
            continue
        for kind in PREDICTIONS:
            if sampler == "euler_a" and kind == "sample":
                continue
            for place in (None, "leading", "linspace", "trailing"):
                for count in (1, 20, 33):
                    run(sampler, use_karras, count, "scaled_linear", kind, place, 1 if place == "leading" else 0,
                        count == 20, False)
        run(sampler, use_karras, 12, "linear", "epsilon", "leading", 1, False, False)
        run(sampler, use_karras, 12, "squaredcos_cap_v2", "v_prediction", "leading", 0, True, False)
        run(sampler, use_karras, 12, "scaled_linear", "v_prediction", "trailing", 0, True, True)
print("};")
