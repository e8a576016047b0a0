"""What run-bench-queue measures with: Redis and a broker of its own, programs that speak as stage.h says, their processor
time to the nanosecond, and what Redis counts of itself."""
import os
import pathlib
import socket
import subprocess
import sys
import threading
import time

import zmq

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "broker"))
sys.path.insert(0, str(ROOT / "tests" / "proof"))

from house import BUILD, Broker, Client, Redis, Refused, Worker, pb, until  # noqa: E402, F401

PATIENCE_S = 120


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server(Redis):
    """A private Redis that keeps all it acknowledges, and does not rewrite its file in between. A port for peers that know no
    unix sockets."""

    def __init__(self, *extra):
        self.port = free_port()
        super().__init__("--port", str(self.port), "--bind", "127.0.0.1", "--auto-aof-rewrite-percentage", "0", *extra)

    def counters(self):
        """What of Redis grows by work: bytes of memory and of its file, commands, and microseconds inside scripts."""
        client, calls = self.client, self.client.info("commandstats")
        scripts = [calls.get(f"cmdstat_{name}", {"calls": 0, "usec": 0}) for name in ("evalsha", "fcall")]
        commands = sum(row["calls"] for name, row in calls.items() if name not in ("cmdstat_evalsha", "cmdstat_fcall",
                                                                                   "cmdstat_info", "cmdstat_ping"))
        return {"memory": client.info("memory")["used_memory"], "file": client.info("persistence")["aof_current_size"],
                "commands": commands, "script_us": sum(row["usec"] for row in scripts),
                "calls": sum(row["calls"] for row in scripts)}

    def restart(self):
        """Killed and started again: the seconds until it has read its file."""
        self.kill()
        begun = time.monotonic()
        self.process = subprocess.Popen(["redis-server", *self.options], stdout=subprocess.DEVNULL)
        until(self.answers, 600, "a Redis that has read its file")
        return time.monotonic() - begun

    def durations_us(self, act, sha=None):
        """Server-side microseconds of the scripts that act() calls, shortest first; of all or of one."""
        self.client.config_set("slowlog-max-len", 100000)
        self.client.config_set("slowlog-log-slower-than", 0)
        self.client.slowlog_reset()
        act()
        self.client.config_set("slowlog-log-slower-than", -1)
        rows = self.client.slowlog_get(100000)
        words = [(row["command"].split(b" ", 2), row["duration"]) for row in rows]
        return sorted(us for word, us in words if word[0] == b"EVALSHA" and (sha is None or word[1] == sha.encode()))


def cpu_s(pid):
    """Processor time of a process so far, of all its threads that live."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        try:
            total += int((task / "schedstat").read_text().split()[0])
        except FileNotFoundError:
            pass  # a thread has just left
    return total / 1e9


def busy():
    """The part of the machine's processors that is in use just now."""
    def times():
        numbers = [int(word) for word in pathlib.Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
        return sum(numbers), numbers[3] + numbers[4]
    total, idle = times()
    time.sleep(0.2)
    total_now, idle_now = times()
    return 1 - (idle_now - idle) / max(1, total_now - total)


def resident_mib(pid):
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2 ** 20


class Program:
    """A measured program, warm and waiting."""

    def __init__(self, *words, **environment):
        self.process = subprocess.Popen([str(word) for word in words], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, bufsize=1, env=dict(os.environ, **environment))
        self.words = words
        self.pids = [int(word) for word in self.line().split()[1:]]

    def line(self):
        patience = threading.Timer(PATIENCE_S, self.process.kill)
        patience.start()
        line = self.process.stdout.readline()
        patience.cancel()
        if not line:
            raise SystemExit(f"{self.words} has ended, or was silent for {PATIENCE_S} s: {self.process.wait()}")
        return line.rstrip()

    def run(self, others=(), server=None):
        """Lets it work; what it tells, and under `cpu` the seconds of each process (others: pids of servers), under `grown`
        how much the server's counters grew."""
        pids = [*self.pids, *others]
        counted = server.counters() if server else {}
        before = {pid: cpu_s(pid) for pid in pids}
        self.process.stdin.write("go\n")
        told = {}
        while (line := self.line()) != "done":
            name, value = line.split()
            told[name] = float(value)
        told["cpu"] = {pid: cpu_s(pid) - before[pid] for pid in pids}
        told["grown"] = {name: value - counted[name] for name, value in server.counters().items()} if server else {}
        self.process.stdin.close()
        self.process.wait(PATIENCE_S)
        return told


def as_deployed():
    """How deploy/redis.conf has Redis keep a record; the rest of it is said by house.py, or is only for a machine of its own."""
    rows = [line.split() for line in (ROOT / "deploy" / "redis.conf").read_text().splitlines() if line.startswith("hash-")]
    assert rows, "deploy/redis.conf says how records are kept"
    return [word for name, value in rows for word in (f"--{name}", value)]


class Place:
    """Redis and a broker on it."""

    def __init__(self, *settings):
        self.redis = Server(*as_deployed())
        self.broker = Broker(self.redis.url, "--log-level", "warning", *settings, wait=False)
        context = zmq.Context()
        client = Client(context, self.broker.endpoint)
        until(lambda: self.is_up(client), 20, "a broker that has reached its Redis")
        context.destroy(linger=0)

    def is_up(self, client):
        if self.broker.process.poll() is not None:
            raise SystemExit("the broker does not start: " + self.broker.log())
        try:
            return client.ask("STATUS", pb.Status()) is not None
        except (Refused, AssertionError):
            return False

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        try:
            self.broker.clean()
        finally:
            self.redis.stop()

    @property
    def pids(self):
        return self.redis.process.pid, self.broker.process.pid


def median(values):
    ordered = sorted(values)
    return ordered[len(ordered) // 2] if len(ordered) % 2 else sum(ordered[len(ordered) // 2 - 1:][:2]) / 2


def say(name, value, unit):
    print(f"{name} {value:.4g} {unit}" if abs(value) < 1000 else f"{name} {value:.0f} {unit}", flush=True)
