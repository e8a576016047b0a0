"""Guilt is proved alone: who dies with others is a suspect, a suspect runs alone, and only what happens then counts."""
import pytest
from house import Refused, Worker, pb, until


def counters(client, job):
    status = client.get(job)
    return {name: getattr(status, name) for name in ("crashes", "losses", "handoffs", "fails") if getattr(status, name)}


def take_all(worker, count):
    worker.claim(jobs=count)
    assigns = [worker.assigned() for _ in range(count)]
    for assign in assigns:
        worker.start(assign)
    return assigns


def test_mates_of_a_dead_engine_are_not_blamed_and_the_guilty_one_is_found(worker, client):
    """A hundred jobs in one engine that dies, and one of them kills it each time it runs."""
    jobs = [client.submit(prompt=f"picture {number}").id for number in range(100)]
    guilty = jobs[37]
    for assign in take_all(worker, 100):
        assert not assign.alone and worker.fail(assign, "CRASH") == "OK"
    assert all(counters(client, job) == {"losses": 1} for job in jobs)
    for _ in range(102):
        worker.claim(jobs=100)
        assign = worker.assigned()
        assert assign.alone and worker.assigned(0) is None, "one, whatever the credits"
        worker.start(assign)
        assert (worker.fail(assign, "CRASH") if assign.job.id == guilty else worker.complete(assign)) == "OK"
    states = {job: client.state(job) for job in jobs}
    assert states.pop(guilty) == "QUARANTINED" and set(states.values()) == {"SUCCEEDED"}
    assert counters(client, guilty) == {"losses": 1, "crashes": 3}
    assert all(counters(client, job) == {"losses": 1} for job in jobs if job != guilty)


def test_who_is_no_suspect_does_not_wait_behind_those_that_may_not_be_taken(broker, peers, worker, client):
    suspects = [client.submit().id for _ in range(100)]
    for assign in take_all(worker, 100):
        worker.fail(assign, "CRASH")
    innocent = client.submit().id
    other = peers(Worker, broker, "w2")
    other.claim(jobs=1, alone=False)
    assert other.assigned().job.id == innocent, "it takes no suspects now, and has not to look past them"
    assert worker.take_job().job.id == suspects[0], "whose place is the older one"
    reasons = " ".join(client.explain(suspects[1]))
    assert "it has lost an attempt" in reasons and "runs alone" in reasons


def test_suspects_and_others_stand_in_one_order(worker, client):
    first, suspect, last = client.submit().id, client.submit().id, client.submit().id
    assigns = take_all(worker, 2)
    worker.fail(assigns[1], "CRASH")
    worker.release(assigns[0])
    worker.claim(jobs=3)
    given = [worker.assigned(), worker.assigned()]
    assert [(assign.job.id, assign.alone) for assign in given] == [(first, False), (suspect, True)]
    assert worker.assigned(0.3) is None, "a suspect ends a claim"
    assert worker.take_job().job.id == last


def test_a_worker_of_before_gets_a_suspect_only_while_it_holds_nothing_and_nothing_beside_it(worker, client):
    jobs = [client.submit().id for _ in range(3)]
    lost = take_all(worker, 1)[0]
    worker.fail(lost, "CRASH")
    worker.claim(jobs=1, alone=None)
    suspect = worker.assigned()
    assert suspect.job.id == jobs[0] and suspect.alone
    worker.claim(jobs=2, alone=None)
    assert worker.assigned(0.7) is None
    worker.claim(jobs=0)
    worker.start(suspect)
    worker.fail(suspect, "CRASH")
    assert counters(client, jobs[0]) == {"losses": 1, "crashes": 1}
    worker.claim(jobs=1, alone=False)
    beside = worker.assigned()
    assert beside.job.id == jobs[1]
    worker.claim(jobs=2, alone=None)
    assert worker.assigned().job.id == jobs[2] and worker.assigned(0.3) is None, "it holds something"
    worker.complete(beside)


@pytest.mark.parametrize("end", ["LOST", "lapse", "hello", "gone"])
def test_what_is_nobodys_fault_is_never_a_crash_and_ends(redis, broker, peers, client, end):
    """The watchdog, a frozen worker, one that was started again, one whose connection is cut: also while the job runs alone."""
    worker = peers(Worker, broker)
    job = client.submit().id
    for attempt in range(10):
        assign = worker.take_job()
        assert assign.alone == (attempt > 0)
        worker.start(assign)
        if end == "LOST":
            assert worker.fail(assign, "LOST", "ERROR_WORKER_LOST", "the engine was silent") == "OK"
        elif end == "hello":
            worker.hello()
        else:
            worker.beat((assign, 1))
            if end == "gone":
                redis.script("worker_gone", worker.name, worker.generation, redis.client.hget("dk:worker:w1", "via"))
            redis.pass_time(31000)
        assert counters(client, job) == {"losses": attempt + 1}
        worker.hello()
    status = client.get(job)
    assert status.state == pb.JOB_STATE_FAILED and status.error.code == pb.ERROR_WORKER_LOST
    assert "10 attempts lost" in status.error.message


