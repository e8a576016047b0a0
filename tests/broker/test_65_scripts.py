"""A script changes everything it means to, or nothing: Redis undoes no half of it.

Each script is run where it would have work to do, as a user who may not run one of its commands, over records that are not
whole, and in a full Redis.
"""
import re

import pytest
import redis as redis_client
from house import LUA, OPS, PREFIX, Redis, run_script, source

FLAVOURS = {"admit", "work", "look"}
# What is called by its name: the scripts, and the ops of a turn.
SCRIPTS = {path.stem: source(path.stem) for path in LUA.glob("*.lua") if path.stem not in FLAVOURS}
SCRIPTS.update({op: source(flavour) for op, flavour in OPS.items()})
READERS = {name for name, text in SCRIPTS.items() if "no-writes" in text.splitlines()[0]}
# They read and raise or write what cannot be half written.
UNCHANGING = {"trial"}


@pytest.fixture
def redis():
    """Keeps nothing: some thousand small queues are built here."""
    server = Redis(appendonly="no")
    yield server
    server.stop()


class Queue:
    """A queue in which every script has something to do: jobs in every state, two workers."""

    def __init__(self, redis):
        self.redis = redis
        redis.client.flushall()
        self.run("boot", "run1")
        self.run("tick")
        self.generation = self.run("worker_hello", "w1", "b1", 9, "demo", b"hello", "demo", b"info").decode()
        for name in ("run", "done", "sent", "wait", "late", "bad", "aged"):
            self.submit(name)
        self.fence = {}
        for name in ("run", "done", "sent"):
            given = self.run("claim", "w1", self.generation, "b1", 1, "demo", 1, 512)
            self.fence[name] = given[1][1].decode()
            assert given[1][0].decode() == name
        for name in ("run", "done"):
            self.run("start", *self.lease(name))
        self.run("complete", *self.lease("done"), b"result")
        redis.client.hset(PREFIX + "job:bad", mapping={"state": "QUARANTINED", "ended": "1", "finished_us": "1"})
        for index in ("ready:1:t:demo", "state:QUEUED", "ageing", "deadlines"):
            redis.client.zrem(PREFIX + index, "bad")
        redis.client.zadd(PREFIX + "state:QUARANTINED", {"bad": redis.client.hget(PREFIX + "job:bad", "born")})
        redis.client.zadd(PREFIX + "quarantine", {"bad": 259200001})
        redis.client.hincrby(PREFIX + "count", "QUARANTINED", 1)
        redis.client.hincrby(PREFIX + "count", "depth:1", -1)
        assert redis.audit() == []

    def run(self, name, *arguments, client=None):
        return run_script(client or self.redis.client, name, *arguments)

    def submit(self, name, client=None):
        return self.run("submit", name, "digest", "t", "demo", 1, 512, 10, 1000000, 7, 20, 100, "b1", b"job", client=client)

    def lease(self, name):
        return "w1", self.generation, name, self.fence[name]

    def arguments(self, name):
        lease = self.lease("run")
        return {
            "submit": ("new", "digest", "t", "demo", 1, 512, 10, 0, 7, 20, 100, "b1", b"job"),
            "claim": ("w1", self.generation, "b1", 1, "demo", 2, 512),
            "start": self.lease("sent"), "release": lease, "complete": (*lease, b"result"),
            "fail": (*lease, "RETRY", 13, "it did not work", 500),
            "beat": ("w1", self.generation, "b1", 0, "", b"devices", "cordon", "run", self.fence["run"], 3, 20, b"image"),
            "cancel": ("wait", "t"), "requeue": ("bad", "t"), "bury": ("bad", "t"), "get": ("wait", "t"),
            "explain": ("wait", "t"), "list": ("", "t", 0, 10),
            "worker_hello": ("w1", "b1", 9, "demo", b"hello", "demo", b"info"),
            "worker_bye": ("w1", self.generation), "worker_gone": ("w1", self.generation, "b1"),
            "boot": ("run2",), "tick": (), "sweep": (1,), "stats": (), "fleet": (1,), "audit": (), "trial": (),
        }[name]

    def pass_time(self):
        """So that leases, the retention and the quarantine are over."""
        self.redis.client.incrby(PREFIX + "clk", 259300000)

    def picture(self):
        client = self.redis.client
        return {key: client.dump(key) for key in client.keys()}


