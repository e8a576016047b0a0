"""A worker in a small container: what it offers fits into the memory there is, and the kernel kills nobody."""
import contextlib
import os
import pathlib
import time

import fleet as fleets
import pytest

MIB = 1024 * 1024
LIMIT = 300 * MIB
FIRST, SECOND = pathlib.Path("/sys/fs/cgroup/memory"), pathlib.Path("/sys/fs/cgroup")


@contextlib.contextmanager
def control_group(limit):
    """A memory control group of our own, version 1 or 2; skips where none can be made."""
    name = f"darkroom-story-{os.getpid()}-{time.monotonic_ns()}"
    group, file = (FIRST / name, "memory.limit_in_bytes") if FIRST.is_dir() else (SECOND / name, "memory.max")
    try:
        group.mkdir()
    except OSError as reason:
        pytest.skip(f"no control group can be made here: {reason}")
    try:
        (group / file).write_text(str(limit))
    except OSError as reason:
        group.rmdir()
        pytest.skip(f"control groups have no memory limit here: {reason}")
    try:
        yield group
    finally:
        fleets.until(lambda: not (group / "cgroup.procs").read_text().split(), 30, "the group to be empty")
        group.rmdir()


def confine(fleet, monkeypatch, group):
    """From now on workers live in the group."""
    script = fleet.folder / "confined-worker"
    script.write_text(f"#!/bin/sh\necho $$ >{group}/cgroup.procs\nexec {fleets.WORKER} \"$@\"\n")
    script.chmod(0o700)
    monkeypatch.setattr(fleets, "WORKER", script)


@pytest.fixture
def confined(fleet, monkeypatch):
    """Workers live in a group of LIMIT bytes."""
    with control_group(LIMIT) as group:
        confine(fleet, monkeypatch, group)
        yield group
        for worker in fleet.workers:
            worker.stop()


def largest_side(fleet):
    return fleet.ask("models")["model"][0]["max_side"]


def test_what_is_offered_fits(fleet, confined):
    """Jobs under way, and among them the largest that is taken: it used to be the largest of all, and the end of them."""
    fleet.broker()
    worker = fleet.worker()
    side = largest_side(fleet)
    assert 64 <= side < 2048
    small = [fleet.submit(steps=60, seed=seed) for seed in range(3)]
    large = fleet.submit(steps=1, size=f"{side}x{side}")
    for job in small + [large]:
        record = fleet.wait(job, seconds=300)
        assert (record["crashes"], record["fails"]) == (0, 0)
    assert "event=engine_ended" not in worker.log()
    assert f"limited_by={confined}" in worker.log()


def test_what_does_not_fit_is_refused_by_name(fleet, confined):
    fleet.broker()
    fleet.worker()
    side = largest_side(fleet)
    refused = fleet.client("submit", "a lake", "--size", "2048x2048")
    assert refused.returncode != 0
    assert "width" in refused.stderr and f"8..{side}" in refused.stderr


def test_what_no_worker_left_can_do_waits_and_says_why(fleet, monkeypatch):
    """It was taken while there was a large worker."""
    fleet.broker()
    large = fleet.worker(name="large", memory=6000)
    assert large.stop() == 0
    job = fleet.submit(steps=1, size="2048x2048")
    with control_group(LIMIT) as group:
        confine(fleet, monkeypatch, group)
        small = fleet.worker(name="small")
        fleet.wait(fleet.submit(steps=1))  # others are done
        assert fleet.state(job) == "queued"
        assert "2048" in fleet.client("explain", job).stdout
        assert fleet.client("cancel", job).returncode == 0
        assert "event=engine_ended" not in small.log()
        assert small.stop() == 0
