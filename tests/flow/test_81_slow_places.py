"""Places that drip: they end by limits, and keep nobody else from his files."""
import pytest
import zmq

from fleet import PROMPT, until
from house import Client, pb
from places import Place
from test_80_inputs import png

DRIPS = 100


@pytest.fixture
def secure(fleet):
    """A host of https: that drips at /slow and has /in.png."""
    place = Place(fleet.folder)
    place.put("/in.png", png())
    yield place
    place.stop()


def fetching_worker(fleet, place, **settings):
    return fleet.worker(environment={"AWS_CA_BUNDLE": str(place.certificate)}, fetch_hosts=f"localhost:{place.port}", **settings)


def url(place, name):
    return f"https://localhost:{place.port}/{name}"


def test_a_source_that_drips_ends_with_the_jobs_patience(fleet, secure):
    fleet.broker()
    fetching_worker(fleet, secure, fetch_seconds=2)
    secure.trouble["/slow.png"] = Place.DRIP
    job = fleet.submit(steps=2, size="64x64", image=url(secure, "slow.png"))
    until(lambda: fleet.get(job).get("fails", 0) >= 1, 60, "a failed attempt")
    record = fleet.get(job)
    assert record["error"]["code"] == "input" and record["error"]["field"] == "image", record
    assert "not here within --fetch-seconds" in record["error"]["message"], record
    until(lambda: secure.given_up >= 1, 20, "the end of the transfer")


def test_a_source_that_drips_ends_before_that_too(fleet, secure):
    fleet.broker()
    worker = fetching_worker(fleet, secure, fetch_seconds=600)
    secure.trouble["/slow.png"] = Place.DRIP
    job = fleet.submit(steps=2, size="64x64", image=url(secure, "slow.png"))
    worker.wait_for("less than 1024 bytes a second", 60)
    assert fleet.state(job) == "assigned" and fleet.get(job).get("fails", 0) == 0, "it is asked again, as a place that is away"
    del secure.trouble["/slow.png"]
    secure.put("/slow.png", png())
    fleet.wait(job)


def test_a_hundred_that_drip_keep_nobody_from_his_files(fleet, secure):
    """They have all of the threads, and the jobs behind them are through before any of them has ended."""
    broker = fleet.broker()
    worker = fetching_worker(fleet, secure, fetch_threads=8, slots=8)
    for i in range(DRIPS):
        secure.trouble[f"/slow-{i}.png"] = Place.DRIP
    job = dict(prompt=PROMPT, steps=2, width=64, height=64)
    with zmq.Context() as context:
        client = Client(context, broker.endpoint)
        for i in range(DRIPS):
            client.ask("SUBMIT", pb.Submit(job=pb.Job(id=f"slow-{i}", image=pb.Blob(url=url(secure, f"slow-{i}.png")), **job)))
        for i in range(4):
            client.ask("SUBMIT", pb.Submit(job=pb.Job(id=f"good-{i}", image=pb.Blob(url=url(secure, "in.png")), **job)))
        client.close()
    for i in range(4):
        fleet.wait(f"good-{i}", seconds=240)
    ended = [row for row in fleet.ask("list", "--limit", 200)["job"] if row["state"] not in ("queued", "assigned", "delayed")]
    assert sorted(row["id"] for row in ended) == [f"good-{i}" for i in range(4)], "none of the hundred was over by then"
    assert "others wait that were not tried yet" in worker.log(), "some have given way"
