"""Leases and fences: who may still speak for a job. The logical clock is moved by the stories, never waited for."""
import time

import pytest
from house import PREFIX, Client, Refused, Worker, pb, until


def running_job(worker, client):
    job = client.submit(watch=True).id
    assign = worker.take_job()
    assert worker.start(assign) == "OK"
    return job, assign


def test_assigned_but_never_started_goes_back_for_free(redis, worker, client):
    job = client.submit().id
    assign = worker.take_job()
    assert redis.pass_time(4999)["lapsed"] == 0
    assert redis.pass_time(2000)["lapsed"] == 1
    status = client.get(job)
    assert status.state == pb.JOB_STATE_QUEUED and (status.handoffs, status.crashes, status.fails) == (1, 0, 0)
    assert worker.start(assign) == "STALE"


def test_an_assignment_that_lapses_for_ever_ends_without_a_verdict(redis, worker, client):
    job = client.submit().id
    for _ in range(40):
        if client.state(job) != "QUEUED":
            break
        worker.take_job()
        redis.pass_time(6000)
    status = client.get(job)
    assert status.state == pb.JOB_STATE_FAILED and (status.handoffs, status.losses, status.crashes) == (20, 10, 0)
    assert status.error.code == pb.ERROR_WORKER_LOST and "none of them proved its fault" in status.error.message


def test_a_silent_worker_loses_its_job_and_every_late_word_is_refused(redis, worker, peers, broker, client):
    job, old = running_job(worker, client)
    assert redis.pass_time(29000)["lapsed"] == 0
    assert redis.pass_time(2000)["lapsed"] == 1
    lost = client.event("REQUEUED", job)
    assert lost.error.code == pb.ERROR_WORKER_LOST and (client.get(job).losses, client.get(job).crashes) == (1, 0)
    assert worker.complete(old) == "STALE", "also while nobody else has it yet"
    second = peers(Worker, broker, "w2")
    new = second.take_job()
    second.start(new)
    assert new.fence > old.fence
    assert list(worker.beat((old, 19)).stale) == [job]
    assert worker.complete(old) == "STALE" and worker.fail(old) == "STALE" and worker.release(old) == "STALE"
    assert worker.start(old) == "STALE"
    assert client.get(job).step == 0, "a stale beat moves nothing"
    assert second.complete(new) == "OK" and client.state(job) == "SUCCEEDED"
    assert worker.complete(old) == "STALE" and client.get(job).fence == new.fence


def test_the_fence_is_compared_equal_and_with_its_worker(redis, peers, broker, worker, client):
    job, assign = running_job(worker, client)
    thief = peers(Worker, broker, "w2")
    assert thief.complete(assign) == "STALE", "another worker's fence"
    forged = pb.Assign(job=assign.job, fence=assign.fence + 1)
    assert worker.complete(forged) == "STALE", "a larger fence is no better"
    worker.generation += 1
    assert worker.complete(assign) == "STALE", "another generation"
    worker.generation -= 1
    assert worker.release(assign) == "OK"
    older, assign = assign, worker.take_job()
    assert worker.start(assign) == "OK"
    assert worker.complete(older) == "STALE" and worker.fail(older) == "STALE", "its own fence of an earlier time"
    assert worker.complete(assign) == "OK"
    assert worker.complete(assign) == "ALREADY" and worker.complete(assign) == "ALREADY"
    assert worker.fail(assign) == "STALE"


def test_beats_renew(redis, worker, client):
    job, assign = running_job(worker, client)
    for step in range(1, 6):
        assert redis.pass_time(25000)["lapsed"] == 0
        assert not worker.beat((assign, step)).stale
    assert client.state(job) == "RUNNING" and client.get(job).step == 5
    worker.beat((assign, 3))
    assert client.get(job).step == 5, "steps do not go back"


def test_a_beat_proves_that_an_assignment_arrived(redis, worker, client):
    job = client.submit().id
    assign = worker.take_job()
    worker.beat((assign, 0))
    assert redis.pass_time(20000)["lapsed"] == 0
    assert worker.start(assign) == "OK" and client.state(job) == "RUNNING"


