"""Small-scope exploration: random interleavings of a client, an operator, two workers that also say what they no longer may
or drain, and time, calling the real scripts on a real Redis; after every call the audit and a model of what must hold are checked.

EXPLORER_SEEDS=1000 explores more; EXPLORER_SEED=7 one only. A failure prints its seed and the calls that led to it.
"""
import os
import random

import pytest
from house import PREFIX, Redis

STEPS, JOBS = 80, 16
FOR_EVER = {"SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED"}
TERMINAL = FOR_EVER | {"QUARANTINED"}
ARROWS = {
    ("QUEUED", "ASSIGNED"), ("QUEUED", "CANCELLED"), ("QUEUED", "EXPIRED"),
    ("ASSIGNED", "RUNNING"), ("ASSIGNED", "QUEUED"), ("ASSIGNED", "SUCCEEDED"), ("ASSIGNED", "DELAYED"),
    ("ASSIGNED", "FAILED"), ("ASSIGNED", "CANCELLED"), ("ASSIGNED", "EXPIRED"), ("ASSIGNED", "QUARANTINED"),
    ("RUNNING", "QUEUED"), ("RUNNING", "SUCCEEDED"), ("RUNNING", "DELAYED"), ("RUNNING", "FAILED"), ("RUNNING", "CANCELLED"),
    ("RUNNING", "QUARANTINED"), ("DELAYED", "QUEUED"), ("DELAYED", "CANCELLED"), ("DELAYED", "EXPIRED"),
    ("QUARANTINED", "QUEUED"), ("QUARANTINED", "FAILED"),
}
# One sweep may make two steps of one job: back in line and past its deadline.
TWO_STEPS = {("RUNNING", "EXPIRED")}


