"""Every arrow of the state picture, by real messages; time passes only where a story says so."""
import pytest
from house import Client, Refused, Worker, pb, picture


def test_fail_retry_delays_and_comes_back(redis, worker, client):
    job = client.submit(watch=True).id
    assign = worker.take_job()
    worker.start(assign)
    assert worker.fail(assign, message="out of luck") == "OK"
    requeued = client.event("REQUEUED", job)
    assert requeued.state == pb.JOB_STATE_DELAYED and requeued.error.message == "out of luck"
    assert client.state(job) == "DELAYED"
    assert "delayed: it is tried again in" in client.explain(job)[0]
    assert redis.pass_time(400)["lapsed"] == 0 and client.state(job) == "DELAYED", "not before half of the backoff"
    redis.pass_time(1200)
    assert client.event("QUEUED", job)
    again = worker.take_job()
    assert again.fence > assign.fence
    assert worker.start(again) == "OK" and worker.complete(again) == "OK"
    status = client.get(job)
    assert (status.fails, status.crashes, status.handoffs) == (1, 0, 0) and not status.HasField("error")


def test_each_retry_waits_twice_as_long(redis, worker, client):
    job = client.submit().id
    for fails in range(1, 5):
        before = float(redis.client.get("dk:clk"))
        assert worker.fail(worker.take_job()) == "OK"
        wait = float(redis.record(job)["due"]) - before
        assert 500 * 2 ** (fails - 1) <= wait <= 1500 * 2 ** (fails - 1) + 1000, "between a half and one and a half of it"
        redis.pass_time(int(wait) + 1)
    assert wait >= 4000, "the fourth wait is eight times the first"


def test_fails_are_bounded(redis, worker, client):
    job = client.submit().id
    for fails in range(1, 5):
        assign = worker.take_job()
        assert worker.fail(assign) == "OK" and client.state(job) == "DELAYED"
        redis.pass_time(1500 * 2 ** (fails - 1) + 1)
    assert worker.fail(worker.take_job(), message="the fifth") == "OK"
    status = client.get(job)
    assert status.state == pb.JOB_STATE_FAILED and status.fails == 5
    assert status.error.code == pb.ERROR_ENGINE and status.error.message == "the fifth"


def test_fail_permanent(worker, client):
    job = client.submit(watch=True).id
    assign = worker.take_job()
    worker.start(assign)
    assert worker.fail(assign, "PERMANENT", "ERROR_NUMERIC", "x" * 2000) == "OK"
    end = client.event("TERMINAL", job)
    assert end.status.state == pb.JOB_STATE_FAILED and end.status.error.code == pb.ERROR_NUMERIC
    assert len(end.status.error.message) == 500, "error texts are cut"
    assert worker.fail(assign, "PERMANENT") == "ALREADY"


def test_crashes_on_two_workers_quarantine(redis, peers, broker, client):
    workers = [peers(Worker, broker, name) for name in ("w1", "w1-too", "w2")]
    job = client.submit(watch=True).id
    for worker, state in zip((workers[0], workers[0], workers[2]), ("QUEUED", "QUEUED", "QUARANTINED")):
        assign = worker.take_job()
        worker.start(assign)
        assert worker.fail(assign, "CRASH", "ERROR_ENGINE", "signal 11") == "OK"
        assert client.state(job) == state
    status = client.event("TERMINAL", job).status
    assert status.state == pb.JOB_STATE_QUARANTINED and status.crashes == 2 and status.error.code == pb.ERROR_WORKER_LOST


def test_three_crashes_of_one_worker_quarantine(worker, client):
    job = client.submit().id
    for state in ("QUEUED", "QUEUED", "QUEUED", "QUARANTINED"):  # the first proves nothing: it makes a suspect
        assign = worker.take_job()
        worker.start(assign)
        worker.fail(assign, "CRASH")
        assert client.state(job) == state


def quarantined(worker, client, **fields):
    job = client.submit(**fields).id
    for _ in range(4):
        assign = worker.take_job()
        worker.start(assign)
        worker.fail(assign, "CRASH")
    assert client.state(job) == "QUARANTINED"
    return job


