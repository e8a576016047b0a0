"""The whole way over the emulated CUDA backend: real broker, real worker with --device cuda:0, a tiny model, real client."""
import io
import os
import pathlib
import sys

import pytest
from PIL import Image, ImageChops, ImageStat

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.setdefault("DARKROOM_BUILD", str(ROOT / "build" / "emulated")))
sys.path.insert(0, str(ROOT / "tests" / "flow"))
import fleet as fleets  # noqa: E402

SECONDS = 900  # on a machine that has other work
WATCHDOG = 30  # seconds without progress: the emulation makes some far more often


@pytest.fixture
def fleet():
    with fleets.working_fleet() as made:
        made.broker()
        yield made


def worker(fleet, wait=True, **environment):
    """One that works on the first emulated GPU: small in all, for it is slow and works under sanitizers."""
    environment = {"LD_LIBRARY_PATH": str(BUILD / "tests" / "emulation"), "EMULATION_MEMORY": str(1 << 30), **environment}
    return fleet.worker(wait, environment, device="cuda:0", slots=1, batch_rows=2, max_side=64, watchdog_seconds=WATCHDOG,
                        load_seconds=SECONDS)


def picture(fleet, **settings):
    record = fleet.wait(fleet.submit(**{"steps": 2, "seed": 7, "size": "32x32", **settings}), seconds=SECONDS)
    return fleet.picture(record["images"][0])


def test_a_picture_is_the_same_under_every_seed(fleet):
    """Strict: bits do not depend on who runs first. And it is the picture that the processor makes, but for rounding."""
    made = []
    for seed in ("0", "1"):
        gpu = worker(fleet, EMULATION_SEED=seed)
        made.append(Image.open(io.BytesIO(picture(fleet))))
        assert gpu.stop(SECONDS) == 0
    assert made[0].tobytes() == made[1].tobytes()
    fleet.worker(device="ref")
    told = Image.open(io.BytesIO(picture(fleet)))
    off = ImageStat.Stat(ImageChops.difference(made[0].convert("RGB"), told.convert("RGB"))).mean
    assert max(off) < 3, off


@pytest.mark.parametrize("fault, says", [("launch", "illegal memory access"), ("hang", "event=engine_ended")])
def test_an_engine_whose_gpu_fails_makes_room_for_a_fresh_one(fleet, fault, says):
    """It strikes in a job. The fresh engine has to pass the self-test first, and makes the picture."""
    armed = fleet.folder / "armed"
    gpu = worker(fleet, EMULATION_FAULT=f"{fault}:1+!{armed}")
    gpu.wait_for("event=engine_ready", SECONDS)
    armed.touch()
    assert len(picture(fleet, steps=4)) > 100
    assert not armed.exists()
    gpu.wait_for(says)
    assert len(gpu.engines()) == 2
