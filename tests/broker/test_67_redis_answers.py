"""What Redis answers is understood: what to wait for, what to leave for, what to tell whom."""
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import urllib.error
import urllib.request

import pytest
from house import BUILD, PREFIX, Broker, Client, Redis, Refused, Worker, inside, pb, picture, until, with_a_deaf_name_server

PROGRAM = str(BUILD / "darkroom-broker")


def start_and_leave(url, seconds=20):
    """A broker that is expected to leave by itself: its exit code and what it wrote."""
    folder = tempfile.mkdtemp(prefix="darkroom-broker-")
    try:
        return subprocess.run([PROGRAM, "--listen", f"ipc://{folder}/b", "--redis", url], capture_output=True, text=True,
                              timeout=seconds)
    finally:
        shutil.rmtree(folder)


def ready(broker):
    """What /readyz says."""
    line = until(lambda: [line for line in broker.log().splitlines() if "event=broker_ready" in line])[0]
    port = re.search(r"admin=(\d+)", line).group(1)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return answer.read().decode().strip()
    except urllib.error.HTTPError as error:
        return error.read().decode().strip()


INFO = ("redis_version:{version}\r\nredis_mode:{mode}\r\nrun_id:0123\r\nloading:{loading}\r\nmaxmemory_policy:noeviction\r\n"
        "aof_enabled:1\r\nrole:{role}\r\nmaster_host:10.0.0.9\r\nmaster_port:6379\r\n")


class FakeRedis:
    """Says what it is told to: facts of INFO, and an error for a command instead of its answer."""

    def __init__(self, greeting=None, errors=(), silent=None, **facts):
        self.folder = tempfile.mkdtemp(prefix="darkroom-fake-")
        self.url = f"unix://{self.folder}/s"
        self.greeting, self.errors, self.silent = greeting, dict(errors), silent
        self.facts = {"version": "7.0.15", "mode": "standalone", "loading": "0", "role": "master", **facts}
        self.connections = 0
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(f"{self.folder}/s")
        self.listener.listen()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            if self.greeting:
                peer.sendall(f"-{self.greeting}\r\n".encode())
                peer.close()
                continue
            threading.Thread(target=self.serve, args=(peer.makefile("rwb"),), daemon=True).start()

    def serve(self, peer):
        try:
            while line := peer.readline():
                words = []
                for _ in range(int(line[1:])):
                    length = int(peer.readline()[1:])
                    words.append(peer.read(length + 2)[:-2])
                peer.write(self.answer(words))
                peer.flush()
        except (OSError, ValueError):
            pass

    def answer(self, words):
        command = words[0].decode().upper()
        if command == "EVAL":
            command = "TRIAL" if len(words) == 3 else "BOOT"
        if command == self.silent:
            return b""
        if command in self.errors:
            return f"-{self.errors[command]}\r\n".encode()
        info = INFO.format(**self.facts).encode()
        return {"INFO": b"$%d\r\n%s\r\n" % (len(info), info), "CONFIG": b"*2\r\n$11\r\nappendfsync\r\n$6\r\nalways\r\n",
                "SCRIPT": b"$40\r\n" + b"0" * 40 + b"\r\n", "TRIAL": b":1\r\n", "EVALSHA": b":1\r\n", "BOOT": b":0\r\n",
                "SUBSCRIBE": b"*3\r\n$9\r\nsubscribe\r\n$9\r\ndk:events\r\n:1\r\n",
                "PING": b"*2\r\n$4\r\npong\r\n$0\r\n\r\n"}.get(command, b"-ERR this is a fake\r\n")

    def close(self):
        self.listener.close()
        shutil.rmtree(self.folder)


NOCHANNEL = "NOPERM this user has no permissions to access one of the channels used as arguments"


