"""Who gets what of a simulated fleet over the broker's own scripts, in logical time. SIM_SEEDS="1 2 3" and SIM_SCALE=100 (which
makes 2,000 devices of 20) look longer: make storm. A failure names its seed.

What the scripts do not keep yet is marked, and the mark has to go when they do.
"""
import os

import pytest
import scenarios
from house import Redis

SEEDS = [int(word) for word in os.environ.get("SIM_SEEDS", "1").split()]
SCALE = int(os.environ.get("SIM_SCALE", "1"))
TIMES = int(os.environ.get("SIM_TIMES", "30"))
pytestmark = pytest.mark.parametrize("seed", SEEDS)


@pytest.fixture(scope="module")
def client():
    server = Redis(appendonly="no")
    yield server.client
    server.stop()


def is_equal(parts):
    """Two who should have a half each: neither has more than 10% beyond the other."""
    return parts["largest"] <= 1.1 * (1 - parts["largest"]) and 1 - parts["least"] <= 1.1 * parts["least"]


def test_equal_tenants_have_equal_parts(client, seed):
    parts = scenarios.backlogged(client, seed, SCALE)
    assert is_equal(parts), parts
    assert parts["fleet"].door.audit() == []


def test_without_tenants_they_would_not(client, seed):
    parts = scenarios.backlogged(client, seed, as_one=True)
    assert not is_equal(parts), "or the check above can find nothing"


@pytest.mark.xfail(strict=True, reason="what a job took is not charged yet: cost is what is predicted, and is never corrected")
def test_equal_tenants_whatever_was_predicted(client, seed):
    parts = scenarios.backlogged(client, seed, SCALE, told=0.3)
    assert is_equal(parts), parts


def moved(client, seed, **flood):
    """By how much the p99 wait of the others grows."""
    usual = scenarios.flooded(client, seed, 1, SCALE)["p99"]
    return scenarios.flooded(client, seed, TIMES, SCALE, **flood)["p99"] / usual - 1


def test_a_flood_of_one_tenant_moves_nobody_else(client, seed):
    grown = moved(client, seed)
    assert grown < 0.1, f"the others' p99 wait grew by {grown:.0%}"


def test_without_tenants_it_would(client, seed):
    assert moved(client, seed, as_one=True) > 1, "or the check above can find nothing"


@pytest.mark.xfail(strict=True, reason="bulk jobs move up while they wait, and after two minutes stand before later people")
def test_people_wait_for_one_job_at_most(client, seed):
    """One device, bulk without end; a job is one second, a step 50 ms."""
    longest = scenarios.people_and_bulk(client, seed)["longest"]
    assert longest <= 1050, f"an interactive job waited for {longest} ms"


@pytest.mark.xfail(strict=True, reason="people have all there is until bulk jobs have moved up to their level")
def test_bulk_has_its_twentieth(client, seed):
    """Beside people and standard jobs who could use all devices three times over; what the ends of the time cut off is allowed."""
    had = scenarios.people_and_bulk(client, seed, people=3.0, standard=3.0, bulk=0.5, devices=10, seconds=100, regular=False)["bulk"]
    assert had >= 0.049, f"bulk had {had:.1%}"


def test_devices_are_used_at_ten_times_the_load(client, seed):
    used = scenarios.overload(client, seed, SCALE)
    assert used["busy"] >= 0.95 and used["useful"] >= 0.95, used
    assert used["fleet"].door.audit() == []


def test_devices_that_vanish_lose_no_job(client, seed):
    told = scenarios.vanishing(client, seed, SCALE)
    assert told["lost"] > 5 and told["accepted"] > 100, "or nothing was tried"
    assert told["never"] == [] and told["twice"] == [] and told["audit"] == [], told


@pytest.mark.skipif("SIM_JOBS" not in os.environ, reason="make storm")
def test_a_million_jobs(client, seed):
    devices = int(os.environ.get("SIM_DEVICES", "2000"))
    told = scenarios.million(client, seed, devices, int(os.environ["SIM_JOBS"]))
    print(f"{told['accepted']} jobs, {told['lost']} lost with their devices, devices busy {told['busy']:.1%}")
    assert told["never"] == [] and told["twice"] == [] and told["audit"] == [], told
