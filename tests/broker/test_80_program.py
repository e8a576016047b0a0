"""The program around the queue: settings, what it refuses, its admin port, its exit codes."""
import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest
from house import BUILD, Broker, Client, Worker, until


def run(*arguments, seconds=10):
    return subprocess.run([str(BUILD / "darkroom-broker"), *arguments], capture_output=True, text=True, timeout=seconds)


@pytest.mark.parametrize("change,named", [
    (("maxmemory-policy", "allkeys-lru"), "maxmemory-policy is allkeys-lru"),
    (("appendfsync", "everysec"), "appendfsync is everysec"),
    (("appendonly", "no"), "appendonly is no"),
])
def test_an_unsafe_redis_is_refused_by_name(redis, brokers, change, named):
    redis.client.config_set(*change)
    result = run("--listen", f"ipc://{redis.folder}/b", "--redis", redis.url)
    assert result.returncode == 78 and named in result.stderr and "--allow-unsafe-redis" in result.stderr
    brokers("--allow-unsafe-redis").stop()


def test_a_redis_that_hides_its_settings_is_taken_with_a_warning(redis, brokers, peers):
    redis.client.execute_command("ACL", "SETUSER", "default", "-config")
    broker = brokers()
    assert "redis_appendfsync_unseen" in broker.log()
    assert peers(Client, broker).ask("STATUS").queued == 0


def test_a_narrow_acl_user_is_enough(redis, brokers, peers):
    # a unix socket URL has no login: the default user gets the rights that deploy/redis.conf names
    redis.client.execute_command("ACL", "SETUSER", "default", "-@all", "+@read", "+@write", "+@scripting", "-script",
                                 "+script|load", "+info", "+time", "+ping", "+subscribe", "+publish", "+select",
                                 "+config|get", "-restore", "-migrate", "resetkeys", "~dk:*", "resetchannels", "&dk:*")
    broker = brokers()
    worker, client = peers(Worker, broker), peers(Client, broker)
    job = client.submit(watch=True).id
    assign = worker.take_job()
    worker.start(assign), worker.beat((assign, 1)), worker.complete(assign)
    assert client.event("TERMINAL", job) and client.list() and client.ask("MODELS").model


def test_login_and_database_over_tcp(redis, context):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    redis.client.config_set("port", port)
    redis.client.execute_command("ACL", "SETUSER", "box", "on", ">p:w@d", "~*", "&*", "+@all")
    broker = Broker(f"redis://box:p:w@d@127.0.0.1:{port}/3")
    try:
        worker, client = Worker(context, broker.endpoint), Client(context, broker.endpoint)
        worker.claim(jobs=1)
        job = client.submit(watch=True).id
        worker.complete(worker.assigned())
        assert client.event("TERMINAL", job)
        assert redis.client.dbsize() == 0 and redis.client.info("keyspace")["db3"]["keys"] > 5
        worker.close(), client.close()
    finally:
        broker.clean()
    wrong = run("--listen", "ipc:///tmp/darkroom-never", "--redis", f"redis://box:no-p%3Aw@127.0.0.1:{port}/3")
    assert wrong.returncode == 78 and "refuses the login (forbidden): WRONGPASS" in wrong.stderr
    assert "no-p" not in wrong.stderr


@pytest.mark.parametrize("arguments,word", [
    (("--listen", "tcp://0.0.0.0:0"), "--allow-plaintext"),
    (("--listen", "tcp://*:0"), "--allow-plaintext"),
    (("--listen", "nonsense"), "nonsense"),
    (("--redis", "http://x"), "redis://"),
    (("--redis", "unix://relative"), "absolute path"),
    (("--redis", "rediss://:secret@h"), "TLS"),
    (("--redis", "redis://h?socket_timeout=5"), "db=, username= and password="),
    (("--redis", "redis://h:99999"), "port"),
    (("--retention-s", "0"), "retention-s"),
    (("--no-such",), "no-such"),
    (("extra",), "extra"),
])
def test_bad_settings_end_with_2(arguments, word):
    result = run("--listen", "ipc:///tmp/darkroom-never", *arguments) if "--listen" not in arguments else run(*arguments)
    assert result.returncode == 64 and word in result.stderr, result.stderr


def test_help_and_version():
    assert run("--help").returncode == 0 and "--allow-plaintext" in run("--help").stdout
    assert run("--version").returncode == 0


def fetch(address, path):
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def admin_address(broker):
    line = until(lambda: [line for line in broker.log().splitlines() if "event=broker_ready" in line])[0]
    return "127.0.0.1:" + [word[6:] for word in line.split() if word.startswith("admin=")][0]