def test_hand_backs_are_free_and_end_too(worker, client):
    job = client.submit().id
    for number in range(30):
        assign = worker.take_job()
        assert assign.alone == (number > 20)
        worker.start(assign)
        assert worker.release(assign) == "OK"
    assert client.state(job) == "FAILED" and counters(client, job) == {"handoffs": 20, "losses": 10}


def test_a_suspect_that_was_handed_back_is_a_suspect_still(worker, client):
    client.submit()
    worker.fail(worker.take_job(), "CRASH")
    for _ in range(2):
        assign = worker.take_job()
        assert assign.alone
        worker.release(assign)


def test_a_cancelled_suspect_is_cancelled_however_its_attempt_ends(worker, client):
    for kind in ("CRASH", "LOST", "CANCELLED"):
        job = client.submit().id
        worker.fail(worker.take_job(), "CRASH")
        assign = worker.take_job()
        assert assign.alone and client.cancel(job) == "SIGNALLED"
        worker.fail(assign, kind)
        assert client.state(job) == "CANCELLED"


def test_a_name_that_lives_is_refused_to_another_daemon(redis, broker, peers, client):
    first = peers(Worker, broker, "w1", token="t1", host="alpha pid 7")
    job = client.submit().id
    assign = first.take_job()
    first.start(assign)
    other = peers(Worker, broker, "w1", token="t2", host="beta pid 9", hello=False)
    for _ in range(3):
        with pytest.raises(Refused) as refused:
            other.hello()
        error = refused.value.error
        assert error.code == pb.ERROR_CONFLICT and error.field == "worker" and error.retry_after_ms > 0
        assert "the name w1 is taken by alpha pid 7 since 20" in error.message
    with pytest.raises(Refused):
        peers(Worker, broker, "w1", hello=False).hello()  # without a token it is nobody we know
    assert first.beat((assign, 3)).hello_again is False, "nothing has been taken from the first one"
    assert counters(client, job) == {} and client.state(job) == "RUNNING"
    assert broker.log().count("event=name_taken") >= 1
    again = peers(Worker, broker, "w1", token="t1", host="alpha pid 8")
    assert again.generation > first.generation and client.state(job) == "QUEUED", "the same daemon takes over at once"
    assert counters(client, job) == {"losses": 1}


@pytest.mark.parametrize("end,ms", [("bye", 0), ("silence", 31000), ("gone", 7000)])
def test_a_name_is_free_again(redis, broker, peers, end, ms):
    first = peers(Worker, broker, "w1", token="t1")
    other = peers(Worker, broker, "w1", token="t2", hello=False)
    if end == "bye":
        assert first.bye() == "OK"
    elif end == "gone":
        redis.script("worker_gone", "w1", first.generation, redis.client.hget("dk:worker:w1", "via"))
        with pytest.raises(Refused):
            other.hello()  # a connection may blink
    redis.pass_time(ms)
    assert other.hello().generation > first.generation
    with pytest.raises(Refused):
        first.hello()


def test_a_worker_of_before_restarts_under_its_name(broker, peers):
    """Neither says a token; and it may be upgraded to one that does."""
    first = peers(Worker, broker, "w1")
    second = peers(Worker, broker, "w1")
    third = peers(Worker, broker, "w1", token="t1")
    assert first.generation < second.generation < third.generation


@pytest.mark.parametrize("fields", [dict(token=""), dict(token="a b"), dict(token="t" * 65), dict(token="t", host="h" * 65),
                                    dict(token="t", host="a\nb")])
def test_a_token_is_one_word(broker, peers, fields):
    with pytest.raises(Refused) as refused:
        peers(Worker, broker, "w1", **fields)
    assert refused.value.code == "ERROR_FIELD" and refused.value.error.field in fields


def test_watchers_hear_that_a_running_job_is_being_cancelled(worker, client):
    job = client.submit(watch=True).id
    assign = worker.take_job()
    worker.start(assign)
    assert client.event("STARTED", job)
    assert client.cancel(job) == "SIGNALLED"
    event = client.event("CANCELLING", job)
    assert event.version == client.get(job).version
    assert client.cancel(job) == "SIGNALLED"
    worker.fail(assign, "CANCELLED")
    heard = []
    while not heard or heard[-1] != pb.EVENT_TERMINAL:
        heard.append(client.event(job=job).kind)
    assert pb.EVENT_CANCELLING not in heard, "it is said once"
