"""Slow is not hung: an engine is killed when it does nothing, however it does it, and never for taking long."""
import os
import pathlib
import subprocess

import pytest
from fleet import BUILD, DEVICE, ROOT, until


@pytest.fixture(scope="module")
def spinning_library():
    """A oneDNN that never returns once it is told so."""
    library = BUILD / "tests" / "spin.so"
    library.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", library, ROOT / "tests" / "faults" / "spin.c", "-ldl"],
                   check=True)
    return library


@pytest.mark.skipif(DEVICE != "cpu", reason="only the cpu device calls oneDNN")
@pytest.mark.skipif("asan" in str(BUILD), reason="a sanitizer's library must come first")
def test_an_engine_that_spins_is_killed(fleet, spinning_library):
    """It burns its processor and its threads are alive; but no work is counted."""
    switch = fleet.folder / "spin"
    fleet.broker()
    worker = fleet.worker(watchdog_seconds=2, environment={"LD_PRELOAD": spinning_library, "DARKROOM_SPIN": switch})
    job = fleet.submit(seed=7, steps=400, size="192x192")
    until(lambda: fleet.get(job).get("step", 0) >= 1, 60, "its first step")
    switch.touch()
    worker.wait_for("event=engine_hangs")
    switch.unlink()
    fleet.wait(job)
    assert worker.log().count("event=engine_hangs") == 1


def test_slow_first_turns_are_no_hang(fleet):
    """Eight large pictures at once on an engine that is heard for less than its first turn takes: with all their rows
    in one batch, and nothing heard from inside it, all eight were quarantined."""
    fleet.broker()
    assert fleet.worker(name="a").stop() == 0  # so that the fleet knows the model
    jobs = [fleet.submit(steps=1, seed=seed, size="768x768") for seed in range(8)]
    worker = fleet.worker(name="a2", watchdog_seconds=1, memory=6000)
    for job in jobs:
        record = fleet.wait(job, seconds=300)
        assert (record["crashes"], record["fails"]) == (0, 0)
    assert "event=engine_hangs" not in worker.log()


def test_a_slow_decode_is_no_hang(fleet):
    """A large picture: one decode takes far longer than a silent engine is left alone."""
    fleet.broker()
    worker = fleet.worker(watchdog_seconds=1, memory=6000)
    record = fleet.wait(fleet.submit(steps=1, size="1280x1280"), seconds=300)
    assert record["crashes"] == 0
    assert "event=engine_hangs" not in worker.log()


def test_a_stopped_worker_does_not_blame_its_engine(fleet):
    """Both are frozen for longer than the watchdog's time, as a suspended machine or a paused container does it."""
    fleet.broker()
    worker = fleet.worker(watchdog_seconds=2)
    job = fleet.submit(seed=7, steps=300, size="192x192")
    until(lambda: fleet.get(job).get("step", 0) >= 1, 60, "its first step")
    engine = worker.engines()[-1]
    frozen = worker.process.pid
    os.kill(frozen, 19)
    os.kill(engine, 19)
    before = pathlib.Path(f"/proc/{engine}/stat").read_text().split()[21]
    until(lambda: pathlib.Path(f"/proc/{engine}/status").read_text().count("T (stopped)"), 10, "the engine to stop")
    subprocess.run(["sleep", "5"], check=True)  # what is told from outside: nothing can be waited for
    os.kill(engine, 18)
    os.kill(frozen, 18)
    fleet.wait(job)
    assert pathlib.Path(f"/proc/{engine}/stat").read_text().split()[21] == before, "it is another engine"
    assert "event=engine_hangs" not in worker.log()
