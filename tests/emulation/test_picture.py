"""The whole way over the emulated CUDA backend: real broker, real worker with --device cuda:0, a tiny model, real client."""
import io
import os
import pathlib
import re
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.setdefault("DARKROOM_BUILD", str(ROOT / "build" / "emulated")))
sys.path.insert(0, str(ROOT / "tests" / "flow"))
import fleet as fleets  # noqa: E402

SECONDS = 400  # on a machine that has other work


@pytest.fixture
def fleet():
    with fleets.working_fleet() as made:
        made.broker()
        yield made


def worker(fleet, wait=True, **environment):
    """One that works on the first emulated GPU."""
    environment = {"LD_LIBRARY_PATH": str(BUILD / "tests" / "emulation"), **environment}
    return fleet.worker(wait, environment, device="cuda:0")


def picture(fleet, **settings):
    record = fleet.wait(fleet.submit(**{"steps": 2, "seed": 7, "size": "64x32", **settings}), seconds=SECONDS)
    return fleet.picture(record["images"][0])


def test_a_picture_is_the_same_under_every_seed(fleet):
    """Strict: bits do not depend on who runs first. And it is the picture that the processor makes, but for rounding."""
    from PIL import Image, ImageChops, ImageStat
    made = []
    for seed in ("0", "1", "2"):
        worker(fleet, EMULATION_SEED=seed)
        made.append(Image.open(io.BytesIO(picture(fleet))))
        assert fleet.workers[-1].stop() == 0
    assert made[0].tobytes() == made[1].tobytes() == made[2].tobytes()
    fleet.worker(device="ref")
    told = Image.open(io.BytesIO(picture(fleet)))
    off = ImageStat.Stat(ImageChops.difference(made[0].convert("RGB"), told.convert("RGB"))).mean
    assert max(off) < 3, off


def test_an_engine_whose_gpu_fails_makes_room_for_a_fresh_one(fleet):
    """The fault strikes in a job: behind the launches of the self-test."""
    token = fleet.folder / "struck"
    gpu = worker(fleet, EMULATION_FAULT=f"launch:{LAUNCHES_OF_A_START}@{token}")
    assert len(picture(fleet, steps=4)) > 100
    assert token.exists()
    gpu.wait_for("event=engine_ended", SECONDS)
    assert len(gpu.engines()) == 2
    assert "illegal memory access" in gpu.log()


def test_a_gpu_that_answers_no_more_is_left(fleet):
    token = fleet.folder / "struck"
    gpu = worker(fleet, EMULATION_FAULT=f"hang:{LAUNCHES_OF_A_START}@{token}")
    assert len(picture(fleet, steps=4)) > 100
    assert token.exists() and len(gpu.engines()) == 2
