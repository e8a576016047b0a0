"""A name server that does not answer: whoever needs that name waits for it, and nobody and nothing else.

The system's resolver would ask for two and a half minutes; every limit here is far below, and far above what it takes.
"""


import pytest
from fleet import house, until

DEAF = "tcp://broker.example:7700"
LIMIT = 40


@pytest.fixture
def deaf(fleet):
    return house.with_a_deaf_name_server(fleet.folder)


def test_a_client_gives_up_with_its_patience(fleet, deaf):
    fleet.broker()
    done = fleet.client("--patience-ms", "500", "status", broker=DEAF, inside=deaf, seconds=LIMIT)
    assert done.returncode == 69 and "no broker answers at tcp://broker.example" in done.stderr


def test_a_client_goes_on_to_the_next_broker(fleet, deaf):
    broker = fleet.broker()
    done = fleet.client("status", broker=f"{DEAF},{broker.endpoint}", inside=deaf, seconds=LIMIT)
    assert done.returncode == 0, done.stderr


def test_a_worker_goes_on_to_the_next_broker_and_leaves_when_asked(fleet, deaf):
    broker = fleet.broker()
    worker = fleet.worker(broker=f"{DEAF},{broker.endpoint}", inside=deaf)
    fleet.wait(fleet.submit(steps=2))
    assert worker.stop(LIMIT) == 0


def test_a_worker_that_knows_no_broker_leaves_when_asked(fleet, deaf):
    worker = fleet.worker(wait=False, broker=",".join([DEAF] * 16), inside=deaf)
    until(lambda: worker.log().count("event=broker_silent") >= 2, 60)
    assert worker.stop(LIMIT) == 0


def test_a_store_whose_name_is_not_resolved_holds_nobody_up(fleet, deaf):
    """The worker says that the store is away, and leaves when asked; the client that fetches says so too."""
    broker = fleet.broker()
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_ENDPOINT_URL": "http://store.example:8080"}
    worker = fleet.worker(wait=False, broker=broker.endpoint, inside=deaf, environment=keys, store="s3://bucket/prefix")
    worker.wait_for("event=store_", 60)
    assert worker.stop(LIMIT) == 0
