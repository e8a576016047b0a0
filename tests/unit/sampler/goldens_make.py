#!/usr/bin/env python3
"""Makes goldens.def: what diffusers' schedulers do with a small made-up model, for test_goldens.c.

    python3 tests/unit/sampler/goldens_make.py > tests/unit/sampler/goldens.def      (diffusers 0.35.2, torch 2.8.0, scipy)

The made-up model is out = x / (1 + |x|) + t / 2000; noise is 64 numbers sin(i + 1), the image cos(i + 1), what another model
left is cos(i + 1) + sin(i + 1) / 2; the k-th fresh noise is sin(i + 7 k). With a mask every second number is kept as the image
is. What is asked is drawn with a stated seed from all that there is, COUNT times for each sampler (40; SEED 1):

    python3 tests/unit/sampler/goldens_make.py COUNT SEED > FILE
"""
import importlib.util
import random
import sys
import types
import warnings

import torch

import diffusers

if importlib.util.find_spec("torchsde") is None:  # its noise is not used: a Brownian path drawn in order is
    sys.modules["torchsde"] = types.ModuleType("torchsde")
import diffusers.schedulers.scheduling_dpmsolver_sde as single_step_sde
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl_img2img import StableDiffusionXLImg2ImgPipeline

warnings.filterwarnings("ignore")
diffusers.utils.logging.set_verbosity_error()
torch.set_num_threads(1)

CLASSES = {
    "euler": diffusers.EulerDiscreteScheduler,
    "euler_a": diffusers.EulerAncestralDiscreteScheduler,
    "ddim": diffusers.DDIMScheduler,
    "dpmpp_2m": diffusers.DPMSolverMultistepScheduler,
    "ddpm": diffusers.DDPMScheduler,
    "pndm": diffusers.PNDMScheduler,
    "lms": diffusers.LMSDiscreteScheduler,
    "heun": diffusers.HeunDiscreteScheduler,
    "dpmpp_2m_sde": diffusers.DPMSolverMultistepScheduler,
    "dpmpp_sde": single_step_sde.DPMSolverSDEScheduler,
    "unipc": diffusers.UniPCMultistepScheduler,
    "lcm": diffusers.LCMScheduler,
    "tcd": diffusers.TCDScheduler,
}
GRIDS = ("lcm", "tcd")
LISTED = ("ddim", "ddpm", "pndm") + GRIDS
FIXED = {"ddim": {"clip_sample": False}, "ddpm": {"clip_sample": False}, "pndm": {"skip_prk_steps": True},
         "dpmpp_2m_sde": {"algorithm_type": "sde-dpmsolver++"}}
ETA = ("ddim", "tcd")
ZERO_SNR = ("euler", "euler_a", "ddim", "dpmpp_2m", "dpmpp_2m_sde", "ddpm", "unipc", "lcm", "tcd")
NO_SAMPLE_PREDICTION = ("euler_a", "dpmpp_sde", "pndm")
BETAS = {"linear": "BETAS_LINEAR", "scaled_linear": "BETAS_SCALED_LINEAR", "squaredcos_cap_v2": "BETAS_SQUARED_COSINE"}
PREDICTIONS = {"epsilon": "PREDICTION_EPSILON", "v_prediction": "PREDICTION_V", "sample": "PREDICTION_SAMPLE"}
INDEX = torch.arange(64, dtype=torch.float32).reshape(1, 64)
NOISE, IMAGE = torch.sin(INDEX + 1), torch.cos(INDEX + 1)


class Draws:
    """Fresh noise, counted; called in place of randn_tensor, and as the noise sampler of the single-step SDE."""

    def __init__(self):
        self.drawn, self.half = 0, None

    def fresh(self, *_, **__):
        self.drawn += 1
        return torch.sin(INDEX + 7 * self.drawn)

    def path(self, sigma, to):
        """The first look's way, then the whole way, of one Brownian path, brought to variance 1."""
        if self.half is None:
            self.half = (to, self.fresh())
            return self.half[1]
        (middle, first), self.half = self.half, None
        return first * ((sigma - middle) / (sigma - to)) ** 0.5 + self.fresh() * ((middle - to) / (sigma - to)) ** 0.5


def ask(name, pick):
    """One request, drawn by pick."""
    image = pick.random() < 0.5
    asked = {"sampler": name, "schedule": "model", "steps": pick.randint(1, 60), "betas": "scaled_linear",
             "prediction": pick.choice(["epsilon", "v_prediction", "sample"]), "offset": pick.randint(0, 1),
             "spacing": pick.choice([None, "leading", "linspace", "trailing"]), "one": pick.choice([None, True, False]),
             "zero": False, "eta": 0.0, "image": image, "strength": 1.0, "begin": 0.0, "end": 1.0, "mask": False}
    if asked["prediction"] == "sample" and name in NO_SAMPLE_PREDICTION:
        asked["prediction"] = "epsilon"
    if name not in LISTED and pick.random() < 0.6:
        asked["schedule"] = pick.choice(["karras", "exponential", "beta"])
    if name in ETA:
        asked["eta"] = pick.choice([0.0, 0.3, 1.0, pick.random()])
    if pick.random() < 0.2:
        asked["betas"] = pick.choice(["linear", "squaredcos_cap_v2"])
    elif name in ZERO_SNR and pick.random() < 0.2:
        asked.update(zero=True, prediction="v_prediction", spacing="trailing")
    if image:
        asked["strength"] = pick.choice([1.0, 0.75, 0.5, 0.3, round(pick.random(), 3)])
        asked["mask"] = pick.random() < 0.5
    elif pick.random() < 0.5:
        asked["begin"] = pick.choice([0.0, 0.2, 0.5, 0.8])
        asked["end"] = pick.choice([1.0, 0.9, 0.6])
    if name in GRIDS:
        asked.update(steps=pick.randint(1, 12), spacing=None)
    return asked


