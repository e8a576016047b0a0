"""Who is next: classes, ageing, fairness between tenants. Where tenants matter the scripts are called themselves, because
connections do not name tenants yet."""
from collections import Counter

from house import Client, Worker, pb

RETENTION = 86400000


def test_classes_then_age(worker, client):
    jobs = {name: client.submit(priority=getattr(pb, "PRIORITY_" + name)).id for name in ("BULK", "STANDARD", "INTERACTIVE")}
    later = client.submit(priority=pb.PRIORITY_INTERACTIVE).id
    assert client.get(jobs["BULK"]).position == 3 and client.get(jobs["INTERACTIVE"]).position == 0
    order = [worker.take_job().job.id for _ in range(4)]
    assert order == [jobs["INTERACTIVE"], later, jobs["STANDARD"], jobs["BULK"]]


def test_waiting_moves_up_one_class_a_minute(redis, worker, client):
    bulk = client.submit(priority=pb.PRIORITY_BULK).id
    redis.pass_time(60001)
    standard = client.submit().id
    assert "served as class standard" in " ".join(client.explain(bulk))
    redis.pass_time(60001)
    interactive = client.submit(priority=pb.PRIORITY_INTERACTIVE).id
    assert [worker.take_job().job.id for _ in range(3)] == [bulk, standard, interactive]


def test_who_moves_up_stands_behind_those_already_there(redis, worker, client):
    bulk = client.submit(priority=pb.PRIORITY_BULK).id
    standard = client.submit().id
    redis.client.incrby("dk:clk", 59000)
    redis.script("sweep", RETENTION)
    redis.client.zadd("dk:ageing", {standard: 10 ** 9})  # it stays where it is: only one of the two is to move
    redis.pass_time(1001)
    assert [worker.take_job().job.id for _ in range(2)] == [standard, bulk]


def test_positions_are_told_as_they_change(worker, client):
    first, second = client.submit().id, client.submit(watch=True).id
    assert client.event("QUEUED", second).position == 1
    worker.take_job()
    assert client.event("QUEUED", second).position == 0


class Lines:
    """The scripts, with tenants."""

    def __init__(self, redis):
        self.redis, self.number = redis, 0
        redis.script("tick")
        self.generation = redis.script("worker_hello", "w", "b", 9, "m", "hello", "m", "info").decode()

    def submit(self, tenant, cost=100, level=1, model="m", count=1):
        for _ in range(count):
            self.number += 1
            self.redis.script("submit", f"{tenant}-{self.number}", "d", tenant, model, level, 64, cost, 0, 1, 20, 10 ** 6, "-", "j")

    def claim(self, count, model="m"):
        rows = self.redis.script("claim", "w", self.generation, "b", 1, model, count, 64)[1:]
        return [row[0].decode().split("-")[0] for row in rows]


def test_tenants_take_turns(redis):
    lines = Lines(redis)
    lines.submit("greedy", count=30)
    lines.submit("modest", count=3)
    assert Counter(lines.claim(6)) == {"greedy": 3, "modest": 3}
    assert Counter(lines.claim(5)) == {"greedy": 5}


def test_tenants_share_by_cost_not_by_count(redis):
    lines = Lines(redis)
    lines.submit("large", cost=300, count=20)
    lines.submit("small", cost=100, count=60)
    taken = Counter()
    for _ in range(8):
        taken.update(lines.claim(4))
    assert abs(taken["large"] * 300 - taken["small"] * 100) <= 2 * 300


def test_an_idle_tenant_saves_up_nothing(redis):
    lines = Lines(redis)
    lines.submit("busy", count=40)
    lines.claim(20)
    lines.submit("late", count=40)
    assert Counter(lines.claim(10)) == {"busy": 5, "late": 5}


def test_fairness_is_over_all_models_of_a_level(redis):
    lines = Lines(redis)
    lines.submit("both", count=10, model="m")
    lines.submit("both", count=10, model="n")
    lines.submit("one", count=20, model="m")
    taken = Counter()
    for _ in range(6):
        taken.update(lines.claim(1, "m") + lines.claim(1, "n"))
    assert taken["one"] >= 5, taken


def test_a_hand_back_is_not_charged(redis):
    lines = Lines(redis)
    lines.submit("a", count=10)
    lines.submit("b", count=10)
    for _ in range(5):
        row = redis.script("claim", "w", lines.generation, "b", 1, "m", 1, 64)[1]
        assert row[0].startswith(b"a"), "its turn comes again"
        redis.script("release", "w", lines.generation, row[0], row[1])
    assert Counter(lines.claim(4)) == {"a": 2, "b": 2}


def test_a_job_is_its_tenants_alone(redis):
    lines = Lines(redis)
    lines.submit("mine")
    for script in ("get", "cancel", "explain", "bury", "requeue"):
        assert redis.script(script, "mine-1", "other") in ([], [b"NOT_FOUND"]), script
        assert redis.script(script, "mine-1", "mine") not in ([], [b"NOT_FOUND"]), script


def test_a_thousand_too_large_do_not_block_for_ever(redis):
    lines = Lines(redis)
    for i in range(150):
        redis.script("submit", f"big-{i}", "d", "t", "m", 1, 512, 1, 0, 1, 20, 10 ** 6, "-", "j")
    lines.submit("other")
    assert (lines.claim(1) or lines.claim(1)) == ["other"], "what one claim cannot look at the next one does"
    assert len(redis.script("claim", "w", lines.generation, "b", 1, "m", 100, 512)[1:]) <= 100