def a_user(redis, *rules):
    redis.client.execute_command("ACL", "SETUSER", "narrow", "reset", "on", "nopass", f"~{PREFIX}*", f"&{PREFIX}*", "+@all", *rules)
    client = redis_client.Redis(unix_socket_path=redis.path)
    client.execute_command("AUTH", "narrow", "any")
    return client


@pytest.mark.parametrize("script", sorted(set(SCRIPTS) - READERS - UNCHANGING))
def test_a_user_who_may_not_is_refused_before_the_first_write(redis, script):
    """Whatever is forbidden, also while the broker runs: nothing is half done, and the refusal names it."""
    queue = Queue(redis)
    if script == "sweep":
        queue.pass_time()
    commands = sorted(set(re.findall(r"redis\.call\('([A-Z]+)'", SCRIPTS[script])))
    assert len(commands) >= 3
    before = queue.picture()
    forbidden = [(f"-{command.lower()}",) for command in commands] + [("resetkeys", "~other:*"), ("resetchannels",)]
    for rules in forbidden:
        if rules == ("resetchannels",) and "PUBLISH" not in commands:
            continue
        with pytest.raises(redis_client.exceptions.ResponseError) as refused:
            queue.run(script, *queue.arguments(script), client=a_user(redis, *rules))
        assert str(refused.value).startswith(("this user", "NOPERM", "the user of Redis")), refused.value
        assert queue.picture() == before, f"{script} without {rules} left something behind"
    queue.run(script, *queue.arguments(script), client=a_user(redis))
    assert queue.picture() != before, "or this story shows nothing"
    assert redis.audit() == []


@pytest.mark.parametrize("rules,named", [
    (("-del",), "DEL"), (("-zrank", "-hincrby"), "HINCRBY"), (("resetchannels",), "PUBLISH"), (("-@write",), "ZADD"),
    (("resetkeys", "~other:*"), r"needs ~dk:\* .* ZADD"),
])
def test_the_trial_names_what_is_forbidden(redis, rules, named):
    with pytest.raises(redis_client.exceptions.ResponseError, match=named):
        Queue(redis).run("trial", client=a_user(redis, *rules))


def test_the_trial_changes_nothing_and_names_a_stranger(redis):
    queue = Queue(redis)
    before = queue.picture()
    assert queue.run("trial") == 1 and queue.picture() == before
    for key in ("jobs", "service", "clk", "ready_models"):
        queue = Queue(redis)
        redis.client.delete(PREFIX + key)
        redis.client.rpush(PREFIX + key, "theirs")
        with pytest.raises(redis_client.exceptions.ResponseError, match=f"dk:{key} is a list and not a"):
            queue.run("trial")
    for key in ("clk", "clk:wall", "fence", "sequence", "generation"):
        queue = Queue(redis)
        redis.client.set(PREFIX + key, "1.5")
        with pytest.raises(redis_client.exceptions.ResponseError, match=f"dk:{key} is a text and not a number"):
            queue.run("trial")
    queue = Queue(redis)
    redis.client.hset(PREFIX + "count", "depth:1", "many")
    with pytest.raises(redis_client.exceptions.ResponseError, match="dk:count has a row that is no number"):
        queue.run("trial")


WHOLE = ("version", "class", "level", "side", "cost", "born", "place", "fails", "crashes", "handoffs", "submitted_us", "state",
         "tenant", "model", "crashers")
NUMBERS = WHOLE[:WHOLE.index("state")]


def run_on_a_broken_record(redis, script, field, value):
    queue = Queue(redis)
    if script == "sweep":
        queue.pass_time()
    victims = {"cancel": "wait", "get": "wait", "explain": "wait", "requeue": "bad", "bury": "bad", "claim": "wait",
               "start": "sent", "submit": "wait"}
    key = PREFIX + "job:" + victims.get(script, "run")
    redis.client.hdel(key, field) if value is None else redis.client.hset(key, field, value)
    arguments = queue.arguments(script)
    if script == "submit":
        arguments = ("wait", *arguments[1:])
    before = queue.picture()
    try:
        answer = queue.run(script, *arguments)
    except redis_client.exceptions.ResponseError as error:
        assert f" lacks {field}" in str(error) or " lacks worker, fence" in str(error), error
        assert script in ("cancel", "get", "explain", "requeue", "bury", "submit"), f"{script}: {error}"
        assert queue.picture() == before, f"{script} without {field} left something behind"
        return
    sent = redis.client.hget(PREFIX + "job:sent", "state")
    if script == "sweep":
        assert sent in (b"QUEUED", b"EXPIRED"), "its neighbours' leases lapse as ever"
        assert not redis.client.exists(PREFIX + "job:done"), "and what is old is forgotten"
    if script == "claim":
        assert b"late" in [row[0] for row in answer[1:]]
    if script in ("worker_hello", "worker_bye"):
        assert sent == b"QUEUED"
    if script == "beat":
        assert answer[0] == 1