def make_scheduler(asked):
    name = asked["sampler"]
    config = {"num_train_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": asked["betas"],
              "prediction_type": asked["prediction"], "steps_offset": asked["offset"], **FIXED.get(name, {})}
    if asked["spacing"]:
        config["timestep_spacing"] = asked["spacing"]
    if name in ("ddim", "pndm") and asked["one"] is not None:
        config["set_alpha_to_one"] = asked["one"]
    if asked["zero"]:
        config["rescale_betas_zero_snr"] = True
    if asked["schedule"] != "model" and name != "euler_a":
        config[f"use_{asked['schedule']}_sigmas"] = True
    scheduler = CLASSES[name](**config)
    if name in GRIDS:
        scheduler.set_timesteps(asked["steps"], strength=asked["strength"])
    else:
        scheduler.set_timesteps(asked["steps"])
    if asked["schedule"] != "model" and name == "euler_a":  # it has no schedules of its own: plain Euler's
        plain = diffusers.EulerDiscreteScheduler(**config, **{f"use_{asked['schedule']}_sigmas": True})
        plain.set_timesteps(asked["steps"])
        scheduler.sigmas, scheduler.timesteps = plain.sigmas, plain.timesteps
    return scheduler


def cut(asked, scheduler):
    """The part of the timesteps that the pipelines run."""
    strength = 1.0 if asked["sampler"] in GRIDS else asked["strength"]
    pipeline = types.SimpleNamespace(scheduler=scheduler)
    begin = asked["begin"] if asked["begin"] > 0 else None
    timesteps, _ = StableDiffusionXLImg2ImgPipeline.get_timesteps(pipeline, asked["steps"], strength, None, begin)
    if asked["end"] < 1:
        cutoff = int(round(1000 - asked["end"] * 1000))
        timesteps = timesteps[:len(list(filter(lambda ts: ts >= cutoff, timesteps)))]
    return timesteps


def begin(asked, scheduler, timesteps):
    if asked["begin"] > 0:
        return IMAGE + NOISE / 2
    return scheduler.add_noise(IMAGE, NOISE, timesteps[:1]) if asked["image"] else NOISE * scheduler.init_noise_sigma


def run(asked):
    """(timesteps, what comes out) or None where diffusers has nothing to say."""
    scheduler = make_scheduler(asked)
    timesteps = cut(asked, scheduler)
    surplus = len(scheduler.timesteps) > 0 and float(scheduler.timesteps[-1]) < 0  # trailing, 61 steps
    if len(timesteps) == 0 or surplus:
        return None
    draws = Draws()
    sys.modules[type(scheduler).__module__].randn_tensor = draws.fresh
    scheduler.noise_sampler = draws.path
    extra = {"eta": asked["eta"]} if asked["sampler"] in ETA else {}
    x = begin(asked, scheduler, timesteps)
    for i, t in enumerate(timesteps):
        seen = scheduler.scale_model_input(x, t)
        x = scheduler.step(seen / (1 + seen.abs()) + float(t) / 2000, t, x, return_dict=False, **extra)[0]
        if asked["mask"]:
            last = i + 1 == len(timesteps)
            kept = IMAGE if last else scheduler.add_noise(IMAGE, NOISE, torch.tensor([timesteps[i + 1]]))
            x = torch.where(INDEX % 2 == 0, x, kept)
    return timesteps, x.flatten()


def show(asked, timesteps, x):
    flag = lambda value: "true" if value else "false"
    space = "SPACING_" + (asked["spacing"] or "default").upper()
    final = {None: "DEFAULT", True: "ONE", False: "FIRST"}[asked["one"]]
    print(f'    {{"{asked["sampler"]}", SCHEDULE_{asked["schedule"].upper()}, {asked["steps"]}, {BETAS[asked["betas"]]}, '
          f'{PREDICTIONS[asked["prediction"]]}, {space}, {asked["offset"]}, FINAL_ALPHA_{final}, {flag(asked["zero"])}, '
          f'{asked["eta"]:.17g}, {flag(asked["image"])}, {asked["strength"]}, {asked["begin"]}, {asked["end"]}, '
          f'{flag(asked["mask"])}, {len(timesteps)}, {float(timesteps[0]):.7g}, {float(timesteps[-1]):.7g}, '
          f'{float(x[0]):.6f}, {float(x[1]):.6f}, {float(x.abs().sum()):.5f}}},')


def main():
    count, seed = (int(word) for word in (sys.argv[1:] + ["40", "1"][len(sys.argv) - 1:]))
    print("/* goldens.def - made by goldens_make.py with diffusers", diffusers.__version__, "and torch", torch.__version__, "*/")
    print("static const struct golden goldens[] = {")
    for name in CLASSES:
        pick, made = random.Random(f"{seed} {name}"), 0
        while made < count:
            asked = ask(name, pick)
            try:
                done = run(asked)
            except ValueError:  # LCM and TCD with a grid too short
                continue
            if done is not None and bool(torch.isfinite(done[1]).all()):
                show(asked, *done)
                made += 1
    print("};")


if __name__ == "__main__":
    main()
