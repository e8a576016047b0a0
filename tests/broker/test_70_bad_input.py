"""What cannot be read, or is too large: named, counted, survived."""
import random
import struct

import pytest
import zmq
from house import NUMBERS, Client, Peer, Refused, Worker, pb


def send_raw(peer, *frames):
    peer.socket.send_multipart(list(frames))


def header(verb=3, correlation=77, magic=b"DK", version=1):
    return magic + struct.pack("<BBQ", version, verb, correlation)


@pytest.mark.parametrize("frames,code,correlation", [
    ([header(version=2), b""], "ERROR_VERSION", 77),
    ([header(verb=99 + 100), b""], "ERROR_VERB", 77),
    ([header(verb=65), b""], "ERROR_VERB", 77),
    ([header(magic=b"XX"), b""], "ERROR_MALFORMED", None),
    ([b"short", b""], "ERROR_MALFORMED", None),
    ([header()], "ERROR_MALFORMED", None),
    ([header(), b"", b"", b""], "ERROR_MALFORMED", None),
    ([header(verb=1), b"\xff\xff\xff"], "ERROR_MALFORMED", 77),
    ([header(verb=1), b"\x0a\x7f"], "ERROR_MALFORMED", 77),
])
def test_unreadable_is_refused_by_name(client, frames, code, correlation):
    send_raw(client, *frames)
    got = client.receive()
    assert got and got[0] == "ERROR" and pb.ErrorCode.Name(got[2].code) == code, got
    assert correlation is None or got[1] == correlation
    assert client.ask("STATUS").queued == 0, "and the connection goes on"


def test_an_oversize_frame_is_said(broker, peers):
    big = peers(Client, broker)
    for size in (256 * 1024 + 1, 1024 * 1024):
        send_raw(big, header(verb=1, correlation=size), b"x" * size)
        verb, correlation, error = big.receive()
        assert (verb, correlation, error.code) == ("ERROR", size, pb.ERROR_MALFORMED) and "262144" in error.message
    assert big.ask("STATUS").queued == 0


def test_a_larger_one_ends_the_connection_and_nothing_else(broker, client, peers):
    big = peers(Client, broker)
    send_raw(big, header(verb=1), b"x" * (1024 * 1024 + 1))
    assert big.receive(0.5) is None
    assert client.ask("STATUS").queued == 0
    assert big.ask("STATUS").queued == 0, "it may connect again"


def test_a_req_socket_is_served(broker, peers):
    peer = peers(Peer, broker, kind=zmq.REQ)
    assert peer.ask("STATUS").queued == 0


def test_texts_that_are_not_utf8(client, worker):
    job = pb.Submit(job=pb.Job(prompt="AAAA")).SerializeToString().replace(b"AAAA", b"\xff\xfe\xfd\xfc")
    send_raw(client, header(verb=1, correlation=5), job)
    _, correlation, error = client.take(lambda verb, *_: verb == "ERROR")
    assert correlation == 5 and error.code == pb.ERROR_FIELD