@pytest.mark.parametrize("script", sorted(set(SCRIPTS) - UNCHANGING))
def test_a_record_that_is_not_whole_harms_nobody_else(redis, script):
    """A script that serves it alone changes nothing; one that serves others too passes it by and serves them."""
    for field in (*WHOLE, "fence", "worker", "generation", "job"):
        run_on_a_broken_record(redis, script, field, None)
        if field in NUMBERS:
            run_on_a_broken_record(redis, script, field, "nonsense")
            run_on_a_broken_record(redis, script, field, "1.5")
    redis.client.flushall()


def test_nothing_is_half_done_in_a_full_redis(redis):
    """Refused before it runs (what brings work in), or done (what works it off)."""
    for script in sorted(set(SCRIPTS) - READERS):
        redis.client.config_set("maxmemory", 0)
        queue = Queue(redis)
        arguments, before = queue.arguments(script), queue.picture()
        redis.client.config_set("maxmemory", 1)
        try:
            queue.run(script, *arguments)
            assert script not in ("submit", "trial", "requeue")
            assert script in ("sweep",) or queue.picture() != before, script
        except redis_client.exceptions.ResponseError as error:
            assert str(error).startswith("OOM") and script in ("submit", "trial", "requeue") and queue.picture() == before, script
        assert redis.audit() == []
    redis.client.config_set("maxmemory", 0)


def turn(queue, flavour, *ops):
    """The replies to some ops as one turn."""
    words = [word for op in ops for word in (op[0], len(op) - 1, *op[1:])]
    return queue.redis.client.eval(source(flavour), 0, *words)


def test_an_op_that_fails_harms_no_other_of_its_turn(redis):
    queue = Queue(redis)
    redis.client.hdel(PREFIX + "job:late", "place")
    replies = turn(queue, "work", ("start", *queue.lease("sent")), ("cancel", "late", "t"), ("nonsense",),
                   ("complete", *queue.lease("run"), b"result"), ("get", "run", "t"))
    assert replies[0][0] == replies[3][0] == b"OK" and b"SUCCEEDED" in replies[4]
    assert "lacks place" in str(replies[1]) and "nil value" in str(replies[2]), replies


def test_an_op_sees_what_those_before_it_have_done(redis):
    queue = Queue(redis)
    submit = ("submit", *queue.arguments("submit"))
    replies = turn(queue, "admit", submit, submit, ("cancel", "new", "t"), submit)
    assert [reply[:2] for reply in replies] == [[b"QUEUED", 1], [b"EXISTED", b"QUEUED"], [b"REMOVED", b"CANCELLED"],
                                                [b"EXISTED", b"CANCELLED"]]
    assert redis.audit() == []


def test_what_one_flavour_is_refused_for_the_others_do(redis):
    """A full Redis refuses a turn with a submit in it as a whole, and one with a complete where writing is forbidden."""
    queue = Queue(redis)
    redis.client.config_set("maxmemory", 1)
    with pytest.raises(redis_client.exceptions.ResponseError, match="OOM"):
        turn(queue, "admit", ("submit", *queue.arguments("submit")), ("get", "run", "t"))
    assert turn(queue, "work", ("complete", *queue.lease("run"), b"r"), ("get", "run", "t"))[0][0] == b"OK"
    redis.client.config_set("maxmemory", 0)
    reader = a_user(redis, "-@write")
    with pytest.raises(redis_client.exceptions.ResponseError, match="may not run"):
        reader.eval(source("work"), 0, "get", 2, "run", "t")
    assert reader.eval(source("look"), 0, "get", 2, "run", "t")[0]
