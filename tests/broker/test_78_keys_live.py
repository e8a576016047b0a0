"""Keys while the fleet runs: taken back, changed, misspelt; and what one holder may ask for."""
import os
import resource
import socket
import threading
import time

import pytest
import house
import raw
import zmq
from house import MAY, Client, Refused, Worker, is_shut, known, metric, pb, until

SUBMIT = MAY["submit"].format("acme")


def ends(peer):
    """A function that waits for the end of the peer's connection, as its own library sees it."""
    monitor = peer.socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)

    def wait(seconds=5.0):
        assert monitor.poll(int(seconds * 1000)), "its connection goes on"
        peer.socket.disable_monitor()
    return wait


# ---- revoked ----------------------------------------------------------------------------------------------------------

def test_a_revoked_clients_connection_ends_and_it_hears_nothing_more(locked, keyring, key_of, peers, redis):
    worker = peers(Worker, locked, name="w1", key=key_of("roles=work worker=w* default-model=demo"))
    acme, other = (peers(Client, locked, key=key_of(may)) for may in (SUBMIT, SUBMIT + " watches=100"))
    job = acme.submit(watch=True).id
    other.watch(job)
    assign = worker.take_job()
    worker.start(assign)
    assert acme.event("STARTED") and other.event("STARTED")
    wait = ends(acme)
    keyring.command("revoke", "k1")
    wait()
    worker.complete(assign)
    assert other.event("TERMINAL"), "who has another key of the tenant goes on"
    assert acme.event("TERMINAL", seconds=0.5) is None
    assert metric(locked, "connections_revoked_total") == 1
    assert is_shut(peers(Client, locked, key=keyring.file("k1")))
    assert redis.record(f"acme/{job}")["state"] == "SUCCEEDED", "what was submitted is done all the same"


def test_a_revoked_workers_jobs_go_to_others(locked, keyring, key_of, peers, redis):
    first = peers(Worker, locked, name="w1", key=key_of("roles=work worker=w1 default-model=demo"))
    second = peers(Worker, locked, name="w2", key=key_of("roles=work worker=w2"))
    client = peers(Client, locked, key=key_of(SUBMIT))
    job = client.submit().id
    assign = first.take_job()
    first.start(assign)
    wait = ends(first)
    keyring.command("revoke", "k0")
    wait()
    until(lambda: "event=worker_connection_closed worker=w1" in locked.log())
    redis.pass_time(31000)
    again = second.take_job()
    assert again.job.id == job and again.fence != assign.fence
    assert second.start(again) == "OK" and second.complete(again) == "OK"


def test_what_a_row_says_anew_holds_from_the_next_connection_on(locked, keyring, key_of, peers):
    acme = peers(Client, locked, key=key_of(SUBMIT))
    acme.ask("MODELS")
    wait = ends(acme)
    keyring.write(keyring.text().replace("roles=submit", "roles=metrics"))
    wait()
    until(lambda: _refused(peers(Client, locked, key=keyring.file("k0"))), what="the new role")


def _refused(peer):
    try:
        peer.list()
    except Refused as refused:
        return refused.code == "ERROR_FORBIDDEN"
    return False


# ---- changed ----------------------------------------------------------------------------------------------------------

def test_a_key_is_changed_without_a_lost_message(locked, keyring, key_of, peers):
    peers(Worker, locked, name="w1", key=key_of("roles=work worker=w* default-model=demo"))
    old = peers(Client, locked, key=key_of(SUBMIT))
    sent = [old.send("SUBMIT", pb.Submit(job=pb.Job(id=f"job-{i}", prompt="x"))) for i in range(100)]
    keyring.command("rotate", "k1", "--grace-s", "4")
    known(locked, keyring)
    new = peers(Client, locked, key=keyring.file("k1"))
    more = [new.send("SUBMIT", pb.Submit(job=pb.Job(id=f"more-{i}", prompt="x"))) for i in range(100)]
    sent += [old.send("SUBMIT", pb.Submit(job=pb.Job(id=f"last-{i}", prompt="x"))) for i in range(100)]
    for peer, numbers in ((old, sent), (new, more)):
        for number in numbers:
            assert peer.take(lambda _, got, __: got == number)[0] == "SUBMITTED"
    assert len(new.list(limit=1000)) == 300
    wait = ends(old)
    wait(15)  # the old key's end comes by itself
    assert len(new.list(limit=1000)) == 300, "and the new one goes on"
    keyring.command("rotate", "k1", "--grace-s", "0")
    assert keyring.text().count("k1 ") == 1