@pytest.mark.parametrize("verb,message,field", [
    ("GET", pb.Get(), "id"), ("GET", pb.Get(id="no such/id"), "id"), ("CANCEL", pb.Cancel(), "id"),
    ("EXPLAIN", pb.Explain(id="x" * 65), "id"), ("WATCH", pb.Watch(), "id"), ("WATCH", pb.Watch(id=["a"] * 65), "id"),
    ("LIST", pb.List(limit=1001), "limit"), ("LIST", pb.List(limit=0), "limit"), ("SUBMIT", pb.Submit(), "job"),
    ("HELLO", pb.Hello(), "worker"), ("HELLO", pb.Hello(worker="a b"), "worker"),
    ("HELLO", pb.Hello(worker="w", model=[pb.ModelInfo(id="m")] * 65), "model"),
    ("HELLO", pb.Hello(worker="w", model=[pb.ModelInfo(id="m")]), "default_side"),
    ("CLAIM", pb.Claim(), "worker"), ("CLAIM", pb.Claim(worker="w", credit=[pb.Credit(jobs=1)]), "model"),
    ("CLAIM", pb.Claim(worker="w", credit=[pb.Credit(model="m", jobs=1000)]), "jobs"),
    ("CLAIM", pb.Claim(worker="w", credit=[pb.Credit(model="m", jobs=1)] * 65), "credit"),
    ("CLAIM", pb.Claim(worker="w", jobs=101), "jobs"),
    ("START", pb.Start(worker="w"), "id"), ("COMPLETE", pb.Complete(worker="w", id="j"), "fence"),
    ("COMPLETE", pb.Complete(worker="w", id="j", fence=1, image=[pb.Artifact()] * 65), "image"),
    ("COMPLETE", pb.Complete(worker="w", id="j", fence=1, image=[pb.Artifact(url="u" * 4000)] * 40), "image"),
    ("FAIL", pb.Fail(worker="w", id="j", fence=1), "kind"), ("RELEASE", pb.Release(id="j"), "worker"),
    ("BEAT", pb.Beat(worker="w", progress=[pb.Progress(id="j")] * 101), "progress"),
    ("BEAT", pb.Beat(worker="w", progress=[pb.Progress()]), "id"), ("BYE", pb.Bye(), "worker"),
])
def test_fields_out_of_range(client, verb, message, field):
    with pytest.raises(Refused) as refused:
        client.ask(verb, message)
    assert refused.value.code == "ERROR_FIELD" and refused.value.error.field == field


def test_a_state_that_is_none(client):
    for number in (b"\x08\x00", b"\x08\x63", b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"):
        send_raw(client, header(verb=NUMBERS["LIST"], correlation=5), number)
        verb, _, error = client.receive()
        assert verb == "ERROR" and error.code in (pb.ERROR_FIELD, pb.ERROR_MALFORMED) and client.ask("STATUS").queued == 0


def test_unknown_jobs(client, worker):
    for verb, message in (("GET", pb.Get(id="x")), ("EXPLAIN", pb.Explain(id="x")), ("WATCH", pb.Watch(id=["x"]))):
        with pytest.raises(Refused) as refused:
            client.ask(verb, message)
        assert refused.value.code == "ERROR_NOT_FOUND"
    known = client.submit().id
    correlation = client.watch("x", known, "y")
    got = [client.take(lambda _, number, __: number == correlation)[0] for _ in range(3)]
    assert sorted(got) == ["ERROR", "ERROR", "EVENT"], "unknown ones do not cost the others their watch"
    assert worker.close_with("START", pb.Start, pb.Assign(job=pb.Job(id="x"), fence=1)) == "GONE"
    assert worker.beat((pb.Assign(job=pb.Job(id="x"), fence=1), 1)).stale == ["x"]


def test_random_bytes(broker, client, worker):
    """Seeded noise in every verb: an answer or silence, never an end of the process."""
    seed = 20
    noise = random.Random(seed)
    whole = pb.Submit(job=pb.Job(prompt="x" * 50, model="demo", width=64, metadata=[pb.KeyValue(key="k", value="v")] * 3))
    for i in range(1500):
        payload = bytearray(whole.SerializeToString() if i % 2 else noise.randbytes(noise.randrange(64)))
        for _ in range(noise.randrange(4)):
            if payload:
                payload[noise.randrange(len(payload))] = noise.randrange(256)
        send_raw(client, header(verb=noise.choice(list(NUMBERS.values())), correlation=i), bytes(payload))
    while client.receive(0.3) is not None:
        pass
    assert broker.process.poll() is None and client.ask("STATUS") is not None, f"seed {seed}"


def test_a_list_of_a_thousand(worker, client):
    for _ in range(10):
        for i in range(35):
            client.send("SUBMIT", pb.Submit(job=pb.Job(prompt="a")))
        for i in range(35):
            assert client.take(lambda verb, *_: verb == "SUBMITTED")
    jobs = client.list(limit=1000)
    assert len(jobs) == 350 == len({job.id for job in jobs})
    assert len(client.list()) == 100
    assert [job.id for job in client.list(limit=250)] == [job.id for job in jobs[:250]]
