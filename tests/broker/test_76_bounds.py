"""What a peer asks for and does not read, watches, or sends too much of: bounded, its own, and given back when it goes."""
import time
import urllib.request

import pytest
import house
import raw
from house import Client, Refused, Worker, pb, until

MIB = 1 << 20
UNREAD_MAX = MIB        # base/limits.h: CALLER_UNREAD_BYTES_MAX
WATCHES_MAX = 4096      # CALLER_WATCHES_MAX
ROOM = 24 * MIB         # what a broker may hold beside it: a turn's memory, what the allocator keeps


def memory(broker):
    """Resident bytes; 0 under a sanitizer, whose allocator keeps what is freed."""
    if "san" in house.BUILD.name:
        return 0
    with open(f"/proc/{broker.process.pid}/statm", encoding="utf-8") as statm:
        return int(statm.read().split()[1]) * 4096


def fill(client, count, size=16):
    """That many jobs, submitted in a pipeline."""
    for _ in range(count):
        client.send("SUBMIT", pb.Submit(job=pb.Job(prompt="x" * size)))
    for _ in range(count):
        assert client.receive(20)[0] == "SUBMITTED"


def requests(verb, message, count, first=1):
    return b"".join(raw.request(verb, message, number) for number in range(first, first + count))


@pytest.fixture
def broker(brokers):
    return brokers("--admin", "127.0.0.1:0")


@pytest.fixture
def full(worker, client):
    """A thousand jobs, so that a LIST is as large as it gets."""
    fill(client, 1000)
    return client


def test_who_reads_nothing_is_bounded_and_forgotten(broker, full):
    before = memory(broker)
    deaf = [raw.meet(broker.endpoint)[0] for _ in range(16)]
    for connection in deaf:
        raw.send_what_goes(connection, requests("LIST", pb.List(limit=1000), 200))
    most = 0
    for _ in range(60):                                    # others are served all the while
        assert len(full.list(limit=10)) == 10
        most = max(most, memory(broker))
        time.sleep(0.02)
    assert most < before + 16 * 2 * UNREAD_MAX + ROOM, (before >> 20, most >> 20)
    for connection in deaf:
        connection.close()
    until(lambda: full.list(limit=1) and memory(broker) < before + ROOM, 10, "memory given back")


def test_who_reads_late_gets_all_it_asked_for(broker, full):
    """Nothing that was asked is lost: it was not taken up before there was room for its answer."""
    connection, frames = raw.meet(broker.endpoint)
    raw.send_what_goes(connection, requests("LIST", pb.List(limit=1000), 40))
    for _ in range(20):
        full.list(limit=1)
    connection.settimeout(20)
    answers = [frames.message() for _ in range(40)]
    assert [number for _, number, _ in answers] == list(range(1, 41))
    assert all(verb == "JOB_LIST" and len(message.job) > 500 for verb, _, message in answers)
    connection.close()


def test_a_list_of_many_pages_shows_each_job_once(full):
    jobs = full.list(limit=1000)
    assert len({job.id for job in jobs}) == len(jobs) >= 900
    assert [job.id for job in full.list(pb.JOB_STATE_QUEUED, pb.JOB_STATE_RUNNING, limit=100)] == [job.id for job in jobs[:100]]
    full.submit(prompt="one more")
    assert len(full.list(pb.JOB_STATE_SUCCEEDED, pb.JOB_STATE_FAILED, limit=1000)) == 0


