"""A model of full size on whatever machine this is: slow, and nobody is punished for it. Not one of the daily stories:
`make story-full` takes minutes and 2 GB of build/. Figures are printed, not judged."""
import os
import re
import shutil
import subprocess
import sys
import time

import fleet as fleets
import pytest
from fleet import until

STEPS, JOBS, SIZE = 2, 8, "512x512"


@pytest.fixture(scope="module")
def full_model():
    folder = fleets.FIXTURES / "sd15-random"
    if not folder.exists():
        part = fleets.FIXTURES / f"sd15-random.{os.getpid()}"
        fleets.FIXTURES.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, fleets.ROOT / "tests" / "full" / "random_model.py", "sd15", part], check=True)
        shutil.move(part, folder)
    return folder


def mean_turn(worker):
    """Seconds of a U-Net batch, and how many there were."""
    count = worker.metric("step_duration_seconds_count")
    return f"{worker.metric('step_duration_seconds_sum') / count:.1f} s in the mean of {count:.0f}"


def test_eight_jobs_of_full_size(fleet, full_model):
    """All settings as they are from the start; then a person comes, and somebody thinks better of it."""
    fleet.models.write_text(fleets.model_row(full_model) + "default = yes\n")
    fleet.broker()
    began = time.monotonic()
    worker = fleet.worker(wait=False, threads=0)
    worker.wait_for("event=welcomed", 600)
    print(f"\nfrom start to welcomed: {time.monotonic() - began:.1f} s")
    began = time.monotonic()
    jobs = [fleet.submit(steps=STEPS, seed=seed, size=SIZE) for seed in range(JOBS)]
    until(lambda: any(fleet.get(job).get("step", 0) > 0 for job in jobs), 600, "the first step")
    print(f"eight jobs of {SIZE}, {STEPS} steps: first step after {time.monotonic() - began:.1f} s")

    mark = time.monotonic()
    person = fleet.submit(steps=1, seed=99, size="64x64", priority="interactive")
    until(lambda: fleet.get(person).get("step", 0) > 0, 600, "a person's first step")
    print(f"a person's first step: {time.monotonic() - mark:.1f} s after it was asked for")
    mark = time.monotonic()
    assert fleet.client("cancel", jobs[-1]).returncode == 0
    until(lambda: fleet.state(jobs[-1]) == "cancelled", 600, "the cancel")
    print(f"cancelled: {time.monotonic() - mark:.1f} s after it was asked for")

    for job in jobs[:-1] + [person]:
        record = fleet.wait(job, seconds=1800)
        assert (record["crashes"], record["fails"]) == (0, 0)
    print(f"all done: {time.monotonic() - began:.1f} s; a turn {mean_turn(worker)}; engine's peak RSS "
          f"{peak_mib(worker)} MiB")
    assert "event=engine_hangs" not in worker.log() and "event=engine_ended" not in worker.log()


def peak_mib(worker):
    status = open(f"/proc/{worker.engines()[-1]}/status").read()
    return int(re.search(r"VmHWM:\s+(\d+)", status).group(1)) // 1024
