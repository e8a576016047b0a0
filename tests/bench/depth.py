"""Large queues: what a claim, a sweep, a tick cost with many jobs of many tenants waiting, and what many workers and many
watchers cost while nothing happens."""
import os
import resource
import time

import zmq
from stage import Client, Place, Program, Worker, cpu_s, pb, resident_mib, say  # first: it knows where the next is
from door import STANDARD, Door, Job

JOBS = int(os.environ.get("QUEUE_JOBS", "10000"))
TENANTS = int(os.environ.get("QUEUE_TENANTS", "100"))
WORKERS = int(os.environ.get("QUEUE_WORKERS", "2000"))
WATCHES = int(os.environ.get("QUEUE_WATCHES", "10000"))
BEAT_S, HAND, CALLS, REFUSALS = 5, 500, 1000, 2000
RETENTION_MS = 86400000


def fill(door, jobs, tenants, klass=STANDARD):
    """Small prompts of many tenants, each a cost of its own."""
    for first in range(0, jobs, HAND):
        rows = [Job(f"deep-{n}", f"t{n % tenants}", klass, 1000 + n % 97, 512) for n in range(first, min(first + HAND, jobs))]
        assert all(door.submit(rows))


def p99(values):
    return values[len(values) * 99 // 100]


def say_calls(redis, door):
    """Server-side times, without the disk, which all calls of a turn share."""
    generation = door.hello(["deep"], slots=CALLS)
    calls = min(CALLS, JOBS // 2)

    def claims():
        for _ in range(calls):
            door.claim(["deep"], generation)
    spent = redis.durations_us(claims)
    say("queue_deep_claim_p50", spent[len(spent) // 2] / 1e3, "ms")
    say("queue_deep_claim_p99", p99(spent) / 1e3, "ms")
    for name, arguments in (("sweep", (RETENTION_MS,)), ("tick", ())):
        spent = redis.durations_us(lambda: [door.call(name, *arguments) for _ in range(100)])
        say(f"queue_deep_{name}_p50", spent[len(spent) // 2] / 1e3, "ms")
        say(f"queue_deep_{name}_p99", p99(spent) / 1e3, "ms")


def run_jobs(place, count):
    load = Program(os.path.join(os.environ["DARKROOM_BUILD"], "tests", "bench", "bench_queue"), place.broker.endpoint, "jobs",
                   "unwatched", count, 64, 50)
    return count / load.run()["seconds"]


def deep(parts, count):
    """The rate beside that of an empty queue in the same minute, three times in turn."""
    with Place() as place, Place() as empty:
        door, before = Door(place.redis.client), place.redis.counters()
        begun = time.monotonic()
        fill(door, JOBS, TENANTS)
        say("queue_deep_jobs", JOBS, f"jobs of {TENANTS} tenants")
        say("queue_deep_filled", JOBS / (time.monotonic() - begun), "jobs/s")
        after = place.redis.counters()
        say("queue_deep_memory", (after["memory"] - before["memory"]) / JOBS, "B/job, its own 300 within")
        if "depth" in parts:
            say_calls(place.redis, door)
            ratios = [run_jobs(place, count) / run_jobs(empty, count) for _ in range(3)]
            say("queue_deep_rate_over_empty", sorted(ratios)[1], "ratio")
        if "restart" in parts:
            say("queue_deep_restart", place.redis.restart(), "s")


def spent_s(place, act):
    """Processor time of broker and Redis together while act goes on, and how long that was."""
    before, begun = sum(cpu_s(pid) for pid in place.pids), time.monotonic()
    act()
    return sum(cpu_s(pid) for pid in place.pids) - before, time.monotonic() - begun


def idle_share(place, seconds=2):
    spent, lasted = spent_s(place, lambda: time.sleep(seconds))
    return spent / lasted


def beats():
    """Each on a connection of its own, with nothing to do: a BEAT of each, and what that is of BEAT_S seconds of a core, however
    long it took here. What broker and Redis do without them is within."""
    context = zmq.Context()
    context.set(zmq.MAX_SOCKETS, WORKERS + 100)
    with Place() as place:
        alone = idle_share(place)
        workers = [Worker(context, place.broker.endpoint, name=f"w{n}") for n in range(WORKERS)]

        def round_of_beats():
            begun = time.monotonic()
            for n, worker in enumerate(workers):
                time.sleep(max(0, begun + n * BEAT_S / WORKERS - time.monotonic()))
                worker.send("BEAT", pb.Beat(**worker.me()))
            for worker in workers:
                verb = worker.receive(30)[0]
                assert verb == "ORDERS", verb
        spent, lasted = spent_s(place, round_of_beats)
        say("queue_beats_workers", WORKERS, f"workers, a beat each in {BEAT_S} s")
        say("queue_beats_share", (spent - alone * (lasted - BEAT_S)) / BEAT_S * 100, "% of a core")
        say("queue_beats_share_idle", alone * 100, "% of a core, without workers")
        say("queue_beats_broker", resident_mib(place.broker.process.pid), "MiB")
    context.destroy(linger=0)


def refusals():
    """A full queue, and clients that go on: how long a refusal takes with 64 asked at once, ten times what is taken."""
    context = zmq.Context()
    with Place("--queue-max", "100") as place:
        worker = Worker(context, place.broker.endpoint, name="none")
        client, asked, took = Client(context, place.broker.endpoint), {}, []
        for n in range(100 + REFUSALS):
            asked[client.send("SUBMIT", pb.Submit(job=pb.Job(prompt="x" * 292, model="demo")))] = time.perf_counter()
            while len(asked) >= (64 if n < 99 + REFUSALS else 1):
                verb, number, _ = client.receive(30)
                if verb == "ERROR":
                    took.append((time.perf_counter() - asked[number]) * 1e3)
                del asked[number]
        assert len(took) == REFUSALS, f"{len(took)} of {REFUSALS} were refused"
        took.sort()
        say("queue_refusal_p50", took[len(took) // 2], "ms")
        say("queue_refusal_p99", p99(took), "ms")
        worker.close()
    context.destroy(linger=0)


def watchers(count):
    """Jobs that wait, and are watched: what that costs while nothing happens, and the rate of others beside them."""
    context = zmq.Context()
    with Place() as place, Place() as empty:
        alone = idle_share(place)
        worker = Worker(context, place.broker.endpoint, name="none")  # says what models there are, and takes nothing
        clients = [Client(context, place.broker.endpoint) for _ in range((WATCHES + 999) // 1000)]
        for n in range(WATCHES):
            clients[n // 1000].submit(watch=True, model="demo")
        say("queue_watched", WATCHES, f"jobs by {len(clients)} connections")
        say("queue_watched_share", idle_share(place, 4) * 100, "% of a core")
        say("queue_watched_share_idle", alone * 100, "% of a core, nobody there")
        say("queue_watched_broker", resident_mib(place.broker.process.pid), "MiB")
        ratios = [run_jobs(place, count) / run_jobs(empty, count) for _ in range(3)]
        say("queue_watched_rate_over_empty", sorted(ratios)[1], "ratio")
        worker.close()
    context.destroy(linger=0)


def measure(parts, count):
    if {"depth", "restart"} & set(parts):
        deep(parts, count)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if "refusals" in parts:
        refusals()
    if "beats" in parts:
        beats()
    if "watchers" in parts:
        watchers(count)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