@pytest.mark.parametrize("fake,words", [
    (dict(version="6.0.16"), "its version is 6.0.16 and must be 7 or later"),
    (dict(mode="cluster"), "runs as a cluster"),
    (dict(mode="sentinel"), "Sentinel"),
    (dict(greeting="DENIED Redis is running in protected mode"), "(forbidden): DENIED"),
    (dict(errors={"INFO": "NOAUTH Authentication required."}), "(forbidden): NOAUTH"),
    (dict(errors={"INFO": "NOPERM this user has no permissions to run the 'info' command"}), "INFO (forbidden): NOPERM"),
    (dict(errors={"SCRIPT": "NOPERM no"}), "SCRIPT LOAD (forbidden): NOPERM"),
    (dict(errors={"SCRIPT": "ERR unknown command 'SCRIPT'"}), "(forbidden): ERR unknown"),
    (dict(errors={"TRIAL": "NOPERM the user of Redis needs DEL"}), "what the queue needs (forbidden)"),
    (dict(errors={"TRIAL": "ERR The user executing the script can't run this command"}), "(forbidden)"),
    (dict(errors={"BOOT": "WRONGTYPE Operation against a key"}), "the boot script (ours): WRONGTYPE"),
    (dict(errors={"SUBSCRIBE": NOCHANNEL}), "the events (forbidden): NOPERM"),
    (dict(errors={"PING": "NOPERM this user has no permissions to run the 'ping' command"}), "the events (forbidden)"),
])
def test_what_waiting_does_not_help_is_one_line_and_78(fake, words):
    server = FakeRedis(**fake)
    result = start_and_leave(server.url)
    server.close()
    own = [line for line in result.stderr.splitlines() if line.startswith("darkroom-broker: ")]
    assert result.returncode == 78 and len(own) == 1 and words in own[0], result.stderr


@pytest.mark.parametrize("fake,words", [
    (dict(loading="1"), "loading its data"),
    (dict(role="slave"), "a replica of 10.0.0.9:6379"),
    (dict(greeting="ERR max number of clients reached"), "(busy): ERR max number of clients"),
    (dict(errors={"INFO": "LOADING Redis is loading the dataset in memory"}), "INFO (busy): LOADING"),
    (dict(errors={"INFO": "BUSY Redis is busy running a script."}), "INFO (busy): BUSY"),
    (dict(errors={"TRIAL": "NOREPLICAS Not enough good replicas to write."}), "(wrong_server): NOREPLICAS"),
    (dict(errors={"TRIAL": "MASTERDOWN Link with MASTER is down"}), "(wrong_server): MASTERDOWN"),
    (dict(errors={"TRIAL": "MISCONF Errors writing to the AOF file: No space left on device"}), "(unsaved): MISCONF"),
    (dict(errors={"BOOT": "READONLY You can't write against a read only replica."}), "(wrong_server): READONLY"),
    (dict(errors={"SUBSCRIBE": "LOADING Redis is loading"}), "events for"),
])
def test_what_will_pass_is_waited_for(fake, words, context):
    server = FakeRedis(**fake)
    broker = Broker(server.url, "--admin", "127.0.0.1:0", wait=False)
    try:
        until(lambda: words in ready(broker))
        until(lambda: server.connections >= 3, what="another attempt")
        client = Client(context, broker.endpoint)
        with pytest.raises(Refused) as refused:
            client.submit()
        assert refused.value.code == "ERROR_UNAVAILABLE" or "SUBSCRIBE" in fake.get("errors", ())
        client.close()
    finally:
        broker.clean()
        server.close()


@pytest.mark.parametrize("rules,words", [
    (("resetchannels",), "PUBLISH"), (("-publish", "-zadd"), "PUBLISH ZADD"), (("-@scripting",), "SCRIPT LOAD"),
    (("-subscribe",), "the events (forbidden)"), (("-ping",), "the events (forbidden)"), (("-info",), "INFO"),
    (("resetkeys", "~other:*"), "(forbidden)"),
])
def test_a_real_user_who_may_too_little(redis, rules, words):
    redis.client.execute_command("ACL", "SETUSER", "operator", "on", "nopass", "~*", "&*", "+@all")
    redis.client.execute_command("ACL", "SETUSER", "default", *rules)
    result = start_and_leave(redis.url)
    redis.client.execute_command("AUTH", "operator", "any")
    redis.client.execute_command("ACL", "SETUSER", "default", "on", "nopass", "~*", "&*", "+@all")
    assert result.returncode == 78 and words in result.stderr.splitlines()[-1], result.stderr