def test_requeue_gives_a_quarantined_job_a_fresh_start(redis, worker, client):
    job = quarantined(worker, client)
    later = client.submit().id
    assert "an operator can requeue or bury it for 72.0 h" in " ".join(client.explain(job))
    assert client.review("REQUEUE", job) == (True, "QUEUED")
    assert client.review("REQUEUE", job) == (False, "QUEUED"), "said twice"
    status = client.get(job)
    assert (status.state, status.crashes, status.handoffs, status.losses) == (pb.JOB_STATE_QUEUED, 0, 0, 0) and not status.HasField("finished_ms")
    assert "requeued it from quarantine (1 so far)" in " ".join(client.explain(job))
    client.watch(job)
    assert client.event("QUEUED", job)
    assign = worker.take_job()
    assert assign.job.id == job and not assign.alone, "in front of what came after it, and no suspect any more"
    worker.start(assign)
    worker.fail(assign, "CRASH")
    assert client.state(job) == "QUEUED", "its earlier crashes are forgotten"
    assign = worker.take_job()
    assert worker.start(assign) == "OK" and worker.complete(assign) == "OK"
    assert client.event("TERMINAL", job).status.state == pb.JOB_STATE_SUCCEEDED
    assert client.review("REQUEUE", job) == (False, "SUCCEEDED") and client.review("BURY", job) == (False, "SUCCEEDED")
    assert client.state(later) == "QUEUED"
    assert redis.client.hmget("dk:count", "QUARANTINED", "SUCCEEDED") == [b"0", b"1"]


def test_requeue_forgets_every_count(redis, worker, client):
    job = client.submit().id
    worker.fail(worker.take_job())
    redis.pass_time(2000)
    for _ in range(2):
        worker.take_job()
        redis.pass_time(6000)
    for _ in range(4):
        assign = worker.take_job()
        worker.start(assign)
        worker.fail(assign, "CRASH")
    before = client.get(job)
    assert (before.state, before.fails, before.crashes) == (pb.JOB_STATE_QUARANTINED, 1, 3)
    assert (before.handoffs, before.losses) == (2, 1)
    assert client.review("REQUEUE", job) == (True, "QUEUED")
    after = client.get(job)
    assert (after.fails, after.crashes, after.handoffs, after.losses) == (0, 0, 0, 0) and redis.record(job)["crashers"] == ""


def test_bury_ends_a_quarantined_job(redis, broker, worker, client):
    job = quarantined(worker, client)
    assert client.review("BURY", job) == (True, "FAILED") and client.review("BURY", job) == (False, "FAILED")
    assert client.review("REQUEUE", job) == (False, "FAILED")
    status = client.get(job)
    assert status.crashes == 3 and status.error.code == pb.ERROR_WORKER_LOST, "why it was quarantined is still said"
    assert redis.client.hmget("dk:count", "QUARANTINED", "FAILED") == [b"0", b"1"]
    assert f"event=job_buried job={job} by=operator" in broker.log()
    for verb in ("REQUEUE", "BURY"):
        with pytest.raises(Refused) as refused:
            client.review(verb, "nobody")
        assert refused.value.code == "ERROR_NOT_FOUND"


def test_quarantine_ends_by_itself_after_three_days(redis, worker, client):
    job = quarantined(worker, client)
    redis.pass_time(72 * 3600000 - 1000, retention_ms=1000)
    assert client.state(job) == "QUARANTINED", "retention begins when it has failed for good"
    redis.pass_time(2000, retention_ms=1000)
    assert client.state(job) == "FAILED"
    redis.pass_time(2000, retention_ms=1000)
    with pytest.raises(Refused):
        client.get(job)


def test_a_quarantined_job_past_its_deadline_can_only_be_buried(redis, worker, client):
    job = quarantined(worker, client, deadline_ms=1000)
    redis.pass_time(1001)
    assert client.state(job) == "QUARANTINED"
    with pytest.raises(Refused) as refused:
        client.review("REQUEUE", job)
    assert refused.value.code == "ERROR_TERMINAL" and "deadline" in refused.value.error.message
    assert client.review("BURY", job) == (True, "FAILED")


def test_release_goes_to_the_front_and_costs_nothing(worker, client):
    jobs = [client.submit().id for _ in range(3)]
    assign = worker.take_job()
    assert assign.job.id == jobs[0]
    worker.start(assign)
    assert worker.release(assign) == "OK"
    assert worker.release(assign) == "ALREADY"
    again = worker.take_job()
    assert again.job.id == jobs[0]
    status = client.get(jobs[0])
    assert (status.fails, status.crashes, status.handoffs) == (0, 0, 1)


