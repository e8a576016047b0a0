"""SUBMIT: the same id again, what is filled in, what is refused."""
import threading

import pytest
from house import Client, Refused, Worker, pb, until


def test_same_id_same_content_is_the_same_job(worker, client):
    first = client.submit(id="job-1", steps=9)
    again = client.submit(id="job-1", steps=9)
    assert not first.existed and again.existed and again.id == first.id and again.seed == first.seed
    assign = worker.take_job()
    worker.complete(assign)
    after = client.submit(id="job-1", steps=9, watch=True)
    assert after.existed and after.state == pb.JOB_STATE_SUCCEEDED
    assert client.event("TERMINAL", "job-1").status.state == pb.JOB_STATE_SUCCEEDED
    worker.claim()
    assert worker.assigned(0.3) is None, "it does not run twice"


def test_same_id_other_content_is_a_conflict(worker, client):
    client.submit(id="job-1", steps=9)
    with pytest.raises(Refused) as refused:
        client.submit(id="job-1", steps=10)
    assert refused.value.code == "ERROR_CONFLICT" and refused.value.error.field == "id"


def test_one_job_from_many_threads_over_two_brokers(redis, brokers, context):
    both = [brokers(), brokers()]
    worker = Worker(context, both[0].endpoint)
    answers = []

    def submit(number):
        client = Client(context, both[number % 2].endpoint)
        answers.append(client.submit(id="the-one"))
        client.close()

    threads = [threading.Thread(target=submit, args=(i,)) for i in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 20 and sum(not answer.existed for answer in answers) == 1
    assert len({answer.seed for answer in answers}) == 1
    worker.close()


def test_ids_sort_by_time(worker, client):
    ids = [client.submit().id for _ in range(5)]
    assert len(set(ids)) == 5 and all(len(job) == 26 for job in ids)
    assert [job[:10] for job in ids] == sorted(job[:10] for job in ids)


def test_no_worker_ever(client):
    with pytest.raises(Refused) as refused:
        client.submit()
    assert refused.value.code == "ERROR_UNAVAILABLE" and refused.value.error.retry_after_ms > 0
    with pytest.raises(Refused) as refused:
        client.submit(steps=0)
    assert refused.value.code == "ERROR_FIELD" and refused.value.error.field == "steps", "bad input is named first"


def test_unknown_model_names_the_known(worker, client):
    with pytest.raises(Refused) as refused:
        client.submit(model="demon")
    assert refused.value.code == "ERROR_UNKNOWN_MODEL" and refused.value.error.limit == "demo"


def test_a_model_of_another_brokers_worker_is_known_at_once(redis, brokers, peers):
    one, other = brokers(), brokers()
    peers(Worker, one, models=["new"])
    assert peers(Client, other).submit(model="new").id


def test_models_outlive_their_workers(redis, broker, worker, client):
    assert worker.bye() == "OK"
    redis.pass_time(24 * 3600 * 1000)
    job = client.submit().id
    assert "no live worker has model demo" in client.explain(job)
    assert client.ask("MODELS").model[0].workers == 0
    assert list(client.ask("STATUS").worker) == []


@pytest.mark.parametrize("fields,field", [
    (dict(width=1024), "width"), (dict(height=264), "height"), (dict(width=100), "width"), (dict(steps=1001), "steps"),
    (dict(guidance_scale=float("nan")), "guidance_scale"), (dict(images=0), "images"), (dict(id="a b"), "id"),
    (dict(prompt="x" * 9000), "prompt"), (dict(seed=2 ** 53), "seed"),
])
def test_bad_fields_are_named(worker, client, fields, field):
    with pytest.raises(Refused) as refused:
        client.submit(**fields)
    assert refused.value.code == "ERROR_FIELD" and refused.value.error.field == field and refused.value.error.limit


def test_the_largest_worker_decides_what_is_accepted_and_size_finds_it(redis, broker, peers, client):
    small, large = peers(Worker, broker, "small", max_side=128), peers(Worker, broker, "large", max_side=256)
    until(lambda: client.ask("MODELS").model[0].workers == 2)
    big, little = client.submit(width=256).id, client.submit(width=128).id
    assert client.ask("MODELS").model[0].max_side == 128
    assert small.take_job().job.id == little, "what is too large for it does not stand in its way"
    assert large.take_job().job.id == big


def test_explain_names_the_size_that_nobody_takes(redis, broker, peers, client):
    large = peers(Worker, broker, "large", max_side=256)
    peers(Worker, broker, "small", max_side=128)
    until(lambda: client.ask("MODELS").model[0].workers == 2)
    job = client.submit(width=256).id
    large.bye()
    until(lambda: client.ask("MODELS").model[0].workers == 1)
    assert "no live worker takes 256 pixels of model demo" in " ".join(client.explain(job))


def test_a_full_queue_says_so(redis, brokers, peers):
    broker = brokers("--queue-max", "2")
    peers(Worker, broker)
    client = peers(Client, broker)
    client.submit(), client.submit(id="second")
    with pytest.raises(Refused) as refused:
        client.submit()
    assert refused.value.code == "ERROR_EXHAUSTED" and refused.value.error.retry_after_ms > 0
    assert client.submit(id="second").existed


def test_what_a_job_names_beside_its_model_must_be_there(brokers, context, client, redis):
    broker = brokers()
    extras = [pb.ExtraInfo(kind=pb.EXTRA_ADAPTER, id="ink"), pb.ExtraInfo(kind=pb.EXTRA_ADAPTER, id="moss"),
              pb.ExtraInfo(kind=pb.EXTRA_CONTROL, id="canny")]
    worker = Worker(context, broker.endpoint, hello=False)
    worker.extra = extras
    worker.hello()
    client.submit(id="fine", adapter=[pb.Adapter(name="ink"), pb.Adapter(name="moss")])
    assert redis.record("fine")["extras"] == "2 ink\n2 moss", "hints stand beside the packed job"
    for fields, field, limit in ((dict(adapter=[pb.Adapter(name="inc")]), "adapter.name", "ink, moss"),
                                 (dict(adapter=[pb.Adapter(name="canny")]), "adapter.name", "ink, moss"),
                                 (dict(embedding=[pb.Embedding(token="x", name="ink")]), "embedding.name", "none"),
                                 (dict(refiner=pb.Refiner(model="finish")), "model", "demo")):
        with pytest.raises(Refused) as refused:
            client.submit(**fields)
        assert refused.value.code == "ERROR_UNKNOWN_MODEL", refused.value.error
        assert refused.value.error.field == field and refused.value.error.limit == limit, refused.value.error
    listed = {(extra.kind, extra.id, extra.workers) for extra in client.ask("MODELS").extra}
    assert listed == {(pb.EXTRA_ADAPTER, "ink", 1), (pb.EXTRA_ADAPTER, "moss", 1), (pb.EXTRA_CONTROL, "canny", 1)}
    worker.bye()
    until(lambda: not any(row.state == "ready" for row in client.ask("STATUS").worker), 10, "the worker's leaving")
    client.submit(adapter=[pb.Adapter(name="inc")])  # a fleet scaled to zero cannot say no
    worker.close()


def test_the_second_pass_is_held_to_the_workers_size_too(brokers, context, client):
    broker = brokers()
    small = Worker(context, broker.endpoint, name="small", max_side=128)
    large = Worker(context, broker.endpoint, name="large", max_side=512)
    until(lambda: client.ask("MODELS").model[0].workers == 2, 10, "the fleet's being known")
    small.claim(1)
    job = client.submit(width=64, height=64, upscale=pb.Upscale(width=256, height=256)).id
    assert small.assigned(0.5) is None
    assert large.take_job().job.id == job
    for upscale, field in ((pb.Upscale(width=1024, height=256), "upscale.width"),
                           (pb.Upscale(width=64, height=64), "upscale")):  # a job without a size has 128x128
        with pytest.raises(Refused) as refused:
            client.submit(upscale=upscale)
        assert refused.value.code == "ERROR_FIELD" and refused.value.error.field == field, refused.value.error
    small.close()
    large.close()


def test_a_job_goes_only_to_a_worker_that_has_what_it_names(brokers, context, client, redis):
    broker = brokers()
    plain = Worker(context, broker.endpoint, name="plain", slots=4)
    inked = Worker(context, broker.endpoint, name="inked", models=("demo", "finish"), hello=False)
    inked.extra = [pb.ExtraInfo(kind=pb.EXTRA_ADAPTER, id="ink"), pb.ExtraInfo(kind=pb.EXTRA_CONTROL, id="in")]
    inked.hello()
    plain.claim(4, model="demo")
    for fields in (dict(adapter=[pb.Adapter(name="ink")]), dict(refiner=pb.Refiner(model="finish"))):
        job = client.submit(**fields).id
        other = client.submit().id
        assert plain.assigned().job.id == other, "one that names nothing is behind it in the line"
        assert client.state(job) == "QUEUED"
        inked.claim(1, model="demo")
        assign = inked.assigned()
        assert assign.job.id == job
        inked.start(assign)
        inked.complete(assign)
    plain.close()
    inked.close()


def tiny_workers(context, broker):
    """A worker without a tiny decoder, and one with one for the family of its model."""
    made = []
    for name, extra in (("plain", []), ("sd1", [pb.ExtraInfo(kind=pb.EXTRA_TINY, id="taesd", family="sd1")])):
        worker = Worker(context, broker.endpoint, name=name, hello=False)
        worker.extra = extra
        worker.hello()
        made.append(worker)
    return made


TINY = (dict(tiny_decoder=True), dict(preview_every=5, preview_kind=pb.PREVIEW_TINY))


def test_who_wants_the_tiny_decoder_goes_where_one_is(brokers, context, client, redis):
    plain, sd1 = tiny_workers(context, brokers())
    plain.claim(4)
    for fields in TINY:
        job, other = client.submit(**fields).id, client.submit().id
        assert redis.record(job)["extras"] == "tiny demo"
        assert plain.assigned().job.id == other, "one that wants none is behind it in the line"
        assert client.state(job) == "QUEUED"
        sd1.claim(1)
        assign = sd1.assigned()
        assert assign.job.id == job
        sd1.start(assign)
        sd1.complete(assign)
    job = client.submit(preview_every=5).id  # looks straight from the latents need none
    assert plain.assigned().job.id == job
    sd1.bye()
    until(lambda: {row.id: row.state for row in client.ask("STATUS").worker}["sd1"] == "gone", 10, "its leaving")
    job = client.submit(tiny_decoder=True).id
    assert "none of the 1 workers with model demo has all that it names beside it" in " ".join(client.explain(job))
    plain.close()
    sd1.close()


@pytest.mark.parametrize("fields, field", zip(TINY, ("tiny_decoder", "preview_kind")))
def test_a_tiny_decoder_that_nobody_has_is_refused(brokers, context, client, fields, field):
    broker = brokers()
    plain = Worker(context, broker.endpoint, name="plain", hello=False)
    plain.extra = [pb.ExtraInfo(kind=pb.EXTRA_TINY, id="taesdxl", family="sdxl")]
    plain.hello()
    with pytest.raises(Refused) as refused:
        client.submit(**fields)
    error = refused.value.error
    assert refused.value.code == "ERROR_UNKNOWN_MODEL" and error.field == field and error.limit == "none", error
    assert "no worker has a tiny decoder for model demo" in error.message
    any_family = Worker(context, broker.endpoint, name="any", hello=False)
    any_family.extra = [pb.ExtraInfo(kind=pb.EXTRA_TINY, id="tiny")]  # whose family the table leaves open
    any_family.hello()
    job = client.submit(**fields).id
    assert any_family.take_job().job.id == job
    plain.close()
    any_family.close()


def test_what_a_worker_has_is_known_while_it_is_started_again(brokers, context, client):
    broker = brokers()
    plain = Worker(context, broker.endpoint, name="plain")
    inked = Worker(context, broker.endpoint, name="inked", hello=False)
    inked.extra = [pb.ExtraInfo(kind=pb.EXTRA_ADAPTER, id="ink")]
    inked.hello()
    inked.bye()
    until(lambda: {row.id: row.state for row in client.ask("STATUS").worker}["inked"] == "gone", 10, "its leaving")
    job = client.submit(adapter=[pb.Adapter(name="ink")]).id
    assert [(extra.id, extra.workers) for extra in client.ask("MODELS").extra] == [("ink", 0)]
    with pytest.raises(Refused):
        client.submit(adapter=[pb.Adapter(name="inc")])
    plain.claim(1)
    assert plain.assigned(0.5) is None
    assert "none of the 1 workers with model demo has all that it names beside it" in " ".join(client.explain(job))
    inked.hello()
    assert inked.take_job().job.id == job
    plain.close()
    inked.close()


def test_a_field_that_was_wrong_is_named_in_the_status(worker, client):
    client.submit(id="job-1", image=pb.Blob(url="s3://a/b"))
    assign = worker.take_job()
    worker.close_with("FAIL", pb.Fail, assign, kind=pb.FAIL_PERMANENT,
                      error=pb.Error(code=pb.ERROR_INPUT, field="image", message="it is no picture"))
    status = client.get("job-1")
    assert status.state == pb.JOB_STATE_FAILED and status.error.field == "image" and status.error.code == pb.ERROR_INPUT
    assert [row.error.field for row in client.list()] == ["image"]


def test_warnings_of_a_success_are_kept(worker, client):
    client.submit(id="job-1")
    assign = worker.take_job()
    worker.complete(assign, warning=["the prompt was cut after 75 tokens"])
    assert list(client.get("job-1").warning) == ["the prompt was cut after 75 tokens"]


def test_inline_files_stay_out_of_the_status(worker, client):
    client.submit(id="job-1", image=pb.Blob(inline=b"x" * 150000))
    status = client.get("job-1")
    assert not status.job.image.HasField("inline") and status.job.image.bytes == 150000
    assert worker.take_job().job.image.inline == b"x" * 150000


def test_a_preview_is_heard_by_who_watches(worker, client):
    client.submit(id="job-1", watch=True)
    assign = worker.take_job()
    worker.start(assign)
    preview = pb.Preview(index=0, step=3, width=8, height=8, jpeg=b"\xff\xd8\xff")
    worker.ask("BEAT", pb.Beat(progress=[pb.Progress(id="job-1", fence=assign.fence, step=3, steps=20, preview=[preview])],
                               **worker.me()))
    event = client.event("PREVIEW", "job-1")
    assert event is not None and event.preview.jpeg == b"\xff\xd8\xff" and event.preview.step == 3
    assert "jpeg" not in str(client.get("job-1"))
