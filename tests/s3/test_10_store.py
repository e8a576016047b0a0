"""Pictures in an S3 server that checks every signature."""
import hashlib
import json
import subprocess

import fleet as fleets
import pytest
import swift as swifts

REFUSED = 78


def start(fleet, swift, prefix="", wait=True, environment=None, **settings):
    return fleet.worker(store=f"s3://{swift.bucket}/{prefix}", wait=wait,
                        environment={**swift.environment, **(environment or {})}, **settings)


def key_of(swift, image):
    assert image["url"].startswith(f"s3://{swift.bucket}/")
    return image["url"].removeprefix(f"s3://{swift.bucket}/")


def test_a_picture_and_its_sidecar_are_stored(fleet, swift):
    fleet.broker()
    start(fleet, swift)
    job = fleet.submit(steps=2, seed=1, count=2)
    record = fleet.wait(job)
    for image in record["images"]:
        key = key_of(swift, image)
        assert key == f"default/{job}/{record['fence']}/{image['index']}.png"
        content = swift.read(key, swift.bucket)
        assert hashlib.sha256(content).hexdigest() == image["sha256"] and len(content) == image["bytes"]
        sidecar = json.loads(swift.read(key.replace(".png", ".json"), swift.bucket))
        assert sidecar["image"]["url"] == image["url"] and sidecar["job"]["id"] == job
    assert len(swift.names(swift.bucket)) == 4


def test_a_prefix_stands_before_every_key(fleet, swift):
    fleet.broker()
    start(fleet, swift, prefix="fleet one/a+b/")
    record = fleet.wait(fleet.submit(steps=2, seed=1))
    assert key_of(swift, record["images"][0]).startswith("fleet one/a+b/default/")
    text = swift.swift("GET", f"/{swift.bucket}").decode().splitlines()
    assert sorted(name.rsplit("/", 1)[1] for name in text) == ["0.json", "0.png"]
    assert all(name.startswith("fleet one/a+b/default/") for name in text)


def test_the_bucket_may_be_in_the_host(fleet, swift):
    fleet.broker()
    endpoint = f"http://s3.localhost:{swift.port}"
    start(fleet, swift, environment={"AWS_ENDPOINT_URL_S3": endpoint}, s3_addressing="virtual")
    fleet.wait(fleet.submit(steps=2, seed=1))
    assert len(swift.names(swift.bucket)) == 2


def refused(fleet, swift, **options):
    worker = start(fleet, swift, wait=False, **options)
    assert worker.process.wait(60) == REFUSED, worker.log()
    fleet.workers.remove(worker)
    return worker.log()


def test_a_wrong_secret_is_known_before_work(fleet, swift):
    fleet.broker()
    log = refused(fleet, swift, environment={"AWS_SECRET_ACCESS_KEY": "wrong"})
    assert "HTTP 403" in log and "wrong" not in log and swifts.SECRET_KEY not in log


def test_a_missing_bucket_is_known_before_work(fleet, swift):
    fleet.broker()
    swift.bucket += "-none"
    assert "HTTP 404" in refused(fleet, swift)


def test_proxies_and_netrc_of_the_environment_are_not_used(fleet, swift):
    fleet.broker()
    nowhere = {name: "http://127.0.0.1:1" for name in ("http_proxy", "https_proxy", "all_proxy", "ALL_PROXY")}
    start(fleet, swift, environment=nowhere)
    fleet.wait(fleet.submit(steps=2, seed=1))


def test_a_cancelled_job_leaves_no_objects(fleet, swift):
    fleet.broker()
    start(fleet, swift, slots=1)
    job = fleet.submit(steps=60, seed=1, count=20)
    fleets.until(lambda: swift.names(swift.bucket), 60, "a first picture")
    fleet.ask("cancel", job)
    fleet.wait(job, "cancelled")
    fleets.until(lambda: not swift.names(swift.bucket), 30, "an empty bucket")


def test_the_store_contract(swift):
    program = fleets.BUILD / "tests" / "unit" / "media" / "test_store"
    if not program.exists():
        pytest.skip("test_store is not built")
    done = subprocess.run([program], env={**fleets.os.environ, **swift.environment,
                                          "DARKROOM_TEST_S3": f"s3://{swift.bucket}/contract/x"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