def test_cancel_in_every_state(redis, worker, client):
    def new(steps):
        job = client.submit(watch=True).id
        assign = worker.take_job() if steps else None
        if steps > 1:
            worker.start(assign)
        return job, assign

    queued, _ = new(0)
    assert client.cancel(queued) == "REMOVED" and client.state(queued) == "CANCELLED"
    assert client.event("TERMINAL", queued).status.state == pb.JOB_STATE_CANCELLED
    assert client.cancel(queued) == "ALREADY"

    delayed, assign = new(2)
    worker.fail(assign)
    assert client.cancel(delayed) == "REMOVED" and client.state(delayed) == "CANCELLED"

    assigned, assign = new(1)
    assert client.cancel(assigned) == "SIGNALLED" and client.state(assigned) == "ASSIGNED"
    assert worker.start(assign) == "CANCELLED" and client.state(assigned) == "CANCELLED"

    running, assign = new(2)
    assert client.cancel(running) == "SIGNALLED" and client.cancel(running) == "SIGNALLED"
    assert "a cancel was asked for" in " ".join(client.explain(running))
    assert list(worker.beat((assign, 3)).cancel) == [running]
    assert worker.fail(assign, "CANCELLED") == "OK" and client.state(running) == "CANCELLED"
    assert client.event("TERMINAL", running).status.state == pb.JOB_STATE_CANCELLED

    late, assign = new(2)
    client.cancel(late)
    assert worker.complete(assign) == "CANCELLED", "the cancel was recorded first"
    assert worker.complete(assign) == "CANCELLED" and client.state(late) == "CANCELLED"

    lost, assign = new(2)
    client.cancel(lost)
    assert redis.pass_time(30001)["cancelled"] == 1 and client.state(lost) == "CANCELLED"

    handed, assign = new(2)
    client.cancel(handed)
    assert worker.release(assign) == "CANCELLED"

    done, assign = new(2)
    worker.complete(assign)
    assert client.cancel(done) == "ALREADY" and client.state(done) == "SUCCEEDED"
    with pytest.raises(Refused) as refused:
        client.cancel("nobody")
    assert refused.value.code == "ERROR_NOT_FOUND"


def test_a_worker_that_stops_unasked_hands_back(worker, client):
    job = client.submit().id
    assign = worker.take_job()
    worker.start(assign)
    assert worker.fail(assign, "CANCELLED") == "OK"
    assert client.state(job) == "QUEUED" and client.get(job).handoffs == 1


def test_deadline(redis, worker, client):
    waiting = client.submit(deadline_ms=1000, watch=True).id
    assert "it expires in" in " ".join(client.explain(waiting))
    assert redis.pass_time(1001)["expired"] == 1
    status = client.event("TERMINAL", waiting).status
    assert status.state == pb.JOB_STATE_EXPIRED and "deadline" in status.error.message

    delayed = client.submit(deadline_ms=1000).id
    worker.fail(worker.take_job())
    redis.client.incrby("dk:clk", 1001)
    assert redis.script("sweep", 10 ** 9)[3] == 1 and client.state(delayed) == "EXPIRED"

    assigned = client.submit(deadline_ms=1000).id
    assign = worker.take_job()
    redis.client.incrby("dk:clk", 1001)
    assert worker.start(assign) == "STALE" and client.state(assigned) == "EXPIRED", "it never starts late"

    running = client.submit(deadline_ms=1000).id
    assign = worker.take_job()
    worker.start(assign)
    redis.pass_time(1001)
    assert worker.complete(assign) == "OK" and client.state(running) == "SUCCEEDED", "what has started may end"


def test_claim_does_not_give_out_the_expired(redis, worker, client):
    late, fine = client.submit(deadline_ms=1000).id, client.submit().id
    redis.client.incrby("dk:clk", 1001)
    worker.claim(jobs=2)
    assert worker.assigned().job.id == fine
    assert client.state(late) == "EXPIRED"


def test_ended_jobs_are_forgotten_after_retention(redis, worker, client):
    job = client.submit(id="mine").id
    assign = worker.take_job()
    worker.complete(assign)
    redis.pass_time(999, retention_ms=1000)
    assert client.state(job) == "SUCCEEDED"
    redis.pass_time(2, retention_ms=1000)
    with pytest.raises(Refused):
        client.get(job)
    assert not client.submit(id="mine", prompt="other").existed, "the id is free again"
    assert redis.client.exists("dk:job:mine")


def test_images_and_seed_of_many(worker, client):
    submitted = client.submit(images=3, steps=4)
    assert 0 <= submitted.seed <= 2 ** 53 - 1
    assign = worker.take_job()
    assert assign.job.seed == submitted.seed and assign.job.images == 3
    pictures = [picture(i, submitted.seed + i) for i in range(3)]
    worker.start(assign)
    worker.complete(assign, pictures)
    assert list(client.get(submitted.id).images) == pictures
