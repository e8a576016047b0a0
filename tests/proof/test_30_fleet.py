"""Many workers against two real brokers of one Redis, over the real wire, while brokers are killed: every accepted job ends once.
FLEET_WORKERS=2000 FLEET_JOBS=1000000 make it large (make storm), FLEET_SEEDS="1 2" repeat other storms."""
import os
import pathlib
import random
import resource
import sys
import threading
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "bench"))
from stage import BUILD, Broker, Program, Server, as_deployed, until  # noqa: E402
from house import PREFIX  # noqa: E402

WORKERS, JOBS = int(os.environ.get("FLEET_WORKERS", "40")), int(os.environ.get("FLEET_JOBS", "600"))
SEEDS = [int(word) for word in os.environ.get("FLEET_SEEDS", "1").split()]


class Strikes(threading.Thread):
    """Now this broker dies, now that, and each is started again."""

    def __init__(self, brokers, seed):
        super().__init__(daemon=True)
        self.brokers, self.random, self.over, self.count = brokers, random.Random(seed), threading.Event(), 0

    def run(self):
        while not self.over.wait(self.random.uniform(0.3, 2 + WORKERS / 200)):
            victim = self.random.choice(self.brokers)
            victim.kill()
            self.count += 1
            time.sleep(self.random.uniform(0, 0.3))
            victim.start()


@pytest.mark.parametrize("seed", SEEDS)
def test_every_job_ends_once_whatever_broker_dies(seed):
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    redis, brokers = Server(*as_deployed()), []
    try:
        brokers = [Broker(redis.url, "--log-level", "info") for _ in range(2)]
        fleet = Program(BUILD / "tests" / "bench" / "fleet", WORKERS, JOBS, *[broker.endpoint for broker in brokers])
        strikes = Strikes(brokers, seed)
        strikes.start()
        told = fleet.run()
        strikes.over.set()
        strikes.join()
        print(f"{JOBS} jobs by {WORKERS} workers in {told['seconds']:.1f} s, {strikes.count} brokers killed: {told}")
        assert told["accepted"] == JOBS and told["completed"] + told["repeated"] == JOBS
        assert int(redis.client.hget(PREFIX + "count", "SUCCEEDED")) == JOBS
        until(lambda: redis.audit() == [], 10, "an audit that finds nothing")
    finally:
        for broker in brokers:
            broker.clean()
        redis.stop()
