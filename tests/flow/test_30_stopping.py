"""Jobs and programs that are asked to stop."""
import signal

from fleet import DEVICE, until

SIZE = "64x64" if DEVICE == "ref" else "192x192"
SHORT = {"steps": 150, "size": SIZE}  # about a second
LONG = {"steps": 900, "size": SIZE}


def running(fleet, *words, **settings):
    """The id of a new job, once it runs."""
    job = fleet.submit(*words, **settings)
    until(lambda: fleet.get(job).get("step", 0) > 0, 30, f"{job} to run")
    return job


def at_work(fleet, work, **settings):
    """A broker, a worker and the job that it has begun: (worker, job)."""
    fleet.broker()
    return fleet.worker(**settings), running(fleet, **work, seed=1)


def test_cancel_mid_denoise(fleet):
    worker, job = at_work(fleet, LONG)
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
    doomed = running(fleet, "a hill", **LONG, seed=4)
    job = running(fleet, "a lake", **SHORT, seed=3)
    fleet.ask("cancel", doomed)
    fleet.wait(doomed, "cancelled")
    assert fleet.picture(fleet.wait(job)["images"][0]) == fleet.picture(alone["images"][0])


def test_drain_finishes_what_it_can(fleet):
    worker, job = at_work(fleet, SHORT, drain_seconds=60)
    assert worker.stop() == 0
    record = fleet.get(job)
    assert record["state"] == "succeeded" and record["handoffs"] == 0


def test_drain_hands_back_what_it_cannot_finish(fleet):
    worker, job = at_work(fleet, LONG, drain_seconds=1)
    worker.signal(signal.SIGTERM)
    worker.wait_for("event=job_released")
    assert worker.process.wait(30) == 0
    record = fleet.get(job)
    assert (record["state"], record["handoffs"], record["fails"], record["crashes"]) == ("queued", 1, 0, 0)
    fleet.ask("cancel", job)


def test_a_second_sigterm_hands_back_at_once(fleet):
    worker, job = at_work(fleet, LONG, drain_seconds=600)
    worker.signal(signal.SIGTERM)
    worker.wait_for("event=draining")
    worker.signal(signal.SIGTERM)
    assert worker.process.wait(30) == 0
    assert fleet.state(job) == "queued"
    fleet.ask("cancel", job)


def test_a_draining_worker_is_shown_as_such_and_takes_nothing_new(fleet):
    worker, job = at_work(fleet, LONG, drain_seconds=600)

    def states():
        return {row["id"]: row["state"] for row in fleet.ask("status")["worker"]}
    assert states() == {"w1": "ready"}
    worker.signal(signal.SIGTERM)
    worker.wait_for("event=draining")
    until(lambda: states() == {"w1": "draining"}, 2, "a worker that is shown as draining")
    assert " draining " in fleet.client("status").stdout
    code, why = worker.admin("/readyz")
    assert code == 503 and "draining" in why
    later = fleet.submit(steps=2, seed=2)
    fleet.worker(name="other")
    assert fleet.wait(later)["worker"] == "other"
    assert states() == {"w1": "draining", "other": "ready"}
    fleet.ask("cancel", job)
    assert worker.process.wait(30) == 0
    assert states() == {"w1": "gone", "other": "ready"}
