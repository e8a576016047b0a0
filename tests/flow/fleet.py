"""A whole fleet for stories: a private Redis, real brokers, real workers with a tiny model, and the real client.

Everything lives in a temporary folder, on unix sockets and free ports, and is stopped by the story that started it.
"""
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "broker"))
import house  # noqa: E402  (Redis, Broker and the wire's peers are the broker stories')
from house import pb, until  # noqa: E402,F401

BUILD = house.BUILD
FIXTURES = BUILD / "fixtures"
CLIENT = BUILD / "darkroom"
WORKER = pathlib.Path(os.environ.get("DARKROOM_WORKER_PROGRAM", BUILD / "darkroom-worker"))
DEVICE = os.environ.get("DARKROOM_TEST_DEVICE", "cpu")
PROMPT = "a red house by the lake at night"
# what a sanitizer finds must not be taken for a crash that was asked for
SANITIZERS = {"ASAN_OPTIONS": "exitcode=99:detect_leaks=1", "UBSAN_OPTIONS": "print_stacktrace=1",
              "TSAN_OPTIONS": f"exitcode=98:suppressions={ROOT}/tests/tsan.supp"}


def tiny_model(name="tiny-eps"):
    """The folder of a tiny model with random weights, made once per build."""
    folder = FIXTURES / name
    if not (folder / "model_index.json").exists():
        FIXTURES.mkdir(parents=True, exist_ok=True)
        fresh = tempfile.mkdtemp(dir=BUILD)
        subprocess.run([sys.executable, ROOT / "models" / "fixtures.py", fresh], check=True, stdout=subprocess.DEVNULL)
        for made in pathlib.Path(fresh).iterdir():
            if not (FIXTURES / made.name).exists():
                made.rename(FIXTURES / made.name)
        shutil.rmtree(fresh)
    return folder


def model_row(folder):
    """The row of models.conf that the worker itself prints for the folder."""
    done = subprocess.run([WORKER, "--print-hashes", str(folder)], check=True, capture_output=True, text=True)
    return done.stdout


class Worker:
    """A real darkroom-worker. Settings are given as words: worker(device="ref", slots=2)."""

    def __init__(self, folder, broker, environment=None, wait=True, inside=(), **settings):
        self.folder = folder
        self.name = settings["name"]
        self.log_path = folder / f"{self.name}.log"
        self.environment = {**os.environ, **SANITIZERS, **(environment or {})}
        self.command = [*inside, str(WORKER), "--broker", broker]
        for key, value in settings.items():
            self.command += [f"--{key.replace('_', '-')}", str(value)]
        self.mark = 0
        self.start(wait)

    def start(self, wait=True):
        self.mark = self.log_path.stat().st_size if self.log_path.exists() else 0
        self.log_file = open(self.log_path, "ab")
        self.process = subprocess.Popen(self.command, stdout=self.log_file, stderr=self.log_file, env=self.environment)
        if wait:
            self.wait_for("event=welcomed", 60)

    def log(self, whole=False):
        """What it has logged since it was last started."""
        text = self.log_path.read_bytes()[0 if whole else self.mark:]
        return text.decode("utf-8", "replace")

    def wait_for(self, text, seconds=30):
        def seen():
            assert self.process.poll() is None or text in self.log(), f"the worker ended: {self.log()}"
            return text in self.log()
        until(seen, seconds, f"\"{text}\" in the worker's log:\n{self.log()}")

    def engines(self):
        """Process ids of the engine children that were started, in order."""
        return [int(pid) for pid in re.findall(r"event=engine_started .*pid=(\d+)", self.log())]

    def admin(self, path):
        """(status, body) of its admin port."""
        port = re.search(r"admin_port=(\d+)", self.log()).group(1)
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.read().decode()

    def metric(self, name):
        """The sum of a metric's series."""
        lines = self.admin("/metrics")[1].splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines
                   if re.match(rf"darkroom_{name}(\{{.*\}})? ", line))

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self, seconds=60):
        """Asks it to drain and gives its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        finally:
            self.log_file.close()


class Fleet:
    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="darkroom-fleet-"))
        self.pictures = self.folder / "pictures"
        self.store = f"file://{self.pictures}"
        self.redis = house.Redis()
        self.brokers, self.workers, self.device = [], [], DEVICE
        self.before = 0  # jobs that a story has had done before what it tells of
        self.models = self.folder / "models.conf"
        self.models.write_text(model_row(tiny_model()) + "default = yes\n")

    def broker(self, *extra, **options):
        self.brokers.append(house.Broker(self.redis.url, *extra, **options))
        return self.brokers[-1]

    def endpoints(self):
        return ",".join(broker.endpoint for broker in self.brokers)

    def worker(self, wait=True, environment=None, broker=None, **settings):
        name = settings.pop("name", f"w{len(self.workers) + 1}")
        words = {"models": self.models, "device": DEVICE, "store": self.store, "admin": "127.0.0.1:0",
                 "name": name, "spool": self.folder / f"spool-{name}", "threads": 1, **settings}
        worker = Worker(self.folder, broker or self.endpoints(), environment, wait, **words)
        self.workers.append(worker)
        return worker

    def client(self, *words, broker=None, seconds=120, environment=None, text=True, inside=()):
        """Runs the client; gives the finished process. inside: words that start it (house.inside)."""
        return subprocess.run([*inside, CLIENT, "--broker", broker or self.endpoints(), *map(str, words)], capture_output=True,
                              text=text, timeout=seconds, env={**os.environ, **SANITIZERS, **(environment or {})})

    def ask(self, *words, **options):
        """Runs the client with --json and gives the answer."""
        done = self.client(*words, "--json", **options)
        assert done.returncode == 0, f"{done.args}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout.splitlines()[-1])

    def submit(self, prompt=PROMPT, **settings):
        """Puts a job in and gives its id."""
        words = [word for key, value in settings.items() for word in (f"--{key.replace('_', '-')}", value)]
        return self.ask("submit", prompt, *words)["id"]

    def get(self, job):
        return self.ask("get", job)

    def state(self, job):
        return self.get(job)["state"]

    def wait(self, job, state="succeeded", seconds=90):
        """Waits until the job has ended, holds that it ended like this, and gives its record."""
        ends = ("succeeded", "failed", "cancelled", "expired", "quarantined")
        until(lambda: self.state(job) in ends, seconds, f"the end of {job} ({self.get(job)})")
        record = self.get(job)
        assert record["state"] == state, record
        return record

    def picture(self, image):
        """The bytes of a stored image."""
        return pathlib.Path(image["url"].removeprefix("file://")).read_bytes()

    def stored(self):
        """Every object in the file store."""
        return sorted(str(path.relative_to(self.pictures)) for path in self.pictures.rglob("*") if path.is_file())

    def stop(self):
        codes = [worker.stop() for worker in self.workers]
        for broker in self.brokers:
            broker.clean()
        self.redis.stop()
        for worker in self.workers:
            assert "Sanitizer" not in worker.log(whole=True), worker.log(whole=True)
        return codes

    def clean(self):
        shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def working_fleet():
    """A fleet for one story: afterwards the queue's books must balance and every worker must have left in order."""
    made = Fleet()
    try:
        yield made
        audit = made.redis.audit() if made.redis.process.poll() is None else []
        codes = made.stop()
        assert audit == []
        assert all(code in (0, -9) for code in codes), [worker.log(whole=True) for worker in made.workers]
    finally:
        made.stop()
        made.clean()
