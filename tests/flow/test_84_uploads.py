"""Files that are too large to travel in a job, and a store that will not have them as it should."""
import hashlib
import http.server
import subprocess
import threading

import pytest

from fake_broker import pb
from house import inside
from places import Answering
from test_cli import PROGRAM, environment, play, renders, run  # noqa: F401

FILE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 1000
DIGEST = hashlib.sha256(FILE).hexdigest()
WORDS = ("submit", "a lake", "--store", "s3://bucket/prefix", "--patience-ms", "2500")


class Bucket:
    """An S3 server as it is asked by this client: PUT keeps, GET gives. `says` is what it answers PUTs with, one after the other, the
    last again and again: 200, or (status, headers)."""

    def __init__(self):
        self.says, self.puts, self.kept = [200], [], {}
        self.damage = False
        bucket = self

        class Handler(Answering):
            def do_PUT(self):
                content = self.rfile.read(int(self.headers["Content-Length"]))
                bucket.puts.append(self.path)
                said = bucket.says[min(len(bucket.puts), len(bucket.says)) - 1]
                code, headers = said if isinstance(said, tuple) else (said, {})
                if code == 200:
                    bucket.kept[self.path] = content[:-1] + b"!" if bucket.damage else content
                self.answer(code, b"" if code == 200 else b"<Error><Code>No</Code><Message>not you</Message></Error>", **headers)

            def do_GET(self):
                self.answer(200, bucket.kept[self.path])

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def environment(self):
        return environment(AWS_ENDPOINT_URL_S3=f"http://127.0.0.1:{self.server.server_address[1]}", AWS_ACCESS_KEY_ID="key",
                           AWS_SECRET_ACCESS_KEY="secret", AWS_REGION="us-east-1")


@pytest.fixture
def bucket():
    made = Bucket()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "in.png"
    path.write_bytes(FILE)
    return str(path)


def test_it_is_there_before_the_job_is(play, tmp_path, bucket, image):
    broker = play(renders(tmp_path))
    done = run(*WORDS, "--image", image, "--mask", image, broker=broker, env=bucket.environment())
    assert done.returncode == 0, done.stderr
    job = broker.seen(pb.Submit)[0].job
    assert job.image.url == job.mask.url == f"s3://bucket/prefix/inputs/{DIGEST}" and job.image.sha256 == DIGEST
    path, = bucket.kept
    assert path.endswith(f"/inputs/{DIGEST}") and bucket.kept[path] == FILE
    assert len(bucket.puts) == 1, "the same content goes there once"


@pytest.mark.parametrize("first", [503, 500, (429, {"Retry-After": "1"})], ids=["503", "500", "429"])
def test_a_store_that_is_busy_is_asked_again(play, tmp_path, bucket, image, first):
    broker = play(renders(tmp_path))
    bucket.says = [first, 200]
    done = run(*WORDS, "--image", image, broker=broker, env=bucket.environment())
    assert done.returncode == 0 and len(bucket.puts) == 2 and len(broker.seen(pb.Submit)) == 1, done.stderr
    assert "the store is away, asking again" in done.stderr.decode()


@pytest.mark.parametrize("says, code, said", [(403, 77, "HTTP 403"), (404, 77, "HTTP 404"), (503, 74, "HTTP 503"),
                                              ((429, {"Retry-After": "60"}), 74, "HTTP 429")], ids=["403", "404", "503", "429"])
def test_a_store_that_refuses_keeps_the_job_from_being_made(play, tmp_path, bucket, image, says, code, said):
    broker = play(renders(tmp_path))
    bucket.says = [says]
    done = run(*WORDS, "--image", image, broker=broker, env=bucket.environment())
    message = done.stderr.decode()
    assert done.returncode == code and done.stdout == b"" and broker.requests == [], message
    assert said in message and f"--image: {image} cannot be put into s3://bucket/prefix" in message
    assert "secret" not in message


def test_what_does_not_come_back_as_it_was_put_is_not_there(play, tmp_path, bucket, image):
    broker = play(renders(tmp_path))
    bucket.damage = True
    done = run(*WORDS, "--image", image, broker=broker, env=bucket.environment())
    assert done.returncode == 74 and broker.requests == [] and "does not hold what was put" in done.stderr.decode()


def test_nobody_is_at_the_stores_address(play, tmp_path, image):
    broker = play(renders(tmp_path))
    away = environment(AWS_ENDPOINT_URL_S3="http://127.0.0.1:9", AWS_ACCESS_KEY_ID="k", AWS_SECRET_ACCESS_KEY="s", AWS_REGION="r")
    done = run(*WORDS, "--image", image, broker=broker, env=away)
    assert done.returncode == 74 and broker.requests == [], done.stderr


def on_a_small_disk(folder, broker, *words):
    """Runs the client where the folder is a disk of 100 KiB."""
    return subprocess.run([*inside(f"mount -t tmpfs -o size=100k none {folder}"), PROGRAM, "--broker", broker.endpoint, *words], capture_output=True,
                          timeout=60, env=environment())


def test_disks_that_are_full(play, tmp_path, image):
    """A folder for inputs, or a place for pictures, without room: said with its exit code."""
    disk = tmp_path / "disk"
    disk.mkdir()
    broker = play(renders(tmp_path))
    done = on_a_small_disk(disk, broker, "submit", "a lake", "--image", image, "--store", f"file://{disk}")
    assert done.returncode == 73 and b"No space left" in done.stderr and broker.requests == [], done.stderr
    done = run("generate", "a lake", "-o", "/dev/full", broker=broker)
    assert done.returncode == 73 and b"No space left" in done.stderr, done.stderr
