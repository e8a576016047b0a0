"""What is told, to whom, and how often."""
from house import PREFIX, pb, until


def steps_heard(client, job, last):
    """The steps told of a job, up to the last."""
    heard = []
    while not heard or heard[-1] != last:
        event = client.event("STEP", job)
        assert event is not None, heard
        heard.append(event.step)
    return heard


def test_a_version_is_heard_once(redis, worker, client):
    job = client.submit(watch=True).id
    assign = worker.take_job()
    worker.start(assign)
    worker.beat((assign, 3))
    version = redis.record(job)["version"]
    redis.client.publish(PREFIX + "events", f"STEP {job} {version} 3 20")
    worker.beat((assign, 4))
    assert steps_heard(client, job, 4) == [3, 4]


def test_an_image_is_heard_beside_the_step_of_its_version(worker, client):
    job = client.submit(watch=True, images=2).id
    assign = worker.take_job()
    worker.start(assign)
    worker.beat((assign, 3, [pb.Artifact(index=0, url="file:///tmp/0.png")]))
    assert client.event("STEP", job).step == 3
    assert client.event("IMAGE", job).image.url == "file:///tmp/0.png"


def test_a_watch_ends_with_its_job(redis, worker, client):
    ended, other = client.submit(watch=True).id, client.submit(watch=True).id
    first, second = worker.take_job(), worker.take_job()
    for assign in (first, second):
        worker.start(assign)
    worker.complete(first)
    assert client.event("TERMINAL", ended)
    redis.client.publish(PREFIX + "events", f"STEP {ended} 99 3 20")
    worker.beat((second, 5))
    assert client.event("STEP", other).step == 5, "which was published behind the other"
    assert client.event("STEP", ended, seconds=0) is None


def test_a_worker_is_pushed_no_more_than_it_asked_for(redis, worker, client):
    jobs = [client.submit().id for _ in range(4)]
    worker.claim(jobs=1)
    assert worker.assigned().job.id == jobs[0]
    jobs.append(client.submit().id)
    clock = int(redis.client.get(PREFIX + "clk"))
    until(lambda: int(redis.client.get(PREFIX + "clk")) >= clock + 1500, 15, "two sweeps, each of which offers again")
    assert [client.state(job) for job in jobs] == ["ASSIGNED"] + ["QUEUED"] * 4
