"""Programs are killed at random for a while; afterwards every accepted job has ended once, each with its right picture."""
import os
import random
import signal
import time

import pytest
from fleet import until

SEED = int(os.environ.get("DARKROOM_FAULT_SEED", "0"))
ROUNDS = int(os.environ.get("DARKROOM_FAULT_ROUNDS", "8"))
JOBS = 10


def kill_broker(fleet, dice):
    broker = dice.choice(fleet.brokers)
    broker.kill()
    broker.start()


def kill_worker(fleet, dice):
    worker = dice.choice(fleet.workers)
    worker.kill()
    worker.start(wait=False)


def kill_engine(fleet, dice):
    engines = dice.choice(fleet.workers).engines()
    if engines:
        try:
            os.kill(engines[-1], signal.SIGKILL)
        except ProcessLookupError:
            pass  # it has been killed with its worker


def kill_redis(fleet, dice):
    fleet.redis.kill()
    fleet.redis.start()


@pytest.mark.parametrize("seed", [SEED, SEED + 1])
def test_kills_at_random(fleet, seed):
    print("seed", seed)
    dice = random.Random(seed)
    fleet.broker()
    fleet.broker()
    fleet.worker(slots=2)
    fleet.worker(slots=2)
    # what each must give, made in peace
    wanted = [fleet.picture(fleet.wait(fleet.submit(f"number {i}", steps=40, seed=i))["images"][0]) for i in range(JOBS)]
    jobs = [fleet.submit(f"number {i}", steps=40, seed=i) for i in range(JOBS)]
    for _ in range(ROUNDS):
        time.sleep(dice.uniform(0.05, 0.8))
        dice.choice([kill_broker, kill_worker, kill_engine, kill_redis])(fleet, dice)

    ended = ("succeeded", "quarantined")

    def all_ended():
        fleet.redis.pass_time(1000)  # leases of the dead and backoffs, faster than life
        return all(fleet.state(job) in ended for job in jobs)
    until(all_ended, 120, f"the end of all jobs (seed {seed})")
    records = [fleet.get(job) for job in jobs]
    for record, right in zip(records, wanted):
        if record["state"] == "succeeded":
            assert fleet.picture(record["images"][0]) == right
        else:  # engines died under it on two workers while it ran alone: that is what quarantine is for
            assert record["crashes"] >= 2 and record["losses"] >= 1
    assert sum(record["state"] == "succeeded" for record in records) >= JOBS // 2
    status = fleet.ask("status")
    assert status["succeeded"] == JOBS + sum(record["state"] == "succeeded" for record in records)
    assert status.get("running", 0) == status.get("queued", 0) == 0
