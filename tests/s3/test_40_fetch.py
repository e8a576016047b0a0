"""The client brings pictures home from an S3 server that checks every signature, and says what keeps it from doing so."""
import hashlib
import os
import subprocess
import time
import urllib.parse

import fleet as fleets
import pytest
from test_10_store import key_of, start

NOT_FETCHED, DAMAGED, STORE_AWAY, REFUSES = 3, 70, 74, 77


@pytest.fixture
def ready(fleet, swift):
    """A fleet that stores in Swift."""
    fleet.broker()
    start(fleet, swift, prefix="of the fleet/a+b")
    return fleet


@pytest.fixture
def made(ready, swift):
    """A job that is done, with one picture in Swift; gives its record."""
    return ready.wait(ready.submit(steps=2, seed=7))


def generate(fleet, environment, *words, **options):
    return fleet.client("generate", fleets.PROMPT, "--steps", 2, "--seed", 7, *words, environment=environment, **options)


def watch(fleet, record, environment, *words, **options):
    return fleet.client("watch", record["id"], *words, environment=environment, **options)


def path_of(swift, image):
    """The object's path in Swift's own interface."""
    return f"/{swift.bucket}/{urllib.parse.quote(key_of(swift, image))}"


def test_to_a_file(ready, swift):
    target = ready.folder / "out.png"
    done = generate(ready, swift.environment, "--id", "one", "-o", target)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{target}\n"
    image, = ready.get("one")["images"]
    assert hashlib.sha256(target.read_bytes()).hexdigest() == image["sha256"]
    assert target.read_bytes() == swift.swift("GET", path_of(swift, image))
    assert "darkroom-secret" not in done.stderr + done.stdout


def test_several_to_a_folder(ready, swift):
    target = ready.folder / "pictures here"
    done = generate(ready, swift.environment, "--id", "two", "--count", 2, "-o", f"{target}/")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in target.iterdir()) == ["two-0.png", "two-1.png"]
    for image in ready.get("two")["images"]:
        content = (target / f"two-{image['index']}.png").read_bytes()
        assert hashlib.sha256(content).hexdigest() == image["sha256"]


def test_to_stdout(ready, swift):
    done = generate(ready, swift.environment, "--id", "out", "-o", "-", text=False)
    assert done.returncode == 0, done.stderr
    assert hashlib.sha256(done.stdout).hexdigest() == ready.get("out")["images"][0]["sha256"]


def test_without_output_the_url_is_printed(ready, swift):
    done = generate(ready, {}, "--id", "there")
    assert done.returncode == 0 and done.stdout == ready.get("there")["images"][0]["url"] + "\n"


def test_the_bucket_may_be_in_the_host(ready, swift, made):
    environment = {**swift.environment, "AWS_ENDPOINT_URL_S3": f"http://s3.localhost:{swift.port}",
                   "DARKROOM_S3_ADDRESSING": "virtual"}
    assert watch(ready, made, environment, "-o", ready.folder / "x.png").returncode == 0


def not_fetched(fleet, record, environment, code, *said):
    """Nothing is written, the URL is on stdout, the reason on stderr."""
    target = fleet.folder / "none.png"
    begun = time.monotonic()
    done = watch(fleet, record, environment, "-o", target, "--patience-ms", 3000)
    assert done.returncode == code, done.stderr
    assert done.stdout == record["images"][0]["url"] + "\n" and record["images"][0]["url"] in done.stderr
    assert not target.exists() and not list(fleet.folder.glob("none.png*"))
    for text in said:
        assert text in done.stderr
    assert ("darkroom watch" in done.stderr) == (code != NOT_FETCHED)
    assert time.monotonic() - begun < 20
    return done


def test_without_credentials(ready, swift, made):
    none = {name: "" for name in swift.environment}
    not_fetched(ready, made, none, REFUSES, "AWS_ACCESS_KEY_ID is not set")
    not_fetched(ready, made, {**swift.environment, "AWS_SECRET_ACCESS_KEY": ""}, REFUSES,
                "AWS_SECRET_ACCESS_KEY is not set")


def test_with_wrong_credentials(ready, swift, made):
    wrong = {**swift.environment, "AWS_SECRET_ACCESS_KEY": "not-the-secret"}
    done = not_fetched(ready, made, wrong, REFUSES, "HTTP 403 SignatureDoesNotMatch")
    assert "not-the-secret" not in done.stderr
    unknown = {**swift.environment, "AWS_ACCESS_KEY_ID": "nobody"}
    not_fetched(ready, made, unknown, REFUSES, "HTTP 403")
    elsewhere = {**swift.environment, "AWS_REGION": "eu-nowhere-1"}  # the refusal names the right one
    assert watch(ready, made, elsewhere, "-o", ready.folder / "elsewhere.png").returncode == 0
    assert watch(ready, made, swift.environment, "-o", ready.folder / "x.png").returncode == 0


def test_a_picture_that_is_gone(ready, swift, made):
    swift.swift("DELETE", path_of(swift, made["images"][0]))
    not_fetched(ready, made, swift.environment, NOT_FETCHED, "the store does not have it: HTTP 404 NoSuchKey")


def test_the_others_are_fetched(ready, swift):
    record = ready.wait(ready.submit(steps=2, seed=7, count=3))
    swift.swift("DELETE", path_of(swift, record["images"][1]))
    done = watch(ready, record, swift.environment, "-o", f"{ready.folder}/some/")
    assert done.returncode == NOT_FETCHED
    assert sorted(path.name for path in (ready.folder / "some").iterdir()) == [
        f"{record['id']}-0.png", f"{record['id']}-2.png"]
    assert done.stdout.splitlines()[1] == record["images"][1]["url"]


def test_an_endpoint_that_is_down(ready, swift, made):
    swift.stop_proxy()
    not_fetched(ready, made, swift.environment, STORE_AWAY, "the store is away", str(swift.port))
    swift.start_proxy()
    assert watch(ready, made, swift.environment, "-o", ready.folder / "x.png").returncode == 0


def test_an_endpoint_that_comes_back(ready, swift, made):
    swift.stop_proxy()
    target = ready.folder / "x.png"
    waiting = subprocess.Popen([fleets.CLIENT, "--broker", ready.endpoints(), "watch", made["id"], "-o", target], text=True,
                               env={**os.environ, **swift.environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    for line in waiting.stderr:
        if "asking again" in line:
            break
    swift.start_proxy()
    _, messages = waiting.communicate(timeout=60)
    assert waiting.returncode == 0, messages
    assert hashlib.sha256(target.read_bytes()).hexdigest() == made["images"][0]["sha256"]


def test_a_picture_that_was_changed_is_not_delivered(ready, swift, made):
    swift.swift("PUT", path_of(swift, made["images"][0]), b"something else")
    target = ready.folder / "none.png"
    done = watch(ready, made, swift.environment, "-o", target)
    assert done.returncode == DAMAGED and "SHA-256" in done.stderr and not target.exists()
    done = watch(ready, made, swift.environment, "-o", "-", text=False)
    assert done.returncode == DAMAGED and done.stdout == b""
