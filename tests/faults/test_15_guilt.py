"""Guilt is proved alone, over real engines: one job that kills each engine it runs in, and what only looks like it."""
import os
import signal
import threading

import pytest
from fleet import DEVICE, until

STEPS, SIDE = (60, 64) if DEVICE == "ref" else (150, 128)
WORK = {"steps": STEPS, "size": f"{SIDE}x{SIDE}"}
ENDED = ("succeeded", "failed", "quarantined", "cancelled", "expired")


def kill(pid, number=signal.SIGKILL):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass  # it has ended already


class Poison(threading.Thread):
    """Kills the engines of a worker whenever this job is seen to run: as a picture does that no memory is enough for."""

    def __init__(self, fleet, worker, job):
        super().__init__(daemon=True)
        self.fleet, self.worker, self.job = fleet, worker, job

    def run(self):
        state = None
        while state not in ENDED:
            state = self.fleet.state(self.job)
            if state == "running":
                kill(self.worker.engines()[-1])


def counters(record):
    return {name: record[name] for name in ("crashes", "losses", "handoffs", "fails") if record.get(name)}


def test_the_job_that_kills_is_found_and_its_mates_succeed(fleet):
    fleet.broker()
    worker = fleet.worker(slots=8, progress_ms=20)
    jobs = [fleet.submit(seed=seed, **WORK) for seed in range(7)]
    until(lambda: all(fleet.state(job) == "running" for job in jobs), 60, "seven jobs in one batch")
    guilty = jobs.pop(3)
    Poison(fleet, worker, guilty).start()
    record = fleet.wait(guilty, "quarantined")
    assert counters(record) == {"losses": 1, "crashes": 3}
    records = [fleet.wait(job) for job in jobs]
    assert all(counters(record) == {"losses": 1} for record in records), records
    assert "alone=yes" in worker.log()
    fresh = fleet.wait(fleet.submit(steps=2, seed=1))
    assert counters(fresh) == {}, "and life goes on"


def test_engines_that_are_killed_from_outside_cost_nobody_his_picture(fleet):
    """Three times, as an operator or the kernel does who does not look whose turn it is."""
    fleet.broker()
    worker = fleet.worker(slots=6, progress_ms=20)
    jobs = [fleet.submit(seed=seed, **WORK) for seed in range(6)]
    for _ in range(3):
        seen = len(worker.engines())
        until(lambda: any(fleet.state(job) == "running" for job in jobs), 60, "a job at work")
        kill(worker.engines()[-1])
        until(lambda: len(worker.engines()) > seen, 60, "another engine")
    records = [fleet.wait(job) for job in jobs]
    assert sum(record.get("crashes", 0) for record in records) <= 2 < sum(record["losses"] for record in records)


def test_jobs_on_other_engines_go_on_beside_a_suspect(fleet):
    fleet.broker()
    fleet.worker(name="w1", slots=2, progress_ms=20)
    suspect = fleet.submit(seed=1, **WORK)
    until(lambda: fleet.state(suspect) == "running", 60, "the one that will be a suspect")
    kill(fleet.workers[0].engines()[-1])
    fleet.worker(name="w2", slots=2, progress_ms=20)
    others = [fleet.submit(seed=seed, steps=20, size=WORK["size"]) for seed in range(6)]
    records = [fleet.wait(job) for job in [suspect, *others]]
    assert counters(records[0]) == {"losses": 1} and all(counters(record) == {} for record in records[1:])


def test_a_death_in_one_engine_is_nothing_to_the_other(fleet):
    """One worker, two devices: who is lost goes on alone in one of them, beside work in the other."""
    fleet.broker()
    worker = fleet.worker(device="cpu,ref", slots=1, progress_ms=20)
    jobs = [fleet.submit(seed=seed, steps=150, size="64x64") for seed in range(2)]
    until(lambda: all(fleet.get(job).get("step", 0) >= 1 for job in jobs), 60, "a job in each engine")
    kill(worker.engines()[0])
    others = [fleet.submit(seed=seed, steps=5, size="64x64") for seed in range(6)]
    records = [fleet.wait(job) for job in jobs]
    assert sorted(record["losses"] for record in records) == [0, 1] and not any(record["crashes"] for record in records)
    assert all(counters(fleet.wait(job)) == {} for job in others)
    assert worker.log().count("alone=yes") == 1


def test_a_hang_is_nobodys_crash(fleet):
    fleet.broker()
    worker = fleet.worker(watchdog_seconds=2, slots=2, progress_ms=20)
    jobs = [fleet.submit(seed=seed, **WORK) for seed in range(2)]
    for hang in (1, 2):
        until(lambda: any(fleet.state(job) == "running" for job in jobs), 60, "a job at work")
        kill(worker.engines()[-1], signal.SIGSTOP)
        until(lambda: worker.log().count("event=engine_hangs") == hang, 60, "the watchdog")
        until(lambda: worker.log().count("event=engine_ready") == hang + 1, 60, "another engine")
    records = [fleet.wait(job) for job in jobs]
    assert sum(record["losses"] for record in records) == 3 and not any(record.get("crashes") for record in records)


def test_two_machines_of_one_name(fleet):
    """Cloned from one image, or named so by mistake: the later one waits, says for whom, and takes over when the name is free."""
    fleet.broker()
    first = fleet.worker(name="twin", progress_ms=20)
    second = fleet.worker(name="twin", wait=False, spool=fleet.folder / "spool-of-another")
    second.wait_for("event=hello_refused", 60)
    status, text = second.admin("/readyz")
    assert status == 503 and "the name twin is taken by" in text and f"pid {first.process.pid}" in text
    jobs = [fleet.submit(seed=seed, **WORK) for seed in range(3)]
    assert all(counters(fleet.wait(job)) == {} for job in jobs)
    assert first.stop() == 0
    second.wait_for("event=welcomed", 60)
    assert second.admin("/readyz")[0] == 200
    assert counters(fleet.wait(fleet.submit(steps=2, seed=1))) == {}


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_a_worker_that_comes_back_has_its_name_at_once(fleet, how):
    fleet.broker()
    worker = fleet.worker(name="w1", progress_ms=20)
    worker.kill() if how == "killed" else worker.stop()
    worker.start()  # waits for its WELCOME
    assert "event=hello_refused" not in worker.log()