def test_a_new_generation_closes_the_old_ones_leases(redis, broker, peers, worker, client):
    running, old = running_job(worker, client)
    assigned = client.submit().id
    never_started = worker.take_job()
    reborn = peers(Worker, broker, worker.name)
    assert reborn.generation > worker.generation
    assert client.state(running) == "QUEUED" and (client.get(running).losses, client.get(running).crashes) == (1, 0)
    assert client.state(assigned) == "QUEUED" and client.get(assigned).handoffs == 1
    assert worker.complete(old) == "STALE" and worker.start(never_started) == "STALE"
    assert worker.beat().hello_again
    worker.claim()
    got = worker.take(lambda verb, *_: verb == "ERROR", 2)
    assert got[2].code == pb.ERROR_STALE
    assert {reborn.take_job().job.id, reborn.take_job().job.id} == {running, assigned}


def test_a_closed_connection_cuts_the_lease_and_a_beat_restores_it(redis, broker, context, client, peers):
    worker = Worker(context, broker.endpoint)
    job, assign = running_job(worker, client)
    worker.claim(jobs=1)
    worker.beat((assign, 1))
    worker.close()
    until(lambda: float(redis.client.zscore(PREFIX + "leases", job)) < 10000, 5, "a cut lease")
    left = float(redis.client.zscore(PREFIX + "leases", job)) - float(redis.client.get(PREFIX + "clk"))
    assert 2000 < left <= 6000, "there is time to come back"
    assert client.ask("STATUS").worker[0].state == "gone"
    back = peers(Worker, broker, hello=False)
    back.generation = worker.generation
    orders = back.beat((assign, 2))
    assert orders.claim_again and not orders.hello_again and not orders.stale
    assert redis.pass_time(20000)["lapsed"] == 0
    assert back.complete(assign) == "OK" and client.ask("STATUS").worker[0].state == "ready"


def test_a_closed_connection_without_return_frees_the_job_soon(redis, broker, context, client):
    worker = Worker(context, broker.endpoint)
    job, assign = running_job(worker, client)
    worker.claim(jobs=1)
    worker.beat((assign, 1))
    worker.close()
    until(lambda: float(redis.client.zscore(PREFIX + "leases", job)) < 10000, 5, "a cut lease")
    assert redis.pass_time(7000)["lapsed"] == 1
    assert client.state(job) == "QUEUED" and (client.get(job).losses, client.get(job).crashes) == (1, 0)


def test_a_worker_that_moved_to_another_broker_is_not_cut(redis, brokers, context):
    one, other = brokers(), brokers()
    client = Client(context, other.endpoint)
    worker = Worker(context, one.endpoint)
    job, assign = running_job(worker, client)
    worker.claim(jobs=1)
    worker.beat((assign, 1))
    moved = Worker(context, other.endpoint, hello=False)
    moved.generation = worker.generation
    moved.beat((assign, 2))
    worker.close()
    until(lambda: "worker_connection_closed" in one.log())
    time.sleep(0.1)
    assert float(redis.client.zscore(PREFIX + "leases", job)) > 20000
    assert moved.complete(assign) == "OK"
    moved.close(), client.close()


def test_a_worker_whose_connection_has_closed_is_offered_nothing(redis, broker, context, peers, client):
    worker = Worker(context, broker.endpoint)
    worker.claim(jobs=4)
    worker.beat()
    worker.close()
    until(lambda: "worker_connection_closed" in broker.log())
    job = client.submit().id
    assert client.state(job) == "QUEUED" and client.get(job).handoffs == 0
    assert peers(Worker, broker, "w2").take_job().job.id == job


def test_what_cannot_be_pushed_goes_back_at_once(redis, worker, client):
    """At once is told by what closed the attempt: a release, and not the end of its lease."""
    job = client.submit().id
    packed = redis.record(job)["job"]
    redis.client.hset(PREFIX + "job:" + job, "job", b"\xff")
    worker.claim(jobs=1)
    assert until(lambda: redis.record(job).get("closing"), 15) == "release"
    redis.client.hset(PREFIX + "job:" + job, "job", packed)
    assert client.state(job) == "QUEUED" and client.get(job).handoffs == 1
    assert worker.take_job().job.id == job


def test_bye_hands_everything_back(redis, worker, peers, broker, client):
    running, _ = running_job(worker, client)
    assigned = client.submit().id
    worker.take_job()
    assert worker.bye() == "OK"
    for job in (running, assigned):
        assert client.state(job) == "QUEUED" and client.get(job).handoffs == 1
    assert worker.bye() == "OK"
    assert client.ask("STATUS").worker[0].state == "gone"