def test_keys_on_the_command_line_say_what_is_wrong(keyring):
    assert "has a key already" in keyring.command("generate", "operator", "--may", SUBMIT, code=64)
    assert "roles is missing" in keyring.command("generate", "x", "--may", "tenant=acme", code=64)
    assert "worker and the role work go together" in keyring.command("generate", "x", "--may", "roles=work", code=64)
    assert "there is no key x" in keyring.command("revoke", "x", code=64)
    assert not os.path.exists(keyring.file("x"))
    with open(keyring.file("taken"), "w", encoding="utf-8") as out:
        out.write("somebody's")
    assert "there already" in keyring.command("generate", "taken", "--may", SUBMIT, code=64)
    assert open(keyring.file("taken"), encoding="utf-8").read() == "somebody's" and "taken" not in keyring.text()
    keyring.add("acme", SUBMIT)
    keyring.command("rotate", "acme")
    assert "has two keys already" in keyring.command("rotate", "acme", code=64)
    assert os.stat(keyring.file("acme")).st_mode & 0o777 == 0o600 == os.stat(keyring.path).st_mode & 0o777
    listed = keyring.command("list").splitlines()
    assert [line.split()[0] for line in listed] == ["operator", "acme", "acme"] and "until=" in listed[1]


# ---- a keyring broken by a hand ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("broken,says", [
    ("acme notakey tenant=acme roles=submit\n", "line 3: behind the name stands a public key"),
    ("half a li", "line 3: behind the name"),
])
def test_a_broken_keyring_leaves_the_last_good_one(locked, keyring, key_of, peers, broken, says):
    acme = peers(Client, locked, key=key_of(SUBMIT))
    acme.ask("MODELS")
    good = keyring.text()
    keyring.write(good + broken)
    until(lambda: "event=keyring_refused" in locked.log() and says in locked.log(), what="a word about the broken file")
    assert metric(locked, "keyring_good") == 0
    acme.ask("MODELS")
    peers(Client, locked, key=keyring.file("k0")).ask("MODELS")
    keyring.write(good)
    until(lambda: metric(locked, "keyring_good") == 1, what="the mended file")
    acme.ask("MODELS")


def test_a_keyring_that_is_gone_leaves_the_last_good_one_too(locked, keyring, key_of, peers):
    acme = peers(Client, locked, key=key_of(SUBMIT))
    os.rename(keyring.path, keyring.path + ".away")
    until(lambda: "event=keyring_refused" in locked.log(), what="a word about the file that is gone")
    acme.ask("MODELS")
    os.rename(keyring.path + ".away", keyring.path)
    until(lambda: metric(locked, "keyring_good") == 1, what="the file that is back")


# ---- shares -----------------------------------------------------------------------------------------------------------

def answers(peer, numbers):
    """number -> (verb, message) of each."""
    got = {}
    for number in numbers:
        verb, _, message = peer.take(lambda _, one, __: one == number)
        got[number] = (verb, message)
    return got


def refusals(got):
    return [message for verb, message in got.values() if verb == "ERROR" and message.code == pb.ERROR_EXHAUSTED]


def test_a_connection_that_asks_for_more_than_its_share_is_told_to_wait(locked, key_of, peers):
    greedy = peers(Client, locked, key=key_of(SUBMIT + " messages=5"))
    other = peers(Client, locked, key=key_of(MAY["submit"].format("beta")))
    refused = refusals(answers(greedy, [greedy.send("LIST", pb.List(limit=1)) for _ in range(200)]))
    assert refused and all(error.retry_after_ms > 0 and error.limit == "5 messages a second" for error in refused)
    assert len(refusals(answers(other, [other.send("LIST", pb.List(limit=1)) for _ in range(200)]))) == 0
    assert metric(locked, 'requests_limited_total{of="connection"}') == len(refused)
    time.sleep(max(error.retry_after_ms for error in refused) / 1000)
    assert greedy.list(limit=1) == []


def test_rows_of_a_list_count(locked, key_of, peers):
    greedy = peers(Client, locked, key=key_of(SUBMIT + " messages=50"))
    assert greedy.list(limit=1000) == [], "the first is within what may be had at once"
    with pytest.raises(Refused) as refused:
        greedy.list(limit=1000)
    assert refused.value.code == "ERROR_EXHAUSTED" and refused.value.error.retry_after_ms > 0


