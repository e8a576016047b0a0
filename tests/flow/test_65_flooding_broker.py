"""A broker that floods its peers and leaves in the middle: it ends no client and no worker, and the next broker is asked."""
import os
import socket
import threading

import pytest
from fleet import house, pb, until  # noqa: F401 (house puts the broker stories' modules on the path)

import raw

LIMIT = 60


def junk(count, size=0):
    """Answers that nobody asked for, with a PING among them, as a heartbeat of the broker would leave it."""
    header = raw.frame(b"DK" + bytes([1, 98]) + (2**63).to_bytes(8, "little"), more=True)
    return (header + raw.frame(bytes(size))) * count + raw.ping(1) + header + raw.frame(b"")


class Flooder:
    """Greets as a ROUTER would, hears one request, says what it has to say, and hangs up; as often as somebody comes."""

    def __init__(self, path, data, times):
        self.endpoint, self.data, self.times = f"ipc://{path}", data, times
        self.met = 0
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(8)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.met += 1
            try:
                connection.settimeout(5)
                connection.sendall(raw.GREETING + raw.ready(b"ROUTER"))
                frames = raw.Frames(connection)
                frames.bytes(64)
                while not frames.next()[1].startswith(b"DK"):
                    pass
                for _ in range(self.times):
                    connection.sendall(self.data)
            except (OSError, EOFError):
                pass                                       # it had enough of us
            connection.close()

    def close(self):
        self.listener.close()


@pytest.fixture(params=["small", "large", "few"])
def flooder(request, fleet):
    data, times = {"small": (junk(4000), 200), "large": (junk(20, 200000), 100), "few": (junk(3000), 1)}[request.param]
    flooding = Flooder(fleet.folder / "flood.sock", data, times)
    yield flooding
    flooding.close()


def test_a_client_is_answered_by_the_next(fleet, flooder):
    broker = fleet.broker()
    done = fleet.client("--patience-ms", "20000", "status", broker=f"{flooder.endpoint},{broker.endpoint}", seconds=LIMIT)
    assert done.returncode == 0, (done.returncode, done.stderr)
    assert flooder.met >= 1


def test_a_client_gives_up_when_there_is_no_other(fleet, flooder):
    done = fleet.client("--patience-ms", "3000", "status", broker=flooder.endpoint, seconds=LIMIT)
    assert done.returncode == 69, (done.returncode, done.stderr)


def test_a_client_that_follows_a_job_goes_on_elsewhere(fleet, flooder):
    broker = fleet.broker()
    fleet.worker(broker=broker.endpoint)
    done = fleet.client("generate", "a lake", "--steps", "2", "-o", str(fleet.folder / "out.png"),
                        broker=f"{flooder.endpoint},{broker.endpoint}", seconds=LIMIT)
    assert done.returncode == 0, (done.returncode, done.stderr)


def test_a_worker_goes_on_elsewhere(fleet, flooder):
    broker = fleet.broker()
    worker = fleet.worker(broker=f"{flooder.endpoint},{broker.endpoint}")
    assert flooder.met >= 1
    fleet.wait(fleet.submit(steps=2))
    with open(f"/proc/{worker.process.pid}/status", encoding="utf-8") as status:
        peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    assert peak < 512 * 1024, "KiB: what floods in is not kept"
    assert worker.stop(LIMIT) == 0
