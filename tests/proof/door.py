"""The one place where simulator, storm and measurements speak to the broker's scripts: how a script is called and what its
answer's positions mean is said here and nowhere else beside the broker.

Everything is done to many at once, in one round trip, and time moves only when advance() says so.
"""
import collections
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "broker"))
from house import LUA, OPS, PREFIX, pb, source  # noqa: E402

INTERACTIVE, STANDARD, BULK = 0, 1, 2
MODEL = "null"
PROMPT = "x" * 292
TURN_OPS = 32  # of one call
SWEEPS_MAX = 10
LEAN = "watch" in OPS  # the lean record: jobs by tenant/id, and a turn begins with who asks and answers with what was told

Job = collections.namedtuple("Job", "id tenant klass cost side")
class Attempt(collections.namedtuple("Attempt", "worker generation name fence")):
    """A job's name inside the queue may hold its tenant's; its id is what the client said."""

    @property
    def id(self):
        return self.name.rpartition("/")[2]




def pack(job):
    """What a broker would hand to a worker."""
    return pb.Job(id=job.id, model=MODEL, prompt=PROMPT).SerializeToString()


class Door:
    """client: a redis.Redis of the queue's server."""

    def __init__(self, client):
        self.client = client
        names = {path.stem for path in LUA.glob("*.lua")}
        self.sha = {name: client.script_load(source(name)) for name in names}

    def calls(self, name, rows):
        """The script for each row of arguments, in one round trip; a refusal is raised. An op goes with others of its kind, as in
        the turn of a broker."""
        pipe = self.client.pipeline(transaction=False)
        if name not in OPS:
            for row in rows:
                pipe.execute_command("EVALSHA", self.sha[name], 0, *row)
            return pipe.execute()
        for first in range(0, len(rows), TURN_OPS):
            words = [word for row in rows[first:first + TURN_OPS] for word in (name, len(row), *row)]
            pipe.execute_command("EVALSHA", self.sha[OPS[name]], 0, *(["nobody"] if LEAN else []), *words)
        replies = [reply for turn in pipe.execute() for reply in turn[1 if LEAN else 0:]]
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        return replies

    def call(self, name, *arguments):
        return self.calls(name, [arguments])[0]

    # -- time
    def boot(self):
        self.call("boot", "run")
        self.call("tick")

    def advance(self, ms):
        self.client.incrby(PREFIX + "clk", int(ms))

    def sweep(self, retention_ms=3600000):
        """Does what is due, with as many calls as brokers make in half a second; how many it took."""
        for calls in range(1, SWEEPS_MAX + 1):
            if self.call("sweep", retention_ms)[0] == 0:
                break
        return calls

    # -- a broker's words
    def hello(self, workers, slots=1, max_side=2048):
        """Generations, by worker."""
        rows = [(worker, "b1", slots, MODEL, b"hello", MODEL, b"info") for worker in workers]
        return {worker: answer.decode() for worker, answer in zip(workers, self.calls("worker_hello", rows))}

    def beat(self, workers, generation):
        self.calls("beat", [(worker, generation[worker], "b1", 0, "", b"", "") for worker in workers])

    def submit(self, jobs):
        """Whether each was accepted."""
        rows = [(f"{job.tenant}/{job.id}", "digest", MODEL, job.klass, job.side, job.cost, 0, 7, 20, 10 ** 9, "b1", 0, pack(job), "")
                if LEAN else
                (job.id, "digest", job.tenant, MODEL, job.klass, job.side, job.cost, 0, 7, 20, 10 ** 9, "b1", pack(job))
                for job in jobs]
        answers = self.calls("submit", rows)
        assert all(answer[0] in (b"QUEUED", b"FULL") for answer in answers), answers
        return [answer[0] == b"QUEUED" for answer in answers]

    def claim(self, workers, generation, jobs=1, side=2048):
        """An Attempt or None for each worker."""
        answers = self.calls("claim", [(worker, generation[worker], "b1", 1, MODEL, jobs, side) for worker in workers])
        assert all(answer[0] == b"OK" for answer in answers), answers
        return [Attempt(worker, generation[worker], answer[1][0].decode(), answer[1][1].decode()) if len(answer) > 1 else None
                for worker, answer in zip(workers, answers)]

    def start(self, attempts):
        return [answer[0].decode() for answer in self.calls("start", attempts)]

    def complete(self, attempts, device_ms=None):
        """device_ms: what each took, for scripts that charge it."""
        return [answer[0].decode() for answer in self.calls("complete", [(*attempt, b"r" * 150) for attempt in attempts])]

    # -- what it says of itself
    def audit(self):
        return [line.decode() for line in self.call("audit")]
