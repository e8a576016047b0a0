"""bystanders.py - what 16 clients that ask for the largest LISTs, and read nothing, cost somebody else.

Prints `name value unit`: the p99 of a request alone and beside them, their ratio, and the broker's memory before, with
them and after they have left. Everything else should stand still: the whole of it shares this machine.

    bystanders.py BUILD [SECONDS]
"""
import os
import pathlib
import sys
import time

root = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(root / "tests" / "broker"))
os.environ["DARKROOM_BUILD"] = str(pathlib.Path(sys.argv[1]).resolve())

import raw  # noqa: E402
import zmq  # noqa: E402
from house import Broker, Client, Redis, Worker, pb  # noqa: E402

CROWD, LISTS, JOBS, ROUNDS = 16, 500, 1000, 3
seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 5.0


def p99_ms(ask):
    """Of requests one after the other, with a little pause, as a person's backend would make them."""
    times, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        begun = time.perf_counter()
        ask(len(times))
        times.append((time.perf_counter() - begun) * 1e3)
        time.sleep(0.002)
    return sorted(times)[int(len(times) * 0.99)]


def crowd(endpoint):
    connections = [raw.meet(endpoint)[0] for _ in range(CROWD)]
    asked = b"".join(raw.request("LIST", pb.List(limit=1000), number) for number in range(LISTS))
    for connection in connections:
        connection.setblocking(False)
        try:
            connection.send(asked)
        except BlockingIOError:
            pass
    return connections


def resident_mib(broker):
    pages = pathlib.Path(f"/proc/{broker.process.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE") / 2 ** 20


def median(values):
    return sorted(values)[len(values) // 2]


def main():
    redis = Redis()
    broker = Broker(redis.url)
    context = zmq.Context()
    worker = Worker(context, broker.endpoint)  # says what models there are, and takes nothing
    client = Client(context, broker.endpoint)
    ids = [client.submit(prompt="x" * 16).id for _ in range(JOBS)]
    asks = {"get": lambda n: client.get(ids[n % JOBS]), "submit": lambda _: client.submit(),
            "list": lambda _: client.list(limit=100)}
    before = resident_mib(broker)
    beside_mib = 0
    for name, ask in asks.items():
        alone, beside = [], []
        for _ in range(ROUNDS):
            alone.append(p99_ms(ask))
            connections = crowd(broker.endpoint)
            beside.append(p99_ms(ask))
            beside_mib = max(beside_mib, resident_mib(broker))
            for connection in connections:
                connection.close()
            time.sleep(0.5)
        print(f"bystander_{name}_alone_p99 {median(alone):.2f} ms")
        print(f"bystander_{name}_beside_{CROWD}_lists_p99 {median(beside):.2f} ms")
        print(f"bystander_{name}_ratio {median(beside) / median(alone):.2f} x", flush=True)
    time.sleep(2.5)
    print(f"bystander_broker_rss_before {before:.1f} MiB")
    print(f"bystander_broker_rss_beside {beside_mib:.1f} MiB")
    print(f"bystander_broker_rss_after {resident_mib(broker):.1f} MiB")
    worker.close()
    client.close()
    broker.stop()
    redis.stop()


if __name__ == "__main__":
    main()