def test_another_programs_keys(redis):
    redis.client.lpush(PREFIX + "jobs", "theirs")
    result = start_and_leave(redis.url)
    redis.client.delete(PREFIX + "jobs")
    assert result.returncode == 78 and "dk:jobs is a list and not a zset" in result.stderr.splitlines()[-1]


def test_a_log_that_is_not_synced_while_it_is_rewritten(redis):
    redis.client.config_set("no-appendfsync-on-rewrite", "yes")
    result = start_and_leave(redis.url)
    assert result.returncode == 78 and "no-appendfsync-on-rewrite" in result.stderr.splitlines()[-1]


def test_an_audit_that_takes_too_long_says_what_happens():
    server = FakeRedis(silent="EVALSHA")
    result = subprocess.run([PROGRAM, "--audit", "--redis", server.url], capture_output=True, text=True, timeout=20)
    server.close()
    assert result.returncode == 69 and "did not end within 2 s" in result.stderr and "answers nobody else" in result.stderr


@pytest.fixture
def other():
    server = Redis()
    yield server
    server.stop()


def test_failover_behind_a_name(redis, other, peers, tmp_path):
    """The Redis becomes a replica, its name leads to the new master: the broker follows, and so do its peers' requests."""
    name = tmp_path / "redis.sock"
    name.symlink_to(redis.path)
    broker = Broker(f"unix://{name}", "--admin", "127.0.0.1:0")
    try:
        worker, client = peers(Worker, broker), peers(Client, broker)
        client.submit(id="before")
        until(lambda: ready(broker) == "ready")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        other.client.config_set("port", port)
        redis.client.execute_command("REPLICAOF", "127.0.0.1", port)
        until(lambda: "wrong_server" in ready(broker) or "a replica of" in ready(broker), 10)
        with pytest.raises(Refused) as refused:
            client.submit(id="between")
        assert refused.value.code == "ERROR_UNAVAILABLE"
        (tmp_path / "new").symlink_to(other.path)
        os.replace(tmp_path / "new", name)
        until(lambda: ready(broker) == "ready", 15)
        worker.hello()
        assert client.submit(id="after").id and not redis.client.exists(PREFIX + "job:after")
        assert worker.take_job().job.id == "after"
        worker.close(), client.close()
    finally:
        broker.clean()


def test_a_replica_is_waited_for_until_it_is_the_master(redis, other):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    other.client.config_set("port", port)
    redis.client.execute_command("REPLICAOF", "127.0.0.1", port)
    broker = Broker(redis.url, "--admin", "127.0.0.1:0", wait=False)
    try:
        until(lambda: f"a replica of 127.0.0.1:{port}" in ready(broker))
        redis.client.execute_command("REPLICAOF", "NO", "ONE")
        until(lambda: ready(broker) == "ready", 15)
    finally:
        broker.clean()