class Explorer:
    def __init__(self, redis, seed):
        self.redis, self.seed, self.random, self.calls = redis, seed, random.Random(seed), []
        redis.client.flushall()
        self.jobs = {}          # id -> last seen record
        self.attempts = []      # every (worker, generation, id, fence) that was ever given out
        self.generation = {}
        self.results = {}       # id -> the result that was accepted
        self.lone = {}          # worker -> the suspect it was given last
        self.script("boot", "run")
        self.script("tick")
        for worker in ("w1", "w2"):
            self.hello(worker)

    def script(self, name, *arguments):
        self.calls.append((name, arguments))
        return self.redis.script(name, *arguments)

    @staticmethod
    def tenant(job):
        return "ab"[int(job[1:]) % 2]

    # -- the actors' moves
    def hello(self, worker=None):
        worker = worker or self.random.choice(["w1", "w2"])
        self.generation[worker] = self.script("worker_hello", worker, "b", 4, "m", "hello", "m", "i").decode()

    def submit(self):
        job = f"j{self.random.randrange(JOBS)}"
        deadline = self.random.choice([0, 0, 3000, 20000])
        self.script("submit", job, f"d{deadline}", self.tenant(job), "m", self.random.randrange(3),
                    self.random.choice([64, 128]), self.random.randrange(1, 500), deadline, 1, 20, 4, "-", "bytes")

    def claim(self):
        worker, fresh = self.random.choice(["w1", "w2"]), self.random.randrange(2)
        state = self.worker_state(worker)
        jobs = self.random.randrange(1, 3)
        alone = self.random.choice([(), (jobs, 0), (jobs, 1), (1, 1)])
        held = self.redis.client.smembers(f"{PREFIX}held:{worker}")
        rows = self.script("claim", worker, self.generation[worker], "b", fresh, "m", jobs, self.random.choice([64, 128]), *alone)
        listens = state == "ready" or (fresh and state != "draining")
        word = "STALE" if state is None else "OK" if listens else "WITHHELD"
        assert rows[0].decode() == word, f"{state}, fresh {fresh}: {rows[0]}"
        lone = [row for row in rows[1:] if row[4] == 1]
        assert len(rows) - 1 <= (alone[0] if alone else jobs) and lone in ([], rows[-1:]), "a suspect is the last that is given"
        assert not lone or alone[1:] == (1,) or (not alone and not held and len(rows) == 2), "and only to who will run it alone"
        if not alone and self.lone.get(worker) in {job.decode() for job in held}:
            assert len(rows) == 1, "nobody is put beside it"
        if lone:
            self.lone[worker] = lone[0][0].decode()
        for row in rows[1:]:
            assert (row[4] == 1) == (int(self.redis.record(row[0].decode())["losses"]) > 0), "every suspect, and nobody else"
            fence = int(row[1])
            assert all(fence > int(old[3]) for old in self.attempts), "fences grow"
            self.attempts.append((worker, self.generation[worker], row[0].decode(), row[1].decode()))

    def worker_state(self, worker):
        """None: it was silent for so long that it is forgotten."""
        state = self.redis.client.hget(f"{PREFIX}worker:{worker}", "state")
        return state.decode() if state else None

    def beat(self):
        """An empty word: it lives, and may be draining."""
        worker, draining = self.random.choice(["w1", "w2"]), self.random.randrange(4) == 0
        known = self.worker_state(worker) is not None
        assert self.script("beat", worker, self.generation[worker], "b", int(draining), "", "", "")[0] == int(known)
        assert self.worker_state(worker) == (("draining" if draining else "ready") if known else None)

    def review(self):
        """An operator looks at some job, of those in quarantine if there are any."""
        inside = [row.decode() for row in self.redis.client.zrange(PREFIX + "quarantine", 0, -1)]
        job, verb = self.random.choice(inside * 3 + ["j0", "j1"]), self.random.choice(["requeue", "bury"])
        before = self.redis.record(job)
        word = self.script(verb, job, self.tenant(job))[0].decode()
        if not before:
            assert word == "NOT_FOUND"
        elif before["state"] != "QUARANTINED":
            assert word == "ALREADY" and self.redis.record(job) == before
        else:
            late = int(before.get("deadline", 10 ** 15)) < int(self.redis.client.get(PREFIX + "clk"))
            assert word == ("LATE" if verb == "requeue" and late else "OK")

    def say(self):
        """Something about some attempt, live or long dead."""
        if not self.attempts:
            return
        attempt = self.random.choice(self.attempts[-6:] if self.random.random() < 0.8 else self.attempts)
        forged = self.random.random() < 0.1
        if forged:  # the right fence in the mouth of another worker or generation
            attempt = self.random.choice([("w3", *attempt[1:]), (attempt[0], "99", *attempt[2:])])
        verb = self.random.choice(["start", "start", "start", "beat", "complete", "complete", "fail", "release"])
        before = self.redis.record(attempt[2])
        live = (not forged and before.get("fence") == attempt[3] and before.get("state") in ("ASSIGNED", "RUNNING"))
        if verb == "beat":
            reply = self.script("beat", attempt[0], attempt[1], "b", 0, "", "", "", attempt[2], attempt[3], self.random.randrange(21), 20, "")
            word = "STALE" if reply[0] == 0 else reply[1].decode()
        elif verb == "fail":
            kind = self.random.choice(["RETRY", "RETRY", "PERMANENT", "CRASH", "LOST", "CANCELLED"])
            word = self.script("fail", *attempt, kind, 13, "text", self.random.randrange(1001))[0].decode()
        elif verb == "complete":
            result = f"result-{attempt[3]}"
            word = self.script("complete", *attempt, result)[0].decode()
            if word == "OK":
                assert "cancel" not in before, "a cancel that came first wins"
                assert attempt[2] not in self.results, "one result"
                self.results[attempt[2]] = result
        else:
            word = self.script(verb, *attempt)[0].decode()
            late = int(before.get("deadline", 10 ** 15)) < int(self.redis.client.get(PREFIX + "clk"))
            assert not (verb == "start" and word == "OK" and late), "past its deadline a job never starts"
        if not live:
            assert word in ("STALE", "ALREADY", "CANCELLED", "GONE"), f"{verb} of a dead attempt was answered {word}"
            assert (word == "GONE") == (verb != "beat" and not before), "gone is what has no record"
            assert self.redis.record(attempt[2]) == before, "a dead attempt changes nothing"

    def crash(self):
        """A job takes its worker down: what leads into quarantine."""
        held = [(worker, generation, job, fence) for worker, generation, job, fence in self.attempts
                if self.jobs.get(job, {}).get("fence") == fence and self.jobs[job]["state"] in ("ASSIGNED", "RUNNING")]
        for attempt in held[:1]:
            assert self.script("fail", *attempt, "CRASH", 16, "text", 0)[0] == b"OK"

    def cancel(self):
        job = self.random.choice([attempt[2] for attempt in self.attempts[-3:]] + ["j0", "j1"])
        self.script("cancel", job, self.tenant(job))

    def time(self):
        days = [86400000] if self.redis.client.zcard(PREFIX + "quarantine") else []
        self.redis.client.incrby(PREFIX + "clk", self.random.choice([100, 1000, 6000, 31000, 61000] + days))
        if self.random.random() < 0.7:  # the sweep may come later than whoever else
            self.script("sweep", 500000)

    def gone(self):
        worker = self.random.choice(["w1", "w2"])
        self.script("worker_gone", worker, self.generation[worker], "b")

    def bye(self):
        worker = self.random.choice(["w1", "w2"])
        self.script("worker_bye", worker, self.generation[worker])

    # -- what must hold
    def check(self):
        assert self.redis.audit() == []
        for job in [f"j{i}" for i in range(JOBS)]:
            record, last = self.redis.record(job), self.jobs.get(job)
            if not record:
                self.jobs.pop(job, None)
                self.results.pop(job, None)
                continue
            if last and last["born"] == record["born"]:
                was, now = last["state"], record["state"]
                assert was == now or (was, now) in ARROWS | TWO_STEPS, f"{job}: {was} -> {now} is no arrow"
                assert was not in FOR_EVER or record == last, f"{job} changed after its end"
                assert was != "QUARANTINED" or now != was or record == last, f"{job} changed in quarantine"
                assert int(record["version"]) >= int(last["version"]), "versions grow"
                assert record == last or int(record["version"]) > int(last["version"]) or self.quiet(last, record)
                assert int(record.get("fence", 0)) >= int(last.get("fence", 0))
            assert int(record["fails"]) <= 5 and int(record["crashes"]) <= 3 and int(record["losses"]) <= 10
            same = last and last["born"] == record["born"]
            if same and int(record["crashes"]) > int(last["crashes"]):
                assert last.get("alone") == "1" and last["state"] in ("ASSIGNED", "RUNNING"), "only a death alone counts"
            assert int(record["crashes"]) == 0 or int(record["losses"]) > 0, "who is blamed was a suspect"
            if record["state"] not in TERMINAL:
                assert int(record["fails"]) < 5 and int(record["crashes"]) < 3 and int(record["losses"]) < 10
                assert len(record["crashers"].split()) < 2, "crashed two workers and goes on"
            if record["state"] in ("ASSIGNED", "RUNNING"):
                assert record["generation"] == self.generation[record["worker"]], "held by an older generation"
            if record["state"] == "SUCCEEDED":
                assert record["result"].decode() == self.results[job]
            self.jobs[job] = record

    @staticmethod
    def quiet(last, record):
        """What may change without a new version: the lease and the place in line."""
        return all(last.get(key) == record.get(key) for key in set(last) | set(record) if key not in ("lease", "place", "level"))

    def run(self):
        moves = [self.submit] * 5 + [self.claim] * 4 + [self.say] * 9 + [self.cancel] * 2 + [self.time] * 2 + [
            self.hello, self.gone, self.bye, self.beat, self.beat, self.review, self.crash, self.crash]
        try:
            for _ in range(STEPS):
                self.random.choice(moves)()
                self.check()
            self.drain()
        except Exception:
            print(f"\nEXPLORER_SEED={self.seed}, the last calls:")
            for call in self.calls[-12:]:
                print("  ", *call)
            raise

    def drain(self):
        """From anywhere the queue can be brought to its end: every job ends once, also those in quarantine."""
        self.hello("w1")
        for _ in range(60):
            self.redis.client.incrby(PREFIX + "clk", 40000)
            self.script("sweep", 10 ** 12)
            self.check()
            if self.redis.client.zcard(PREFIX + "ended") == self.redis.client.zcard(PREFIX + "jobs"):
                break
            if self.redis.client.zcard(PREFIX + "quarantine"):
                self.redis.client.incrby(PREFIX + "clk", 3 * 86400000)
                self.hello("w1")
            rows = self.script("claim", "w1", self.generation["w1"], "b", 1, "m", 9, 128)[1:]
            self.check()
            for row in rows:
                self.script("start", "w1", self.generation["w1"], row[0], row[1])
                self.check()
                reply = self.script("complete", "w1", self.generation["w1"], row[0], row[1], b"result-" + row[1])
                if reply[0] == b"OK":
                    self.results[row[0].decode()] = "result-" + row[1].decode()
                self.check()
        assert all(record["state"] in FOR_EVER for record in self.jobs.values()), self.jobs


@pytest.fixture(scope="module")
def fast_redis():
    server = Redis(appendonly="no")
    yield server
    server.stop()


def seeds():
    one = os.environ.get("EXPLORER_SEED")
    return [int(one)] if one else range(int(os.environ.get("EXPLORER_SEEDS", "20")))


def test_explore(fast_redis):
    for seed in seeds():
        Explorer(fast_redis, seed).run()