def test_admin_port(redis, brokers, peers):
    broker = brokers("--admin", "127.0.0.1:0")
    address = admin_address(broker)
    worker, client = peers(Worker, broker), peers(Client, broker)
    until(lambda: fetch(address, "/readyz")[0] == 200)
    client.submit()
    assign = worker.take_job()
    worker.start(assign), worker.complete(assign)
    client.submit()
    metrics = until(lambda: fetch(address, "/metrics")[1].count('queue_depth{class="standard"} 1') and fetch(address, "/metrics")[1])
    assert "darkroom_jobs_submitted_total 2" in metrics and "darkroom_jobs_succeeded_total 1" in metrics
    assert "darkroom_redis_up 1" in metrics and 'darkroom_workers{state="ready"} 1' in metrics
    redis.kill()
    until(lambda: fetch(address, "/readyz")[0] == 503)
    assert "Redis" in fetch(address, "/readyz")[1] and fetch(address, "/healthz")[0] == 200
    until(lambda: "darkroom_redis_up 0" in fetch(address, "/metrics")[1])
    redis.start()
    until(lambda: fetch(address, "/readyz")[0] == 200, 10)


def test_becomes_unready_when_redis_comes_back_unsafe(redis, brokers, peers):
    broker = brokers("--admin", "127.0.0.1:0")
    address = admin_address(broker)
    redis.kill()
    redis.options[redis.options.index("noeviction")] = "allkeys-lru"
    redis.start()
    until(lambda: "may evict jobs" in fetch(address, "/readyz")[1], 10)
    assert broker.process.poll() is None
    redis.client.config_set("maxmemory-policy", "noeviction")
    until(lambda: fetch(address, "/readyz")[0] == 200, 10)


def test_json_log(redis, brokers):
    broker = brokers("--log-format", "json", wait=False)
    until(lambda: '"event":"redis_up"' in broker.log())
    broker.stop()
    assert {json.loads(line)["event"] for line in broker.log().splitlines()} >= {"broker_ready", "redis_up", "broker_leaving"}


def test_audit_command(redis, brokers, peers):
    broker = brokers()
    worker, client = peers(Worker, broker), peers(Client, broker)
    client.submit(), client.submit()
    worker.take_job()
    result = run("--audit", "--redis", redis.url)
    assert result.returncode == 0 and result.stdout == ""
    redis.client.zadd("dk:leases", {"ghost": 5})
    result = run("--audit", "--redis", redis.url)
    assert result.returncode == 1 and "dk:leases does not have 1 rows" in result.stdout
    redis.client.zrem("dk:leases", "ghost")


def test_prefixes_are_worlds_of_their_own(redis, brokers, peers):
    one, other = brokers(), brokers("--prefix", "other:")
    peers(Worker, one).claim(jobs=1)
    stranger = peers(Worker, other)
    peers(Client, other).submit()
    assert stranger.take_job() and peers(Client, one).ask("STATUS").queued == 0
    assert all(key.startswith((b"dk:", b"other:")) for key in redis.client.keys())


def test_quiet_when_idle(redis, brokers):
    """No busy loop, with Redis and without."""
    broker = brokers()
    used = lambda: sum(int(x) for x in open(f"/proc/{broker.process.pid}/stat").read().split(")")[1].split()[11:13])
    for _ in range(2):
        before = used()
        time.sleep(1)
        assert used() - before < 30, "more than 30% of a core"
        redis.kill()
        time.sleep(0.2)
    redis.start()


def test_programs_that_share_an_environment(redis, tmp_path):
    """DARKROOM_ADMIN reaches every program; a variable of the broker's own wins over it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = "127.0.0.1:%d" % taken.getsockname()[1]
        shared = {**os.environ, "DARKROOM_ADMIN": address, "DARKROOM_LOG_FORMAT": "json"}
        words = [str(BUILD / "darkroom-broker"), "--listen", f"ipc://{tmp_path}/b", "--redis", redis.url]
        refused = subprocess.run(words, env=shared, capture_output=True, text=True, timeout=10)
        assert refused.returncode == 69 and f"{address}\" is in use by another program" in refused.stderr
        assert "DARKROOM_BROKER_ADMIN" in refused.stderr
        shown = subprocess.run([*words, "--print-config"], capture_output=True, text=True, timeout=10,
                               env={**shared, "DARKROOM_BROKER_ADMIN": "127.0.0.1:0", "DARKROOM_WORKER_ADMIN": "127.0.0.1:1"})
        assert "# from DARKROOM_BROKER_ADMIN\nadmin = 127.0.0.1:0\n" in shown.stdout
        assert "# from DARKROOM_LOG_FORMAT\nlog-format = json\n" in shown.stdout
