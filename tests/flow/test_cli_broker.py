"""The client against the real broker and Redis; the worker is played, so that its stories can be odd."""
import hashlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import pytest
import zmq

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "broker"))
import house  # noqa: E402
from house import pb  # noqa: E402

PROGRAM = str(house.BUILD / "darkroom")
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("DARKROOM_")}


class Painter(threading.Thread):
    """A worker in a thread: takes what it is given, beats every step, stores a few bytes as the picture."""

    def __init__(self, endpoint, folder, step_seconds=0.0):
        super().__init__(daemon=True)
        self.endpoint, self.folder, self.step_seconds = endpoint, folder, step_seconds
        self.leaving = threading.Event()

    def run(self):
        context = zmq.Context()
        worker = house.Worker(context, self.endpoint, name="painter")
        worker.claim(jobs=1)
        while not self.leaving.is_set():
            assign = worker.assigned(0.1)
            if assign is not None:
                self.paint(worker, assign)
                worker.claim(jobs=1)
        worker.close()
        context.destroy(linger=0)

    def paint(self, worker, assign):
        worker.start(assign)
        for step in range(1, assign.job.steps + 1):
            time.sleep(self.step_seconds)
            if assign.job.id in worker.beat((assign, step)).cancel:
                worker.fail(assign, kind="CANCELLED")
                return
        content = assign.job.prompt.encode()
        path = self.folder / f"{assign.job.id}.png"
        path.write_bytes(content)
        image = pb.Artifact(index=0, url=f"file://{path}", sha256=hashlib.sha256(content).hexdigest(), bytes=len(content),
                         seed=assign.job.seed)
        worker.complete(assign, images=[image], timings=pb.Timings(denoise_us=1000, denoise_steps=assign.job.steps))

    def stop(self):
        self.leaving.set()
        self.join()


@pytest.fixture
def redis():
    server = house.Redis()
    yield server
    server.stop()


@pytest.fixture
def broker(redis):
    started = house.Broker(redis.url)
    yield started
    started.clean()


@pytest.fixture
def painter(broker, tmp_path):
    thread = Painter(broker.endpoint, tmp_path)
    thread.start()
    house.until(lambda: b"painter" in run(broker, "status").stdout, 10, "a worker that is known")
    yield thread
    thread.stop()


def words_for(broker, words):
    return [PROGRAM, "--broker", broker if isinstance(broker, str) else broker.endpoint, *words]


def run(broker, *words, timeout=40):
    return subprocess.run(words_for(broker, words), capture_output=True, timeout=timeout, env=CLEAN)


def start(broker, *words):
    return subprocess.Popen(words_for(broker, words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=CLEAN)


def test_generate(broker, painter, tmp_path):
    out = tmp_path / "out.png"
    done = run(broker, "generate", "a lake at sunset", "--steps", "4", "-o", str(out))
    assert done.returncode == 0, done.stderr
    assert out.read_bytes() == b"a lake at sunset" and done.stdout.decode() == f"{out}\n"
    assert b"started on painter" in done.stderr and b"(4 steps" in done.stderr


def test_submit_is_idempotent_and_conflicts_are_named(broker, painter):
    for _ in range(2):
        done = run(broker, "submit", "a lake", "--id", "mine", "--steps", "2")
        assert (done.returncode, done.stdout) == (0, b"mine\n")
    done = run(broker, "submit", "another lake", "--id", "mine", "--steps", "2")
    assert done.returncode == 64 and b"conflict" in done.stderr
    done = run(broker, "watch", "mine", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["state"] == "succeeded"
    assert b"succeeded" in run(broker, "get", "mine").stdout
    assert run(broker, "list", "--state", "succeeded").stdout.count(b"mine") == 1


def test_refusals_name_the_field(broker, painter):
    done = run(broker, "generate", "x", "--model", "nope")
    assert done.returncode == 64 and b"unknown_model" in done.stderr and b"model" in done.stderr
    done = run(broker, "generate", "x", "--size", "2048x2048")
    assert done.returncode == 64 and (b"field width" in done.stderr or b"field height" in done.stderr)
    for verb in ("get", "watch", "cancel", "explain"):
        done = run(broker, verb, "nobody")
        assert done.returncode == 66 and b"not_found" in done.stderr, (verb, done.stderr)


def test_a_waiting_job_is_explained_and_cancelled(broker, painter):
    painter.step_seconds = 0.2
    first = start(broker, "generate", "x", "--steps", "50")
    house.until(lambda: b"running" in run(broker, "list").stdout, 10, "a running job")
    waiting = run(broker, "submit", "y").stdout.decode().strip()
    assert run(broker, "explain", waiting).stdout.startswith(f"{waiting} is queued\n  ".encode())
    assert b"is cancelled" in run(broker, "cancel", waiting).stdout
    assert b"had ended before" in run(broker, "cancel", waiting).stdout
    first.send_signal(signal.SIGINT)
    assert first.wait(10) == 130
    assert b"the job is cancelled" in first.communicate()[1]


def test_an_operator_requeues_and_buries(broker):
    worker = house.Worker(zmq.Context.instance(), broker.endpoint)
    job = run(broker, "submit", "x").stdout.decode().strip()

    def into_quarantine():
        for _ in range(4):
            worker.fail(worker.take_job(), kind="CRASH")
    into_quarantine()
    assert run(broker, "list", "--state", "quarantined").stdout.count(job.encode()) == 1
    assert b"an operator can requeue or bury it" in run(broker, "explain", job).stdout
    assert run(broker, "requeue", job).stdout == f"{job}: it is back in the queue (queued)\n".encode()
    assert run(broker, "requeue", job).stdout == f"{job}: it is not in quarantine (queued)\n".encode()
    into_quarantine()
    done = run(broker, "bury", job, "--json")
    assert json.loads(done.stdout) == {"id": job, "moved": True, "state": "failed"}
    assert run(broker, "bury", job).stdout == f"{job}: it is not in quarantine (failed)\n".encode()
    for verb in ("requeue", "bury"):
        done = run(broker, verb, "nobody")
        assert done.returncode == 66 and b"not_found" in done.stderr
    worker.close()


def test_redis_away_is_temporary(redis, broker, painter, tmp_path):
    redis.kill()
    done = run(broker, "--patience-ms", "1500", "submit", "x")
    assert done.returncode == 75 and b"unavailable" in done.stderr
    process = start(broker, "generate", "x", "--steps", "2", "-o", str(tmp_path / "x.png"))
    time.sleep(1)
    redis.start()
    assert process.wait(30) == 0, process.communicate()
    process.communicate()


def test_the_broker_dies_while_a_job_is_watched(redis, broker, tmp_path):
    other = house.Broker(redis.url)
    painter = Painter(other.endpoint, tmp_path, step_seconds=0.1)
    painter.start()
    try:
        house.until(lambda: b"painter" in run(other, "status").stdout, 10, "a worker that is known")
        process = start(f"{broker.endpoint},{other.endpoint}", "generate", "x", "--steps", "30", "-o",
                        str(tmp_path / "x.png"))
        for line in process.stderr:
            if b"step" in line:
                break
        broker.kill()
        assert process.wait(30) == 0, process.communicate()
        process.communicate()
        assert (tmp_path / "x.png").read_bytes() == b"x"
        assert run(other, "list").stdout.count(b"succeeded") == 1
    finally:
        painter.stop()
        other.clean()
