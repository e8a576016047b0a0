"""The path of one job, and every read verb along it."""
import pytest
from house import Client, Refused, Worker, pb, picture


def test_submit_claim_start_beat_complete(redis, broker, peers):
    worker = peers(Worker, broker)
    client = peers(Client, broker)
    submitted = client.submit("a lake", watch=True, seed=7, steps=20)
    assert submitted.state == pb.JOB_STATE_QUEUED and not submitted.existed and submitted.seed == 7
    job = submitted.id
    queued = client.event("QUEUED", job)
    assert queued.position == 0

    assign = worker.take_job()
    assert assign.job.id == job and assign.job.prompt == "a lake" and assign.job.tenant == "default"
    assert (assign.job.model, assign.job.width, assign.job.height, assign.job.steps) == ("demo", 128, 128, 20)
    assert worker.start(assign) == "OK"
    started = client.event("STARTED", job)
    assert started.worker == "w1" and started.fence == assign.fence

    orders = worker.beat((assign, 5))
    assert not orders.cancel and not orders.stale and not orders.hello_again and not orders.claim_again
    step = client.event("STEP", job)
    assert (step.step, step.steps) == (5, 20) and step.version > started.version
    worker.beat((assign, 20, [picture()]))
    assert client.event("IMAGE", job).image == picture()

    assert worker.complete(assign, timings=pb.Timings(denoise_us=5)) == "OK"
    end = client.event("TERMINAL", job)
    assert end.status.state == pb.JOB_STATE_SUCCEEDED and list(end.status.images) == [picture()]
    assert end.status.timings.denoise_us == 5 and end.status.timings.total_us > 0 and end.status.timings.HasField("queue_us")
    status = client.get(job)
    assert status.state == pb.JOB_STATE_SUCCEEDED and status.job.seed == 7 and status.finished_ms >= status.submitted_ms > 0


def test_a_waiting_worker_gets_a_new_job_at_once(worker, client):
    worker.claim(jobs=1)
    job = client.submit().id
    assert worker.assigned(2).job.id == job
    client.submit()
    assert worker.assigned(0.3) is None, "one credit, one job"


def test_models_status_list_explain(redis, worker, client):
    models = client.ask("MODELS")
    assert models.default_model == "demo"
    assert [(m.id, m.family, m.default_side, m.max_side, m.workers) for m in models.model] == [("demo", "sd1", 128, 256, 1)]
    first, second = client.submit(priority=pb.PRIORITY_BULK).id, client.submit().id
    assign = worker.take_job()
    assert assign.job.id == second
    status = client.ask("STATUS")
    assert (status.queued, status.running) == (1, 1)
    assert [(w.id, w.state, w.running, list(w.model)) for w in status.worker] == [("w1", "ready", 1, ["demo"])]
    assert [job.id for job in client.list()] == [second, first]
    assert [job.id for job in client.list(pb.JOB_STATE_QUEUED)] == [first]
    assert [job.id for job in client.list(pb.JOB_STATE_QUEUED, pb.JOB_STATE_ASSIGNED, limit=1)] == [second]
    assert "waits for one to ask" in " ".join(client.explain(first)), client.explain(first)
    assert "given to worker w1" in client.explain(second)[0]
    worker.start(assign)
    assert "running on worker w1" in client.explain(second)[0]


def test_what_keeps_pictures_from_the_store_is_told(redis, worker, client):
    """A worker's trouble is shown by EXPLAIN of what it holds and of what waits for it, and by STATUS; a beat without it ends it."""
    held = client.submit().id
    assign = worker.take_job()
    worker.start(assign)
    waits = client.submit().id
    words = "the store refuses: HTTP 403 QuotaExceeded"
    worker.beat((assign, 20), trouble=words)
    assert f"its pictures wait in the spool of worker {worker.name}: {words}" in client.explain(held)
    assert f"1 of them cannot deliver and soon take nothing; worker {worker.name} says: {words}" in client.explain(waits)
    assert [info.trouble for info in client.ask("STATUS", pb.Status()).worker] == [words]
    with pytest.raises(Refused) as refused:
        worker.beat((assign, 20), trouble="x" * 501)
    assert refused.value.error.field == "trouble"
    worker.beat((assign, 20))
    assert not any(words in line for job in (held, waits) for line in client.explain(job))
    worker.beat((assign, 20), trouble=words)
    worker.hello()
    assert not any(words in line for line in client.explain(waits)), "a new life begins well"