CURES = {
    "NOREPLICAS": (("CONFIG", "SET", "min-replicas-to-write", "1"), ("CONFIG", "SET", "min-replicas-to-write", "0")),
    "OOM": (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0")),
    "NOPERM": (("ACL", "SETUSER", "default", "-hset"), ("ACL", "SETUSER", "default", "+hset")),
    "PUBLISH": (("ACL", "SETUSER", "default", "-publish"), ("ACL", "SETUSER", "default", "+publish")),
    "the boot": (("ACL", "SETUSER", "default", "-subscribe"), ("ACL", "SETUSER", "default", "+subscribe")),
}


@pytest.mark.parametrize("words,told", [
    ("NOREPLICAS", ("ERROR_UNAVAILABLE", "(wrong_server): NOREPLICAS")), ("OOM", ("ERROR_EXHAUSTED", "(full): OOM")),
    ("NOPERM", ("ERROR_UNAVAILABLE", "(forbidden): NOPERM")), ("PUBLISH", ("ERROR_UNAVAILABLE", "(forbidden): NOPERM")),
])
def test_not_ready_while_writes_are_refused(redis, brokers, peers, words, told):
    """Nobody asks for anything, and still it is seen; whoever asks is told the class and Redis's words; cured, it is ready."""
    broker = brokers("--admin", "127.0.0.1:0")
    worker, client = peers(Worker, broker), peers(Client, broker)
    client.submit(id="before")
    until(lambda: ready(broker) == "ready")
    illness, cure = CURES[words]
    redis.client.execute_command(*illness)
    until(lambda: words in ready(broker) and re.search(r"for \d+ s", ready(broker)), 10)
    with pytest.raises(Refused) as refused:
        client.submit(id="ill")
    assert refused.value.code == told[0] and told[1] in refused.value.error.message
    assert refused.value.error.retry_after_ms > 0
    with contextlib.suppress(Refused):
        assert words in client.ask("STATUS").trouble
    assert broker.process.poll() is None
    redis.client.execute_command(*cure)
    until(lambda: ready(broker) == "ready", 15)
    assert not client.ask("STATUS").trouble
    assert client.submit(id="ill").id and worker.take_job().job.id == "before"


def test_a_full_redis_still_works_off_what_it_has(redis, brokers, peers):
    broker = brokers("--admin", "127.0.0.1:0")
    worker, client = peers(Worker, broker), peers(Client, broker)
    job = client.submit(watch=True).id
    redis.client.config_set("maxmemory", 1)
    until(lambda: "(full): OOM" in ready(broker))
    assert "(full): OOM" in client.explain(job)[0] and "(full): OOM" in client.ask("STATUS").trouble
    assign = worker.take_job()
    worker.start(assign), worker.complete(assign)
    assert client.event("TERMINAL", job)
    redis.client.config_set("maxmemory", 0)
    until(lambda: ready(broker) == "ready")


def test_events_that_are_forbidden_later_are_named(redis, brokers):
    broker = brokers("--admin", "127.0.0.1:0")
    until(lambda: ready(broker) == "ready")
    redis.client.execute_command("ACL", "SETUSER", "default", "-subscribe")
    redis.client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    until(lambda: "events" in ready(broker) and "NOPERM" in ready(broker))
    redis.client.execute_command("ACL", "SETUSER", "default", "+subscribe")
    until(lambda: ready(broker) == "ready", 10)


def test_a_submit_that_a_full_redis_refuses_takes_nothing_of_its_turn_along(redis, broker, peers):
    """All of it comes to Redis as one call, which is refused as a whole, and again without the submit."""
    worker, client = peers(Worker, broker), peers(Client, broker)
    job = client.submit().id
    assign = worker.take_job()
    redis.client.config_set("maxmemory", 1)
    broker.signal(signal.SIGSTOP)
    sent = [client.send("SUBMIT", pb.Submit(job=pb.Job(prompt="no room"))), client.send("GET", pb.Get(id=job))]
    done = worker.send("COMPLETE", pb.Complete(id=job, fence=assign.fence, image=[picture()], **worker.me()))
    until(lambda: not worker.socket.poll(300))  # all three lie in the broker's sockets
    broker.signal(signal.SIGCONT)
    answers = {number: (verb, message) for verb, number, message in (client.receive(), client.receive())}
    assert answers[sent[0]][1].code == pb.ERROR_EXHAUSTED and answers[sent[1]][0] == "JOB_STATUS"
    assert worker.take(lambda verb, number, _: number == done)[2].result == pb.ACK_OK
    redis.client.config_set("maxmemory", 0)
    assert client.state(job) == "SUCCEEDED"


def test_a_record_that_is_not_whole_is_our_fault_and_nobody_elses(redis, broker, peers):
    worker, client = peers(Worker, broker), peers(Client, broker)
    client.submit(id="broken"), client.submit(id="whole")
    cost = redis.client.hget(PREFIX + "job:broken", "cost")
    redis.client.hdel(PREFIX + "job:broken", "cost")
    with pytest.raises(Refused) as refused:
        client.get("broken")
    assert refused.value.code == "ERROR_INTERNAL" and "RECORD job broken lacks cost" in refused.value.error.message
    assert "user_script" not in refused.value.error.message
    assert client.state("whole") == "QUEUED" and worker.take_job().job.id == "whole"
    redis.client.hset(PREFIX + "job:broken", "cost", cost)
    redis.client.flushall()  # its row in the line is gone, which the audit would say


# ---- names and addresses ------------------------------------------------------------------------------------------------


def broker_inside(folder, words, url):
    """A broker started by those words, on an ipc socket, which is seen from outside."""
    broker = Broker.__new__(Broker)
    broker.folder = str(folder)
    broker.endpoint = f"ipc://{folder}/broker.sock"
    broker.log_path = str(folder / "log")
    broker.command = [*words, PROGRAM, "--listen", broker.endpoint, "--redis", url]
    broker.start()
    return broker


def test_a_deaf_name_server_costs_nobody_anything(tmp_path, context):
    """The system's resolver would ask for minutes; clients are answered, and SIGTERM is obeyed."""
    broker = broker_inside(tmp_path, with_a_deaf_name_server(tmp_path), "redis://redis.example:6379/0")
    client = Client(context, broker.endpoint)
    for _ in range(20):
        with pytest.raises(Refused) as refused:
            client.submit()
        assert refused.value.code == "ERROR_UNAVAILABLE"
    until(lambda: "no answer from the name server for redis.example" in broker.log())
    client.close()
    assert broker.stop() == 0


def test_every_address_of_a_name_is_tried(redis, tmp_path, context):
    """The hosts file gives three: nobody is at the first, something else at the second."""
    port = 17391  # of a net of its own
    (tmp_path / "hosts").write_text("".join(f"127.0.0.{i} redis.example\n" for i in (2, 3, 4)))
    (tmp_path / "nsswitch.conf").write_text("hosts: files\n")
    server = f"redis-server --port {port} --bind 127.0.0.4 --save '' --appendonly yes --appendfsync always --dir {tmp_path}"
    replica = f"redis-server --port {port} --bind 127.0.0.3 --save '' --dir {tmp_path} --replicaof 127.0.0.4 {port}"
    script = f"mount --bind {tmp_path}/hosts /etc/hosts; mount --bind {tmp_path}/nsswitch.conf /etc/nsswitch.conf; " + "".join(
        f"{command} >/dev/null 2>&1 & echo $! >>{tmp_path}/pids; " for command in (server, replica)) + "true"
    broker = broker_inside(tmp_path, inside(script), f"redis://redis.example:{port}/2")
    try:
        until(lambda: "event=redis_up" in broker.log() and f"at=127.0.0.4:{port}" in broker.log(), 20)
        worker, client = Worker(context, broker.endpoint), Client(context, broker.endpoint)
        assert client.submit().id
        worker.close(), client.close()
        assert broker.stop() == 0
    finally:
        for pid in (tmp_path / "pids").read_text().split():
            os.kill(int(pid), signal.SIGKILL)


def test_an_address_that_swallows_everything(context):
    """A host whose accept queue is full answers no SYN: connecting takes minutes, and nobody waits for it."""
    with socket.socket() as full, socket.socket() as one, socket.socket() as two:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for filler in (one, two):
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        broker = Broker("redis://127.0.0.1:%d" % full.getsockname()[1], wait=False)
        client = Client(context, broker.endpoint)
        try:
            until(lambda: "Redis does not answer" in broker.log(), 10)
            for _ in range(20):
                with pytest.raises(Refused) as refused:
                    client.submit()
                assert refused.value.code == "ERROR_UNAVAILABLE"
            client.close()
        finally:
            broker.clean()
