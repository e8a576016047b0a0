"""The S3 server goes away, comes back, and changes its mind: nothing is rendered twice, nothing finished is lost."""
import pathlib

from fleet import until
from test_10_store import start


def spooled(fleet, worker):
    return list(pathlib.Path(fleet.folder / f"spool-{worker.name}").glob("*/*.png"))


def test_pictures_wait_while_it_is_away(fleet, swift):
    fleet.broker()
    worker = start(fleet, swift)
    swift.stop_proxy()
    jobs = [fleet.submit(steps=2, seed=seed) for seed in range(3)]
    until(lambda: len(spooled(fleet, worker)) == 3, 60, "three pictures in the spool")
    until(lambda: worker.admin("/readyz")[0] == 503, 30, "a worker that misses its store")
    assert "the store is away" in worker.admin("/readyz")[1]
    assert {fleet.state(job) for job in jobs} == {"running"}
    assert worker.metric("spool_images") == 3
    swift.start_proxy()
    for job in jobs:
        record = fleet.wait(job)
        assert (record["fails"], record["crashes"], record["handoffs"]) == (0, 0, 0)
    assert worker.metric("images_generated_total") == 3, "something was rendered twice"
    assert worker.metric("s3_retries_total") > 0
    until(lambda: not spooled(fleet, worker), 10, "an empty spool")
    until(lambda: worker.admin("/readyz")[0] == 200, 10, "readiness")


def test_away_when_the_worker_starts(fleet, swift):
    fleet.broker()
    swift.stop_proxy()
    worker = start(fleet, swift)
    assert "event=store_away" in worker.log() and worker.metric("store_away") == 1
    job = fleet.submit(steps=2, seed=1)
    until(lambda: spooled(fleet, worker), 60, "a picture in the spool")
    swift.start_proxy()
    fleet.wait(job)


def test_a_full_spool_takes_no_more_work(fleet, swift):
    fleet.broker()
    worker = start(fleet, swift, slots=1, spool_images=2)
    swift.stop_proxy()
    jobs = [fleet.submit(steps=2, seed=seed) for seed in range(6)]
    until(lambda: len(spooled(fleet, worker)) >= 2, 60, "a full spool")
    worker.wait_for("event=store_away")
    until(lambda: sum(fleet.state(job) == "running" for job in jobs) in (2, 3, 4), 30, "no more than was under way")
    until(lambda: worker.metric("spool_images") in (2, 3, 4), 30, "pictures up to the limit and what was under way")
    why = lambda: " ".join(fleet.ask("explain", jobs[-1])["reason"])  # told by a beat, and read by the broker some time after
    until(lambda: "the store is away" in why() and worker.name in why(), 30, "explain says what keeps the work")
    swift.start_proxy()
    for job in jobs:
        fleet.wait(job)
    assert worker.metric("images_generated_total") == 6


def test_a_worker_that_dies_while_it_is_away_hands_in_later(fleet, swift):
    fleet.broker()
    worker = start(fleet, swift)
    swift.stop_proxy()
    job = fleet.submit(steps=2, seed=1)
    until(lambda: spooled(fleet, worker) and list((fleet.folder / f"spool-{worker.name}").glob("*/complete")), 60,
          "a finished job in the spool")
    worker.kill()
    worker.start(wait=False)  # at once: the lease of a lost connection is short
    worker.wait_for("event=leftover")
    swift.start_proxy()
    worker.wait_for("event=welcomed")
    record = fleet.wait(job)
    assert record["crashes"] == 0 and record["handoffs"] == 0
    assert worker.metric("images_generated_total") == 0, "it was rendered again"


def test_keys_that_stop_working_and_work_again(fleet, swift):
    fleet.broker()
    worker = start(fleet, swift)
    fleet.wait(fleet.submit(steps=2, seed=1))
    conf = swift.folder / "proxy-server.conf"
    good = conf.read_text()
    swift.stop_proxy()
    conf.write_text(good.replace("darkroom-secret", "another-secret"))
    swift.start_proxy()
    try:
        job = fleet.submit(steps=2, seed=2)
        until(lambda: "SignatureDoesNotMatch" in worker.admin("/readyz")[1], 60, "a worker that knows why")
        assert "the store refuses" in worker.admin("/readyz")[1]
        until(lambda: "SignatureDoesNotMatch" in " ".join(fleet.ask("explain", job)["reason"]), 30, "an explanation")
        assert fleet.state(job) == "running"
    finally:
        swift.stop_proxy()
        conf.write_text(good)
        swift.start_proxy()
    record = fleet.wait(job)
    assert (record["fails"], record["crashes"], record["handoffs"]) == (0, 0, 0)
    assert worker.metric("images_generated_total") == 2, "something was rendered twice"


def test_a_bucket_that_is_gone_for_a_while(fleet, swift):
    fleet.broker()
    worker = start(fleet, swift)
    swift.swift("DELETE", f"/{swift.bucket}")
    job = fleet.submit(steps=2, seed=1)
    until(lambda: "NoSuchBucket" in worker.admin("/readyz")[1], 60, "a worker that knows why")
    swift.make_bucket(swift.bucket)
    assert fleet.wait(job)["fails"] == 0
    assert worker.metric("images_generated_total") == 1