def test_bytes_count(locked, key_of, peers):
    greedy = peers(Client, locked, key=key_of(SUBMIT + " kib=8"))
    big = pb.Submit(job=pb.Job(prompt="x" * 8000))
    refused = refusals(answers(greedy, [greedy.send("SUBMIT", big) for _ in range(10)]))
    assert refused and all(error.limit == "8192 bytes a second" for error in refused)


def test_a_tenants_keys_share(brokers, keyring, peers):
    files = [keyring.add(f"acme-{i}", SUBMIT + f" connections={i + 5}") for i in range(2)]
    broker = brokers(*keyring.of_broker, "--admin", "127.0.0.1:0", "--tenant-messages", "5", listen=house.free_port())
    two = [peers(Client, broker, key=file) for file in files]
    numbers = [[peer.send("LIST", pb.List(limit=1)) for _ in range(100)] for peer in two]
    refused = [refusals(answers(peer, sent)) for peer, sent in zip(two, numbers)]
    assert all(refused) and metric(broker, 'requests_limited_total{of="tenant"}') == sum(map(len, refused))


def test_watches_and_connections_of_a_key_are_counted(locked, key_of, peers):
    worker = peers(Worker, locked, name="w1", key=key_of("roles=work worker=w* default-model=demo"))
    assert worker.generation
    key = key_of(SUBMIT + " watches=2 connections=2")
    acme = peers(Client, locked, key=key)
    ids = [acme.submit(id=f"job-{i}").id for i in range(3)]
    number = acme.watch(*ids)
    kinds = sorted(acme.take(lambda _, got, __: got == number)[0] for _ in range(3))
    assert kinds == ["ERROR", "EVENT", "EVENT"]
    assert len(peers(Client, locked, key=key).list()) == 3
    assert is_shut(peers(Client, locked, key=key)), "a third connection"
    assert metric(locked, 'handshakes_total{result="too_many"}') >= 1


# ---- a crowd at the door ----------------------------------------------------------------------------------------------

class Crowd(threading.Thread):
    """Idle and hostile connections at a tcp:// endpoint, made again as they are shown out."""

    GREETING_OF_CURVE = b"\xff" + bytes(7) + b"\1\x7f" + b"\3\1" + b"CURVE".ljust(20, b"\0") + b"\0" + bytes(31)
    HELLO = raw.command(b"HELLO", b"\1\0" + bytes(72) + os.urandom(120))

    def __init__(self, endpoint, idle, hostile):
        super().__init__(daemon=True)
        host, _, port = endpoint[6:].rpartition(":")
        self.place, self.idle, self.hostile = (host, int(port)), idle, hostile
        self.made, self.leaving, self.sockets = 0, threading.Event(), []

    def enter(self, words):
        try:
            sock = socket.create_connection(self.place, timeout=5)
            sock.sendall(words)
            self.sockets.append(sock)
            self.made += 1
        except OSError:
            pass  # shown out meanwhile

    def run(self):
        for _ in range(self.idle):
            self.enter(b"")
        words = (raw.GREETING + raw.ready(), self.GREETING_OF_CURVE + self.HELLO, os.urandom(4096), b"\0" * 4096,
                 self.GREETING_OF_CURVE + b"\4\xff" + b"\xff" * 255)
        for i in range(self.hostile):
            if self.leaving.is_set():
                break
            self.enter(words[i % len(words)])
        self.leaving.wait()
        for sock in self.sockets:
            sock.close()

    def stop(self):
        self.leaving.set()
        self.join()


def test_a_crowd_without_keys_keeps_nobody_from_work(locked, key_of, peers):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 8192)), hard))
    worker = peers(Worker, locked, name="w1", key=key_of("roles=work worker=w* default-model=demo"))
    client = peers(Client, locked, key=key_of(SUBMIT))
    crowd = Crowd(locked.endpoint, idle=2000, hostile=1000)
    crowd.start()
    try:
        done = 0
        while done < 100 or (crowd.made < 2500 and crowd.is_alive() and done < 2000):
            job = client.submit().id
            assign = worker.take_job()
            assert worker.start(assign) == "OK" and worker.complete(assign) == "OK"
            assert client.state(job) == "SUCCEEDED"
            done += 1
        assert crowd.made >= 2500
    finally:
        crowd.stop()
    newcomer = peers(Client, locked, key=key_of(SUBMIT))
    assert len(newcomer.list(limit=10)) == 10
    assert metric(locked, 'requests_forbidden_total{reason="revoked"}') == 0, "nobody of them got as far as a message"