def test_a_watcher_that_does_not_read_hears_the_end(broker, full, peers):
    job = full.submit(prompt="watched", priority=pb.PRIORITY_INTERACTIVE).id
    connection, frames = raw.meet(broker.endpoint)
    connection.sendall(raw.request("WATCH", pb.Watch(id=[job]), 1000))
    raw.send_what_goes(connection, requests("LIST", pb.List(limit=1000), 30))
    until(lambda: metric(broker, "unread_bytes") > UNREAD_MAX // 2, 10, "a full connection")
    other = peers(Worker, broker, "other")
    assign = other.take_job()
    while assign.job.id != job:
        assign = other.take_job()
    other.start(assign)
    other.complete(assign)
    connection.settimeout(20)
    seen = [frames.message() for _ in range(31)]
    while not any(verb == "EVENT" and message.kind == pb.EVENT_TERMINAL for verb, _, message in seen):
        seen.append(frames.message())
    connection.close()


def test_events_that_were_left_out_are_counted(broker, full):
    assert metric(broker, "connections") >= 2 and metric(broker, "slow_readers_total") == 0


def test_too_many_requests_under_way(broker, redis, worker, client):
    """Redis pauses; what one connection has waiting is bounded, the rest is refused at once, nothing is lost in silence."""
    connection, frames = raw.meet(broker.endpoint)
    redis.client.execute_command("CLIENT", "PAUSE", 1200, "ALL")
    jobs = [pb.Submit(job=pb.Job(id=f"j{i}", prompt="x" * 8000)) for i in range(1200)]
    raw.send_what_goes(connection, b"".join(raw.request("SUBMIT", job, i) for i, job in enumerate(jobs)))
    connection.settimeout(20)
    answers = [frames.message() for _ in jobs]
    assert sorted(number for _, number, _ in answers) == list(range(len(jobs)))
    refused = [message for verb, _, message in answers if verb == "ERROR"]
    assert 100 < len(refused) < 1100, len(refused)
    assert all(error.code == pb.ERROR_EXHAUSTED and error.retry_after_ms > 0 for error in refused)
    assert client.submit().id
    connection.close()


def test_who_floods_delays_itself(broker, redis, client):
    """Connections are served in turn: one with thousands of requests under way does not put another behind them."""
    connection, frames = raw.meet(broker.endpoint)
    connection.settimeout(20)
    redis.client.execute_command("CLIENT", "PAUSE", 400, "ALL")
    raw.send_what_goes(connection, requests("EXPLAIN", pb.Explain(id="none"), 20000))
    number = client.send("EXPLAIN", pb.Explain(id="none"))
    assert client.receive(20)[:2] == ("ERROR", number)
    connection.sendall(raw.request("STATUS", pb.Status(), 30000))
    served = 0
    while frames.message()[1] != 30000:
        served += 1
        if served % 500 == 0:                              # in the middle of them, each time at once
            number = client.send("EXPLAIN", pb.Explain(id="none"))
            assert client.receive(20)[:2] == ("ERROR", number)
    assert served == 20000
    connection.close()


def test_watches_are_bounded_per_connection_and_a_refused_one_is_told(broker, worker, client, peers):
    greedy = peers(Client, broker)
    ids = [client.submit().id for _ in range(64)]
    for _ in range(WATCHES_MAX // 64):
        greedy.watch(*ids)
    for _ in range(WATCHES_MAX):
        assert greedy.receive()[0] == "EVENT"
    number = greedy.watch(ids[0], "no-such-job", ids[1])
    told = [greedy.receive() for _ in range(3)]
    assert all((verb, correlation) == ("ERROR", number) for verb, correlation, _ in told)
    assert [error.code for _, _, error in told] == [pb.ERROR_EXHAUSTED, pb.ERROR_NOT_FOUND, pb.ERROR_EXHAUSTED]
    assert told[0][2].retry_after_ms > 0
    number = greedy.send("SUBMIT", pb.Submit(job=pb.Job(prompt="accepted"), watch=True))
    verb, correlation, submitted = greedy.receive()
    assert (verb, correlation) == ("SUBMITTED", number) and client.state(submitted.id) == "QUEUED"
    verb, correlation, error = greedy.receive()
    assert (verb, correlation, error.code, error.field) == ("ERROR", number, pb.ERROR_EXHAUSTED, "watch")
    other = client.submit(watch=True).id
    assert client.event("QUEUED", other) is not None
    greedy.close()
    again = peers(Client, broker)
    until(lambda: again.watch(*ids) and again.event() is not None, 5, "room when the watches have gone")


def test_an_error_always_has_a_code(broker, redis, worker, client):
    ids = [client.submit().id for _ in range(3)]
    redis.kill()
    number = client.watch(*ids)
    for _ in ids:
        verb, correlation, error = client.receive(10)
        assert verb == "ERROR" and correlation == number
        assert error.HasField("code") and error.code == pb.ERROR_UNAVAILABLE and error.retry_after_ms > 0
    redis.start()


def test_many_peers_leave_nothing_behind(broker, context, client):
    client.list()
    before = memory(broker)
    for _ in range(2):
        several = [raw.meet(broker.endpoint) for _ in range(600)]
        for connection, frames in several:
            connection.sendall(raw.request("STATUS", pb.Status(), 3))
        for connection, frames in several:
            assert frames.message()[0] == "FLEET_STATUS"
            connection.close()
    until(lambda: client.list() == [] and memory(broker) < before + 8 * MIB, 10, "memory given back")
    until(lambda: metric(broker, "connections") <= 2, 5, "nobody left")


def test_a_routing_id_that_is_taken(broker, client):
    """Two connections that choose the same: both are read, and what the later one sends is not kept unread for ever."""
    first, its_frames = raw.meet(broker.endpoint, identity=b"same")
    first.sendall(raw.request("STATUS", pb.Status(), 1))
    assert its_frames.message()[0] == "FLEET_STATUS"
    second, frames = raw.meet(broker.endpoint, identity=b"same")
    before = memory(broker)
    second.settimeout(10)
    for number in range(300):
        second.sendall(raw.request("SUBMIT", pb.Submit(job=pb.Job(id="a b", prompt="x" * 200000)), number))
        verb, correlation, error = frames.message()
        assert (verb, correlation, error.code) == ("ERROR", number, pb.ERROR_FIELD)
    assert memory(broker) < before + ROOM and client.list() == []
    first.close()
    second.close()


def test_lines_about_nonsense_are_counted_and_not_all_written(broker, client):
    connection, frames = raw.meet(broker.endpoint)
    connection.settimeout(20)
    for _ in range(10):
        connection.sendall(raw.frame(b"nonsense") * 2000)
        for _ in range(2000):
            assert frames.message()[0] == "ERROR"
    connection.close()
    until(lambda: client.list() == [] and "event=lines_left_out of=frame_refused" in broker.log(), 5)
    assert broker.log().count("event=frame_refused") < 2000


def metric(broker, name):
    """What the broker's admin port says of it."""
    line = next(line for line in broker.log().splitlines() if "event=broker_ready" in line)
    port = next(word[6:] for word in line.split() if word.startswith("admin="))
    text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode()
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(f"darkroom_{name}"))
