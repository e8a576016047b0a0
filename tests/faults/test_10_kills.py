"""kill -9 of every program at different moments of a job: it still ends once, with the right picture."""
import os
import signal
import time

import pytest
from fleet import DEVICE, until

STEPS, SIDE = (100, 64) if DEVICE == "ref" else (200, 192)  # seconds: long enough to be met on its way
WORK = {"steps": STEPS, "size": f"{SIDE}x{SIDE}"}
MOMENTS = ("queued", "running", "late")


PEACE = []


def right_picture(fleet):
    """What the job must give: made in peace by the first story that wants it."""
    if not PEACE:
        PEACE.append(fleet.picture(fleet.wait(fleet.submit(seed=77, **WORK))["images"][0]))
        fleet.before += 1
    return PEACE[0]


def reach(fleet, job, moment):
    wanted = {"queued": 0, "running": 1, "late": STEPS // 2}[moment]
    until(lambda: fleet.get(job).get("step", 0) >= wanted, 60, f"{job} at step {wanted} ({fleet.get(job)})")
    assert fleet.state(job) != "succeeded", "it was too fast for this story"


def ended_once(fleet, job, wanted):
    record = fleet.wait(job)
    assert fleet.picture(record["images"][0]) == wanted
    status = fleet.ask("status")
    assert status["succeeded"] == fleet.before + 1, status
    assert status.get("running", 0) == status.get("queued", 0) == 0
    return record


@pytest.mark.parametrize("moment", MOMENTS)
def test_broker(fleet, moment):
    broker = fleet.broker()
    fleet.worker(progress_ms=20)
    wanted = right_picture(fleet)
    job = fleet.submit(seed=77, **WORK)
    reach(fleet, job, moment)
    broker.kill()
    broker.start()
    record = ended_once(fleet, job, wanted)
    assert record["crashes"] == 0


def test_one_of_two_brokers(fleet):
    first, second = fleet.broker(), fleet.broker()
    worker = fleet.worker(progress_ms=20)
    wanted = right_picture(fleet)
    job = fleet.submit(seed=77, **WORK)
    reach(fleet, job, "running")
    first.kill()
    fleet.brokers.remove(first)
    record = ended_once(fleet, job, wanted)
    assert (record["crashes"], record["handoffs"]) == (0, 0)
    # and it goes on taking work from the other
    fleet.wait(fleet.submit(steps=2, seed=1))
    assert "event=broker_silent" in worker.log()


def test_every_broker_until_the_job_is_through(fleet):
    broker = fleet.broker()
    worker = fleet.worker(progress_ms=20)
    wanted = right_picture(fleet)
    job = fleet.submit(seed=77, **WORK)
    reach(fleet, job, "running")
    fence = fleet.get(job)["fence"]
    broker.kill()
    spool = fleet.folder / f"spool-{worker.name}"
    until(lambda: list(spool.glob("*/complete")), 60, "a job that the engine is through with")
    broker.start()
    record = ended_once(fleet, job, wanted)
    assert record["fence"] == fence, "it ran twice"


@pytest.mark.parametrize("moment", MOMENTS[1:])
def test_engine(fleet, moment):
    fleet.broker()
    worker = fleet.worker(progress_ms=20)
    wanted = right_picture(fleet)
    job = fleet.submit(seed=77, **WORK)
    reach(fleet, job, moment)
    os.kill(worker.engines()[-1], signal.SIGKILL)
    record = ended_once(fleet, job, wanted)
    assert (record["losses"], record["crashes"], record["fails"]) == (1, 0, 0)
    assert len(worker.engines()) == 2
    assert worker.metric("engine_restarts_total") == 1


def test_engine_twice_while_idle(fleet):
    fleet.broker()
    worker = fleet.worker(progress_ms=20)
    for life in (1, 2):
        os.kill(worker.engines()[-1], signal.SIGKILL)
        until(lambda: worker.log().count("event=engine_ready") == life + 1, 60, "another engine")
    fleet.wait(fleet.submit(steps=2, seed=1))


def test_a_hanging_engine_is_killed(fleet):
    fleet.broker()
    worker = fleet.worker(watchdog_seconds=2)
    wanted = right_picture(fleet)
    job = fleet.submit(seed=77, **WORK)
    reach(fleet, job, "running")
    os.kill(worker.engines()[-1], signal.SIGSTOP)
    worker.wait_for("event=engine_hangs")
    record = ended_once(fleet, job, wanted)
    assert (record["losses"], record["crashes"]) == (1, 0)


@pytest.mark.parametrize("moment", MOMENTS[1:])
def test_worker_that_comes_back(fleet, moment):
    fleet.broker()
    worker = fleet.worker(progress_ms=20)
    wanted = right_picture(fleet)
    job = fleet.submit(seed=77, **WORK)
    reach(fleet, job, moment)
    engine = worker.engines()[-1]
    worker.kill()
    until(lambda: not os.path.exists(f"/proc/{engine}") or
          "\nState:\tZ" in open(f"/proc/{engine}/status").read(), 10, "the end of its engine")
    worker.start()
    record = ended_once(fleet, job, wanted)
    assert (record["losses"], record["crashes"], record["fails"]) == (1, 0, 0)


def test_worker_that_stays_away(fleet):
    fleet.broker()
    worker = fleet.worker(progress_ms=20)
    wanted = right_picture(fleet)
    job = fleet.submit(seed=77, **WORK)
    reach(fleet, job, "running")
    worker.kill()
    fleet.worker(name="heir")
    fleet.redis.pass_time(60000)
    record = ended_once(fleet, job, wanted)
    assert record["worker"] == "heir" and (record["losses"], record["crashes"]) == (1, 0)


@pytest.mark.parametrize("moment", MOMENTS)
def test_redis(fleet, moment):
    fleet.broker()
    fleet.worker(progress_ms=20)
    wanted = right_picture(fleet)
    job = fleet.submit(seed=77, **WORK)
    reach(fleet, job, moment)
    fleet.redis.kill()
    fleet.redis.start()
    record = ended_once(fleet, job, wanted)
    assert record["crashes"] == 0


def test_redis_away_until_the_job_is_through(fleet):
    fleet.broker()
    worker = fleet.worker(progress_ms=20)
    wanted = right_picture(fleet)
    job = fleet.submit(seed=77, **WORK)
    reach(fleet, job, "running")
    fence = fleet.get(job)["fence"]
    fleet.redis.kill()
    refused = fleet.client("submit", "a lake", "--patience-ms", 300)
    assert refused.returncode in (69, 75), refused.stderr
    spool = fleet.folder / f"spool-{worker.name}"
    until(lambda: list(spool.glob("*/complete")), 60, "a job that the engine is through with")
    fleet.redis.start()
    record = ended_once(fleet, job, wanted)
    assert record["fence"] == fence, "it ran twice"


def test_a_paused_worker_whose_lease_has_lapsed_changes_nothing(fleet):
    fleet.broker()
    first = fleet.worker(name="first")
    wanted = right_picture(fleet)
    job = fleet.submit(seed=77, **WORK)
    reach(fleet, job, "running")
    lost = fleet.get(job)["fence"]
    first.signal(signal.SIGSTOP)
    fleet.worker(name="second")
    fleet.redis.pass_time(60000)
    record = ended_once(fleet, job, wanted)
    assert record["worker"] == "second"
    first.signal(signal.SIGCONT)
    first.wait_for("event=job_stale")
    assert fleet.get(job) == record
    until(lambda: not any(f"/{lost}/" in name for name in fleet.stored()), 30, "the loser's objects to go")


def test_a_frozen_worker_costs_one_job_and_not_one_for_each_credit(fleet):
    fleet.broker()
    frozen = fleet.worker(name="frozen", slots=4)
    until(lambda: fleet.ask("status")["worker"][0].get("credits") == 4, 10, "four credits")
    frozen.signal(signal.SIGSTOP)
    sound = fleet.worker(name="sound", slots=4)
    records = []
    for seed in range(8):
        job = fleet.submit(steps=2, seed=seed)
        until(lambda: fleet.get(job)["state"] in ("assigned", "succeeded"), 10, f"somebody to take {job}")
        if fleet.get(job).get("worker") == "frozen":
            fleet.redis.pass_time(5500)
        records.append(fleet.wait(job))
    assert {record["worker"] for record in records} == {"sound"}
    assert sum(record["handoffs"] for record in records) == 1, records
    assert {worker["id"]: worker["state"] for worker in fleet.ask("status")["worker"]} == {"frozen": "silent", "sound": "ready"}
    frozen.signal(signal.SIGCONT)
    frozen.wait_for("event=job_stale")
    assert sound.stop() == 0
    assert fleet.wait(fleet.submit(steps=2, seed=9))["worker"] == "frozen"


def test_everything_at_once(fleet):
    broker = fleet.broker()
    worker = fleet.worker(progress_ms=20)
    wanted = right_picture(fleet)
    job = fleet.submit(seed=77, **WORK)
    reach(fleet, job, "running")
    for program in (fleet.redis, broker, worker):
        program.kill()
    fleet.redis.start()
    broker.start()
    worker.start()
    ended_once(fleet, job, wanted)


def test_a_worker_killed_between_store_and_complete_does_not_render_again(fleet):
    broker = fleet.broker()
    worker = fleet.worker(progress_ms=20)
    job = fleet.submit(seed=5, count=3, **WORK)
    until(lambda: fleet.state(job) == "running", 30, "a start")
    broker.kill()
    spool = fleet.folder / f"spool-{worker.name}"
    until(lambda: list(spool.glob("*/complete")) and len(list(spool.glob("*/*.png"))) == 3, 60, "a finished job")
    time.sleep(0.1)  # let the pictures be stored, or not: both must do
    worker.kill()
    broker.start()
    worker.start()
    record = fleet.wait(job)
    assert record["crashes"] == 0 and len(record["images"]) == 3
    assert worker.metric("images_generated_total") == 0


def test_a_spool_that_lost_a_picture_is_worth_nothing(fleet):
    broker = fleet.broker()
    worker = fleet.worker()
    job = fleet.submit(seed=5, count=2, **WORK)
    until(lambda: fleet.state(job) == "running", 30, "a start")
    broker.kill()
    spool = fleet.folder / f"spool-{worker.name}"
    until(lambda: list(spool.glob("*/complete")) and len(list(spool.glob("*/*.png"))) == 2, 60, "a finished job")
    worker.kill()
    next(spool.glob("*/1.png")).unlink()
    broker.start()
    worker.start()
    record = fleet.wait(job)
    assert (record["losses"], record["crashes"]) == (1, 0) and len(record["images"]) == 2
    assert "event=leftover_dropped" in worker.log()