def test_the_clock_is_carried_by_ticks_and_never_jumps(redis, broker):
    first = int(redis.client.get(PREFIX + "clk") or 0)
    until(lambda: int(redis.client.get(PREFIX + "clk")) > first, 3)
    wall = int(redis.client.get(PREFIX + "clk:wall"))
    for jump in (-3600_000, 3600_000):
        redis.client.set(PREFIX + "clk:wall", wall - jump)
        before = int(redis.client.get(PREFIX + "clk"))
        assert 0 <= redis.script("tick") - before <= 1500


def test_silent_workers_are_shown_as_gone_and_forgotten_later(redis, worker, client):
    redis.pass_time(31000)
    assert client.ask("STATUS").worker[0].state == "gone"
    worker.beat()
    assert client.ask("STATUS").worker[0].state == "ready"
    redis.pass_time(3700_000)
    assert not client.ask("STATUS").worker
    assert worker.beat().hello_again
    with pytest.raises(Refused):
        client.submit(model="other")


def state_of(client, worker):
    return [row.state for row in client.ask("STATUS").worker if row.id == worker.name][0]


def test_the_credits_of_a_worker_that_does_not_listen_are_dropped(redis, worker, client):
    """It granted three, and has not been heard since: one job is lost to that, not three."""
    worker.claim(jobs=3)
    worker.beat()
    first = client.submit().id
    assert worker.assigned().job.id == first
    later = []
    for _ in range(3):
        redis.pass_time(5500)
        later.append(client.submit().id)
    assert worker.assigned(0.7) is None, "it was given more"
    assert client.get(first).handoffs == 1 and all(client.get(job).handoffs == 0 for job in later)
    assert state_of(client, worker) == "silent"
    assert worker.beat().claim_again, "its credits are to be said again"
    assert state_of(client, worker) == "ready" and worker.assigned(0.7) is None
    worker.claim(jobs=4)
    assert {worker.assigned().job.id for _ in range(4)} == {first, *later}


def test_a_claim_is_a_word_too(redis, worker, client):
    worker.claim(jobs=2)
    job = client.submit().id
    worker.assigned()
    redis.pass_time(5500)
    assert state_of(client, worker) == "silent"
    assert worker.take_job().job.id == job and state_of(client, worker) == "ready"


def test_another_worker_gets_at_once_what_the_silent_one_is_not_given(redis, broker, worker, peers, client):
    other = peers(Worker, broker, "w2")
    worker.claim(jobs=4)
    worker.beat()
    lost = client.submit().id
    assert worker.assigned().job.id == lost
    other.claim(jobs=8)
    other.beat()
    redis.pass_time(5500)
    assert other.assigned(2).job.id == lost
    jobs = [client.submit().id for _ in range(5)]
    assert [other.assigned(2).job.id for _ in jobs] == jobs
    assert worker.assigned(0.2) is None


def test_a_lost_assignment_is_not_held_against_a_worker_that_is_heard(redis, worker, client):
    worker.claim(jobs=3)
    job = client.submit().id
    worker.assigned()  # and let us say that it never came
    redis.pass_time(3000)
    assert not worker.beat().claim_again
    redis.pass_time(3000)
    assert client.get(job).handoffs == 1 and state_of(client, worker) == "ready"
    assert worker.assigned().job.id == job, "its credits still count"


def test_a_worker_gone_for_long_is_given_nothing_for_old_credits(redis, worker, client):
    worker.claim(jobs=2)
    worker.beat()
    redis.pass_time(31000)
    job = client.submit().id
    assert worker.assigned(0.7) is None and client.state(job) == "QUEUED"
    assert worker.beat().claim_again
    assert worker.take_job().job.id == job


def test_a_draining_worker_is_shown_and_given_nothing(redis, worker, broker, peers, client):
    running, assign = running_job(worker, client)
    worker.claim(jobs=3)
    assert not worker.beat((assign, 1), draining=True).stale
    assert state_of(client, worker) == "draining"
    worker.claim(jobs=3)  # a fresh claim says no more than the old one
    waiting = client.submit().id
    assert worker.assigned(0.7) is None and client.state(waiting) == "QUEUED"
    assert "no live worker has model demo" in " ".join(client.explain(waiting))
    heir = peers(Worker, broker, "heir")
    assert heir.take_job().job.id == waiting
    assert redis.pass_time(25000)["lapsed"] == 1, "its lease goes on, only the heir said no START"
    assert worker.complete(assign) == "OK" and worker.bye() == "OK"
    assert state_of(client, worker) == "gone" and client.state(running) == "SUCCEEDED"
