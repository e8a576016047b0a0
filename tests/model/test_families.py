"""Every family and feature through the whole fleet, as a user asks for it, against diffusers' pictures.

goldens/families.json says what each run of make_family_goldens.py was; here the same is asked of broker, queue, worker and
engine by the client's words, in f32, and the picture must be diffusers' within 1/255 on 99.9% of its values.
"""
import json
import pathlib
import struct
import sys

import numpy as np
import pytest
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "flow")]
import fleet as fleets  # noqa: E402

GOLDENS = ROOT / "tests" / "model" / "goldens"
FACTS = json.loads((GOLDENS / "families.json").read_text())
PAST_MAX = 0.001
MODELS = ("tiny-eps", "tiny-sd2", "tiny-xl", "tiny-refiner", "tiny-inpaint", "tiny-lcm")
BESIDE = ("tiny-control", "tiny-control-xl", "lora/kohya.safetensors", "lora/locon.safetensors", "lora/kohya-xl.safetensors",
          "embedding/a1111.safetensors")
# what a run asks for beside model, sampler, steps, strength: words of the client; {image} and the like are files
EXTRA = {
    "sd2": ["--guidance-rescale", "0.7"],
    "xl": ["--sizes", "48,64,4,8,64,64"],
    "xl_first": None,                              # no picture of its own
    "xl_refined": ["--model", "tiny-xl", "--refiner", "tiny-refiner:0.7"],
    **{f"img2img_{name}": ["--image", "{image}"] for name in ("ddim", "euler", "heun", "dpmpp_2m", "pndm", "whole")},
    **{name: ["--image", "{image}", "--mask", "{mask}"] for name in (
        "inpaint_blend", "inpaint_blend_whole", "inpaint_blend_ddim", "inpaint", "inpaint_part", "xl_inpaint")},
    "xl_img2img": ["--image", "{image}"],
    "control": ["--control", "tiny-control={control}:0.7"],
    "control_window": ["--control", "tiny-control={control}:1:0.2:0.7"],
    "control_guess": ["--control", "tiny-control={control}", "--guess"],
    "control_two": ["--control", "tiny-control={control}:0.5", "--control", "tiny-control={image}:0.9:0.4:1"],
    "xl_control": ["--control", "tiny-control-xl={control}:0.6"],
    "lora_kohya": ["--lora", "kohya:0.8"], "lora_locon": ["--lora", "locon:1"], "lora_kohya-xl": ["--lora", "kohya-xl:0.8"],
    "lora_two": ["--lora", "kohya:0.5", "--lora", "locon:0.7"],
    "embedding": ["--embedding", "house=a1111"],
}


def golden(name):
    with open(GOLDENS / "families.safetensors", "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        row = json.loads(file.read(length))[name]
        begin, end = row["data_offsets"]
        file.seek(8 + length + begin)
        return np.frombuffer(file.read(end - begin), {"U8": np.uint8, "F32": np.float32}[row["dtype"]]).reshape(row["shape"])


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    """A fleet with every tiny model and what goes beside them; the inputs as files."""
    made, folder = fleets.Fleet(), tmp_path_factory.mktemp("inputs")
    for name in ("image", "control", "mask", "soft"):
        Image.fromarray(golden(f"input.{name}")).save(folder / f"{name}.png")
    rows = [fleets.model_row(fleets.tiny_model(name)) for name in MODELS]
    rows[0] += "default = yes\n"
    rows += [fleets.model_row(fleets.tiny_model(MODELS[0]).parent / name) for name in BESIDE]
    made.models.write_text("".join(rows))
    made.broker()
    made.worker(environment={"DARKROOM_FORCE_F32": "true"})
    yield made, folder
    made.stop()
    made.clean()


def words_of(name, folder):
    facts = FACTS["runs"][name]
    words = ["--model", facts["model"]] if "--model" not in EXTRA.get(name, []) else []
    words += ["--sampler", facts["sampler"], "--steps", facts["num_inference_steps"], "--guidance", facts["guidance_scale"]]
    words += ["--size", f"{FACTS['side']}x{FACTS['side']}", "--seed", FACTS["seed"]]
    words += ["--negative", facts["negative_prompt"]] if facts.get("negative_prompt") is not None else []
    words += ["--strength", facts["strength"]] if "strength" in facts else []
    files = {file.stem: file for file in folder.iterdir()}
    return words + [word.format(**files) for word in EXTRA.get(name, [])]


@pytest.mark.parametrize("name", [name for name in FACTS["runs"] if EXTRA.get(name, ()) is not None])
def test_the_picture_is_diffusers(studio, name, tmp_path):
    fleet, folder = studio
    out = tmp_path / "out.png"
    done = fleet.client("generate", FACTS["prompt"], "-q", "-o", out, *words_of(name, folder))
    assert done.returncode == 0, done.stderr
    got, want = np.asarray(Image.open(out)).astype(int), golden(f"{name}.pixels").astype(int)
    past = float((np.abs(got - want) > 1).mean())
    print(f"{name}: {100 * past:.3f}% of values off by more than 1, the furthest by {np.abs(got - want).max()}")
    assert past <= PAST_MAX
