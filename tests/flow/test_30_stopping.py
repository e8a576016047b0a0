"""Jobs and programs that are asked to stop."""
import signal

from fleet import DEVICE, until

SIZE = "64x64" if DEVICE == "ref" else "192x192"
SHORT = {"steps": 150, "size": SIZE}  # about a second
LONG = {"steps": 900, "size": SIZE}


def running(fleet, job):
    until(lambda: fleet.get(job).get("step", 0) > 0, 30, f"{job} to run")


def test_cancel_mid_denoise(fleet):
    fleet.broker()
    worker = fleet.worker()
    job = fleet.submit(**LONG, seed=1)
    running(fleet, job)
    assert fleet.ask("cancel", job)["outcome"] == "signalled"
    fleet.wait(job, "cancelled")
    assert fleet.stored() == []
    # the engine is free again at once
    fleet.wait(fleet.submit(steps=2, seed=2))
    assert worker.engines() == worker.engines()[:1]


def test_cancel_one_of_two_in_a_batch_leaves_the_other_as_it_was(fleet):
    fleet.broker()
    fleet.worker()
    alone = fleet.wait(fleet.submit("a lake", **SHORT, seed=3))
    doomed = fleet.submit("a hill", **LONG, seed=4)
    running(fleet, doomed)
    job = fleet.submit("a lake", **SHORT, seed=3)
    running(fleet, job)
    fleet.ask("cancel", doomed)
    fleet.wait(doomed, "cancelled")
    assert fleet.picture(fleet.wait(job)["images"][0]) == fleet.picture(alone["images"][0])


def test_drain_finishes_what_it_can(fleet):
    fleet.broker()
    worker = fleet.worker(drain_seconds=60)
    job = fleet.submit(**SHORT, seed=1)
    running(fleet, job)
    assert worker.stop() == 0
    record = fleet.get(job)
    assert record["state"] == "succeeded" and record["handoffs"] == 0


def test_drain_hands_back_what_it_cannot_finish(fleet):
    fleet.broker()
    worker = fleet.worker(drain_seconds=1)
    job = fleet.submit(**LONG, seed=1)
    running(fleet, job)
    worker.signal(signal.SIGTERM)
    worker.wait_for("event=job_released")
    assert worker.process.wait(30) == 0
    record = fleet.get(job)
    assert (record["state"], record["handoffs"], record["fails"], record["crashes"]) == ("queued", 1, 0, 0)
    fleet.ask("cancel", job)


def test_a_second_sigterm_hands_back_at_once(fleet):
    fleet.broker()
    worker = fleet.worker(drain_seconds=600)
    job = fleet.submit(**LONG, seed=1)
    running(fleet, job)
    worker.signal(signal.SIGTERM)
    worker.wait_for("event=draining")
    worker.signal(signal.SIGTERM)
    assert worker.process.wait(30) == 0
    assert fleet.state(job) == "queued"
    fleet.ask("cancel", job)


def test_a_draining_worker_takes_nothing_new(fleet):
    fleet.broker()
    worker = fleet.worker(drain_seconds=600)
    job = fleet.submit(**LONG, seed=1)
    running(fleet, job)
    worker.signal(signal.SIGTERM)
    worker.wait_for("event=draining")
    code, why = worker.admin("/readyz")
    assert code == 503 and "draining" in why
    later = fleet.submit(steps=2, seed=2)
    fleet.worker(name="other")
    assert fleet.wait(later)["worker"] == "other"
    fleet.ask("cancel", job)
    assert worker.process.wait(30) == 0
