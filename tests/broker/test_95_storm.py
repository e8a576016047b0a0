"""Everything dies at random while work goes on: every job whose id a client was given ends once, with the result of its last
attempt. STORM_SEED=7 repeats one storm; STORM_SECONDS makes it longer."""
import os
import random
import threading
import time

import zmq
from house import PREFIX, Client, Refused, Worker, pb, picture, until


class Restless(threading.Thread):
    """A peer that goes on whatever happens, on whichever broker answers."""

    def __init__(self, storm, number):
        super().__init__(daemon=True)
        self.storm, self.number = storm, number
        self.random = random.Random(storm.seed * 100 + number)
        self.error = None

    def connect(self, kind, *arguments, **options):
        return kind(self.storm.context, self.random.choice(self.storm.brokers).endpoint, *arguments, **options)

    def run(self):
        try:
            self.work()
        except Exception as error:  # shown by the story, which would otherwise only see silence
            self.error = error

    def insist(self, peer, act):
        """Repeats act(peer) until it is answered: the rule for an unknown outcome."""
        while not self.storm.over.is_set():
            try:
                return peer, act(peer)
            except (Refused, AssertionError) as error:
                if isinstance(error, Refused) and error.code not in ("ERROR_UNAVAILABLE", "ERROR_STALE"):
                    raise
                time.sleep(0.05)
                fresh = self.connect(type(peer), **peer.again)
                if isinstance(peer, Worker):
                    fresh.generation = peer.generation
                peer.close()
                peer = fresh
                peer.again = getattr(peer, "again", {}) or self.again
        return peer, None


class Submitter(Restless):
    again = {}

    def work(self):
        client = self.connect(Client)
        client.again = self.again
        for i in range(1000):
            if self.storm.calm.is_set():
                break
            job = f"s{self.number}-{i}"
            client, submitted = self.insist(client, lambda c: c.ask(
                "SUBMIT", pb.Submit(job=pb.Job(prompt="x", id=job, steps=5)), seconds=1.5))
            if submitted is not None:
                self.storm.accepted.append(job)
            time.sleep(0.02)


class Labourer(Restless):
    def work(self):
        self.again = dict(name=f"w{self.number}", hello=False)
        worker = self.connect(Worker, **self.again)
        worker.again = self.again
        worker, _ = self.insist(worker, lambda w: w.hello())
        while not self.storm.over.is_set():
            worker.claim(jobs=2)
            for _ in range(2):
                assign = worker.assigned(0.2)
                if assign is None:
                    break
                worker = self.serve(worker, assign)
            if self.random.random() < 0.1:
                moved = self.connect(Worker, **self.again)
                moved.generation, moved.again = worker.generation, self.again
                worker.close()
                worker = moved
        worker.close()

    def serve(self, worker, assign):
        worker, ack = self.insist(worker, lambda w: self.quick(w, "START", pb.Start, assign))
        if ack in ("OK", "ALREADY"):
            self.storm.ran(assign.job.id, assign.fence)
            result = [picture(0, assign.fence)]
            worker, ack = self.insist(worker, lambda w: self.quick(w, "COMPLETE", pb.Complete, assign, image=result))
        return worker

    @staticmethod
    def quick(worker, verb, message_type, assign, **fields):
        message = message_type(id=assign.job.id, fence=assign.fence, **worker.me(), **fields)
        return pb.AckResult.Name(worker.ask(verb, message, seconds=1.5).result)[len("ACK_"):]


class Storm:
    def __init__(self, seed, redis, brokers):
        self.seed, self.redis, self.brokers = seed, redis, brokers
        self.random = random.Random(seed)
        self.context = zmq.Context()
        self.accepted, self.fences = [], {}
        self.calm, self.over = threading.Event(), threading.Event()

    def ran(self, job, fence):
        self.fences.setdefault(job, []).append(fence)

    def strike(self):
        time.sleep(self.random.uniform(0.1, 0.5))
        kind = self.random.choice(["broker", "broker", "redis", "flush", "pubsub"])
        if kind == "broker":
            victim = self.random.choice(self.brokers)
            victim.kill()
            time.sleep(self.random.uniform(0, 0.2))
            victim.start()
        elif kind == "redis":
            self.redis.kill()
            time.sleep(self.random.uniform(0, 0.3))
            self.redis.start()
        elif kind == "flush":
            self.redis.client.script_flush()
        else:
            self.redis.client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")


def test_storm(redis, brokers):
    seed = int(os.environ.get("STORM_SEED", "1"))
    storm = Storm(seed, redis, [brokers(), brokers()])
    peers = [Submitter(storm, i) for i in range(2)] + [Labourer(storm, i) for i in range(3)]
    for peer in peers:
        peer.start()
    end = time.monotonic() + float(os.environ.get("STORM_SECONDS", "8"))
    while time.monotonic() < end:
        storm.strike()
    storm.calm.set()
    try:
        until(lambda: all(not peer.is_alive() for peer in peers if isinstance(peer, Submitter)), 20)
        done = lambda: (redis.client.zcard(PREFIX + "jobs") == redis.client.zcard(PREFIX + "state:SUCCEEDED") > 0)
        until(done, 45, f"the end of all jobs (seed {seed})")
    finally:
        storm.over.set()
        for peer in peers:
            peer.join(10)
        storm.context.destroy(linger=0)
    assert [peer.error for peer in peers if peer.error] == []
    assert len(storm.accepted) > 20 and len(set(storm.accepted)) == len(storm.accepted)
    for job in storm.accepted:
        record = redis.record(job)
        assert record["state"] == "SUCCEEDED" and int(record["fails"]) == 0
        result = pb.JobStatus.FromString(record["result"])
        assert [image.seed for image in result.images] == [int(record["fence"])], "the result of the live attempt"
        assert storm.fences[job] == sorted(storm.fences[job]) or len(set(storm.fences[job])) == len(storm.fences[job])
    assert int(redis.client.hget(PREFIX + "count", "SUCCEEDED")) == redis.client.zcard(PREFIX + "jobs")
