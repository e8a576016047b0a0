"""An S3 server that misbehaves: a job is only complete when its objects are surely there, and is rendered once."""
import hashlib
import threading
import time

import pytest
from faulty import Faulty
from fleet import until


@pytest.fixture
def server_with_faults():
    made = Faulty()
    yield made
    made.close()


@pytest.fixture
def start(fleet, server_with_faults):
    fleet.broker()

    def worker(**settings):
        return fleet.worker(store=server_with_faults.store, environment=server_with_faults.environment, **settings)
    return worker


def first(count, act, method="PUT"):
    """A fault of the first so many requests of a method that are about pictures."""
    left = [count]

    def fault(request):
        if request.command != method or "darkroom-check" in request.path or left[0] == 0:
            return False
        left[0] -= 1
        return act(request)
    return fault


def one_picture(fleet, worker, **counters):
    record = fleet.wait(fleet.submit(steps=2, seed=1))
    assert {name: record[name] for name in ("fails", "crashes", "handoffs")} == {
        "fails": 0, "crashes": 0, "handoffs": 0, **counters}
    assert worker.metric("images_generated_total") == 1 + counters.get("fails", 0)
    return record


@pytest.mark.parametrize("code, name", [(503, "SlowDown"), (500, "InternalError"), (429, "TooManyRequests"),
                                        (400, "RequestTimeout"), (409, "OperationAborted")])
def test_refusals_that_pass(fleet, server_with_faults, start, code, name):
    worker = start()
    server_with_faults.fault = first(4, lambda request: request.refuse(code, name))
    one_picture(fleet, worker)
    assert worker.metric("s3_retries_total") >= 4


def test_a_connection_cut_in_the_middle(fleet, server_with_faults, start):
    worker = start()

    def cut(request):
        request.rfile.read(50)
        return request.hang_up()
    server_with_faults.fault = first(3, cut)
    one_picture(fleet, worker)


def test_a_picture_that_arrived_damaged_is_put_again(fleet, server_with_faults, start):
    worker = start()

    def damage(request):
        body = bytearray(request.rfile.read(int(request.headers["Content-Length"])))
        body[10] ^= 1
        server_with_faults.put(request, bytes(body))
        return True
    server_with_faults.fault = first(2, damage)
    record = one_picture(fleet, worker)
    path = "/" + record["images"][0]["url"].removeprefix("s3://")
    assert len(server_with_faults.pictures()[path]) == record["images"][0]["bytes"]
    assert sum(method == "PUT" and wanted.replace("%20", " ") == path
               for method, wanted, _ in server_with_faults.requests) == 3


def test_a_picture_that_was_taken_and_is_not_there_is_put_again(fleet, server_with_faults, start):
    worker = start()

    def lose(request):
        request.rfile.read(int(request.headers["Content-Length"]))
        request.answer(200, ETag='"x"')
        return True
    server_with_faults.fault = first(1, lose)
    one_picture(fleet, worker)


def test_redirects_are_not_followed(fleet, server_with_faults, start):
    elsewhere = Faulty()
    try:
        worker = start()
        target = f"http://127.0.0.1:{elsewhere.server.server_port}/stolen"

        def redirect(request):
            request.rfile.read(int(request.headers["Content-Length"]))
            request.answer(307, Location=target)
            return True
        server_with_faults.fault = first(1, redirect)
        one_picture(fleet, worker)
        assert elsewhere.requests == []
    finally:
        elsewhere.close()


def test_a_clock_that_is_wrong_is_put_right(fleet, server_with_faults, start):
    worker = start()
    server_with_faults.skew_s = 7200
    dates = []

    def skewed(request):
        dates.append(time.mktime(time.strptime(request.headers["x-amz-date"], "%Y%m%dT%H%M%SZ")) - time.mktime(time.gmtime()))
        return request.refuse(403, "RequestTimeTooSkewed") if abs(dates[-1] - 7200) > 900 else False
    server_with_faults.fault = skewed
    one_picture(fleet, worker)
    assert abs(dates[-1] - 7200) < 60


def test_every_request_is_signed_with_the_session(fleet, server_with_faults, start):
    worker = start()
    one_picture(fleet, worker)
    for method, path, headers in server_with_faults.requests:
        assert headers["x-amz-security-token"] == "a-token"
        assert "/eu-test-1/s3/aws4_request, SignedHeaders=" in headers["Authorization"]
        assert "x-amz-security-token" in headers["Authorization"]
        assert "Expect" not in headers and "Transfer-Encoding" not in headers
    assert "a-token" not in worker.log() and "secret" not in worker.log()


def test_a_server_that_hangs_does_not_hold_up_a_drain(fleet, server_with_faults, start):
    """What the spool holds is left to the next life: it would be rendered again if it were handed back."""
    worker = start(drain_seconds=1)
    over = threading.Event()

    def hang(request):
        over.wait(60)
        return request.hang_up()
    server_with_faults.fault = first(100, hang)
    job = fleet.submit(steps=2, seed=1)
    until(lambda: any(method == "PUT" and "check" not in path for method, path, _ in server_with_faults.requests), 30, "a PUT")
    until(lambda: list((fleet.folder / f"spool-{worker.name}").glob("*/complete")), 30, "a sealed job")
    assert worker.stop(seconds=20) == 0
    over.set()
    assert fleet.state(job) == "running" and "event=left_in_spool" in worker.log()
    server_with_faults.fault = lambda request: False
    worker.start(wait=False)
    record = fleet.wait(job)
    assert (record["fails"], record["crashes"], record["handoffs"]) == (0, 0, 0)
    worker.wait_for("event=welcomed")
    assert worker.metric("images_generated_total") == 0, "it was rendered again"


def test_a_slow_store_keeps_no_picture_from_the_spool(fleet, server_with_faults, start):
    """All threads of the store are held up; what is rendered meanwhile reaches the disk, and the limit holds."""
    worker = start(media_threads=1, slots=1, spool_images=3)
    over = threading.Event()

    def hang(request):
        over.wait(60)
        return False
    server_with_faults.fault = first(100, hang)
    jobs = [fleet.submit(steps=2, seed=seed) for seed in range(5)]
    spool = fleet.folder / f"spool-{worker.name}"
    until(lambda: len(list(spool.glob("*/complete"))) >= 3, 60, "three pictures on disk")
    over.set()
    for job in jobs:
        fleet.wait(job)
    assert worker.metric("images_generated_total") == 5


def test_what_the_disk_has_lost_is_made_again_and_uses_no_attempt(fleet, server_with_faults, start):
    worker = start()
    server_with_faults.fault = first(100, lambda request: request.refuse(403, "QuotaExceeded"))
    jobs = [fleet.submit(steps=2, seed=seed) for seed in range(2)]
    spool = fleet.folder / f"spool-{worker.name}"
    until(lambda: len(list(spool.glob("*/complete"))) == 2, 60, "two sealed jobs")
    next(spool.glob(f"{jobs[0]}.*/0.png")).unlink()
    damaged = next(spool.glob(f"{jobs[1]}.*/0.png"))
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    worker.wait_for("event=spool_lost")
    server_with_faults.fault = lambda request: False
    for job in jobs:
        record = fleet.wait(job)
        assert (record["fails"], record["crashes"], record["handoffs"]) == (0, 0, 1)
        path = "/" + record["images"][0]["url"].removeprefix("s3://")
        assert hashlib.sha256(server_with_faults.pictures()[path]).hexdigest() == record["images"][0]["sha256"]
    assert worker.metric("images_generated_total") == 4