def test_a_small_worker_behind_large_jobs_gets_what_fits_it(redis):
    """Of the same tenant, in the same line, and in a lower class: each claim goes on where the last one ended."""
    lines = Lines(redis)
    for level in (0, 1):
        for i in range(260):
            redis.script("submit", f"big-{level}-{i}", "d", "t", "m", level, 512, 1, 0, 1, 20, 10 ** 6, "-", "j")
        lines.submit("t", level=level)
    got = []
    for _ in range(10):
        got += lines.claim(4)
    assert got == ["t", "t"]
    redis.script("submit", "late", "d", "t", "m", 0, 64, 1, 0, 1, 20, 10 ** 6, "-", "j")
    got = [lines.claim(1) for _ in range(8)]
    assert ["late"] in got, "and begins at the front again"
    assert not any(field.startswith(b"past:") for field in redis.client.hkeys("dk:worker:w")) or lines.claim(1) == []


def test_what_goes_back_before_where_a_claim_ended_is_found(redis):
    """A hand-back keeps its place, which a small worker may have passed among the large jobs by now."""
    lines = Lines(redis)
    lines.submit("t")
    for i in range(150):
        redis.script("submit", f"big-{i}", "d", "t", "m", 1, 512, 1, 0, 1, 20, 10 ** 6, "-", "j")
    row = redis.script("claim", "w", lines.generation, "b", 1, "m", 1, 64)[1]
    assert [lines.claim(1) for _ in range(2)] == [[], []], "two claims look at all of the line"
    redis.script("release", "w", lines.generation, row[0], row[1])
    assert ["t"] in [lines.claim(1) for _ in range(2)]


def test_a_claim_gives_no_more_than_its_total_over_all_models(redis):
    lines = Lines(redis)
    for model in ("m", "n"):
        lines.submit("t", model=model, count=4)
    rows = redis.script("claim", "w", lines.generation, "b", 1, "m", 2, 64, "n", 2, 64, 2)[1:]
    assert [row[0] for row in rows] == [b"t-1", b"t-2"], "the oldest first, of whatever model, two in all"
    assert len(redis.script("claim", "w", lines.generation, "b", 1, "m", 2, 64, "n", 2, 64)[1:]) == 4, "else the sum"


def test_no_model_waits_for_ever_behind_another(redis):
    """A slot is granted once for all models: then their jobs stand in one order."""
    lines = Lines(redis)
    lines.submit("t", model="m", count=2)
    lines.submit("t", model="n")
    lines.submit("t", model="m", count=20)
    taken = []
    for _ in range(3):
        taken += redis.script("claim", "w", lines.generation, "b", 1, "m", 1, 64, "n", 1, 64, 1)[1:]
    assert [row[0] for row in taken] == [b"t-1", b"t-2", b"t-3"]


def test_credits_of_the_most_models_that_a_worker_may_have(redis, broker, peers, client):
    models = [f"m{number}" for number in range(64)]
    worker = peers(Worker, broker, "many", models=tuple(models))
    jobs = [client.submit(model=models[number]).id for number in (0, 16, 17, 63)]
    credit = [pb.Credit(model=model, jobs=2, max_side=256) for model in models]
    worker.send("CLAIM", pb.Claim(credit=credit, jobs=3, **worker.me()))
    assert [worker.assigned().job.id for _ in range(3)] == jobs[:3]
    assert worker.assigned(0.5) is None, "three in all"


def test_a_fleet_of_many_workers_and_models_is_known_whole(redis, broker, peers, client):
    """Who was heard last is no part of the fleet, and models stay known when many have come and gone."""
    many = 260
    large = peers(Worker, broker, "large", models=("wide",), max_side=512)
    for number in range(many):
        redis.script("worker_hello", f"w{number}", "b", 9, "", pb.Hello(worker=f"w{number}", device=["cpu"], model=[
            pb.ModelInfo(id=f"m{number}", default_side=64, max_side=128), pb.ModelInfo(id="wide", default_side=64, max_side=128)
        ]).SerializeToString(), f"m{number}", pb.ModelInfo(id=f"m{number}", default_side=64, max_side=128).SerializeToString(),
            "wide", pb.ModelInfo(id="wide", default_side=64, max_side=128).SerializeToString())
    answer = client.ask("STATUS")
    assert answer.workers == len(answer.worker) == many + 1
    assert len(client.ask("MODELS").model) == many + 1
    job = client.submit(model="wide", width=512, height=512).id  # only the worker that was heard first can do it
    assert large.take_job().job.id == job
    assert client.submit(model=f"m{many - 1}").id and client.submit(model="m0").id


def test_models_that_nobody_has_any_more_are_forgotten_only_when_there_are_too_many(redis):
    for number in range(600):
        redis.script("worker_hello", "w", "b", 9, "", "hello", f"m{number}", "info")
    kept = redis.client.hkeys("dk:models")
    assert len(kept) <= 512 and b"m599" in kept and b"m0" not in kept
    redis.client.hdel("dk:models", *kept)


def test_sweep_is_bounded_and_reaches_the_end(redis):
    lines = Lines(redis)
    for i in range(250):
        redis.script("submit", f"d-{i}", "d", "t", "m", 1, 64, 1, 10, 1, 20, 10 ** 6, "-", "j")
    redis.client.incrby("dk:clk", 100)
    passes = [redis.script("sweep", RETENTION) for _ in range(3)]
    assert [p[3] for p in passes] == [100, 100, 50] and [p[0] for p in passes] == [1, 1, 0]


def test_stray_index_rows_are_named_and_do_no_harm(redis):
    lines = Lines(redis)
    lines.submit("t")
    redis.client.zadd("dk:leases", {"ghost": 1})
    redis.client.zadd("dk:delayed", {"ghost": 1})
    redis.client.zadd("dk:ready:1:t:m", {"ghost": 0})
    assert len(redis.audit()) >= 3
    redis.pass_time(1000)
    assert lines.claim(2) == ["t"]
