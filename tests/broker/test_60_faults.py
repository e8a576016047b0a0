"""Brokers and Redis come and go: no job is lost, none ends twice."""
import signal
import time

import pytest
from house import PREFIX, Broker, Client, Redis, Refused, Worker, pb, until


def test_a_submit_at_one_broker_wakes_a_worker_at_another(redis, brokers, peers):
    one, other = brokers(), brokers()
    worker = peers(Worker, other)
    worker.claim(jobs=1)
    worker.beat()
    client = peers(Client, one)
    submitted = client.submit(watch=True)
    assign = worker.assigned(2)
    assert assign.job.id == submitted.id
    worker.start(assign)
    worker.complete(assign)
    assert client.event("TERMINAL", submitted.id).status.state == pb.JOB_STATE_SUCCEEDED
    late = peers(Client, other)
    late.watch(submitted.id)
    assert late.event("TERMINAL", submitted.id), "whoever watches late gets the end"


def test_any_broker_serves_any_attempt(redis, brokers, peers, context):
    one, other = brokers(), brokers()
    worker = peers(Worker, one)
    job = peers(Client, other).submit().id
    assign = worker.take_job()
    moved = peers(Worker, other, hello=False)
    moved.generation = worker.generation
    assert moved.start(assign) == "OK" and not moved.beat((assign, 3)).stale
    assert moved.complete(assign) == "OK" and worker.complete(assign) == "ALREADY"
    assert peers(Client, one).state(job) == "SUCCEEDED"


@pytest.mark.parametrize("point", ["queued", "assigned", "running", "ended"])
def test_kill_9_the_broker_at_any_point(redis, brokers, peers, point):
    """The broker is killed and started again; the peers' sockets reconnect by themselves."""
    broker = brokers()
    worker, client = peers(Worker, broker), peers(Client, broker)
    job = client.submit().id
    assign = worker.take_job() if point != "queued" else None
    if point in ("running", "ended"):
        worker.start(assign)
    if point == "ended":
        worker.complete(assign)
    broker.kill()
    open(broker.log_path, "w").close()
    broker.start()
    until(broker.is_up)
    if point == "queued":
        assign = worker.take_job()
    if point in ("queued", "assigned"):
        assert worker.start(assign) == "OK"
    orders = worker.beat((assign, 4))
    assert orders.claim_again != (point == "queued") and not orders.hello_again
    assert worker.complete(assign) == ("ALREADY" if point == "ended" else "OK")
    client.watch(job)
    assert client.event("TERMINAL", job).status.state == pb.JOB_STATE_SUCCEEDED
    status = client.get(job)
    assert (status.fails, status.crashes, status.handoffs) == (0, 0, 0)


def test_killed_between_claim_and_push(redis, broker, peers):
    """What a broker that dies there leaves behind: ASSIGNED to a worker that never heard of it."""
    worker, client = peers(Worker, broker), peers(Client, broker)
    job = client.submit().id
    redis.script("claim", worker.name, worker.generation, "b", 1, "demo", 1, 256)
    assert client.state(job) == "ASSIGNED"
    redis.pass_time(5001)
    assert worker.take_job().job.id == job and client.get(job).handoffs == 1


def test_redis_killed_and_back(redis, broker, peers):
    worker, client = peers(Worker, broker), peers(Client, broker)
    ended, waiting = client.submit(id="ended").id, client.submit(id="waiting").id
    assign = worker.take_job()
    worker.start(assign)
    fence = int(redis.client.get(PREFIX + "fence"))
    redis.kill()
    began = time.monotonic()
    for _ in range(3):
        with pytest.raises(Refused) as refused:
            client.submit(id="refused")
        assert refused.value.code == "ERROR_UNAVAILABLE" and refused.value.error.retry_after_ms > 0
    assert time.monotonic() - began < 1.5, "at once"
    with pytest.raises(Refused) as refused:
        worker.complete(assign)
    assert refused.value.code == "ERROR_UNAVAILABLE"
    with pytest.raises(Refused) as refused:
        worker.beat((assign, 3))
    assert refused.value.code == "ERROR_UNAVAILABLE"
    redis.start()
    until(lambda: broker.log().count("event=redis_up") == 2, 10)
    assert int(redis.client.get(PREFIX + "fence")) >= fence + 2 ** 20, "a new run never repeats a fence"
    assert worker.complete(assign) == "OK" and client.state(ended) == "SUCCEEDED"
    second = worker.take_job()
    assert second.job.id == waiting and second.fence > assign.fence


def test_watchers_hear_the_end_that_happened_while_redis_was_away(redis, broker, peers):
    worker, client = peers(Worker, broker), peers(Client, broker)
    job = client.submit(watch=True).id
    assign = worker.take_job()
    worker.start(assign)
    assert client.event("STARTED", job)
    redis.client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    redis.script("complete", worker.name, worker.generation, job, assign.fence, b"")
    assert client.event("TERMINAL", job, 6).status.state == pb.JOB_STATE_SUCCEEDED


def test_a_hung_redis_does_not_hang_the_broker(redis, broker, peers):
    worker, client = peers(Worker, broker), peers(Client, broker)
    client.submit(id="before")
    redis.process.send_signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        with pytest.raises(Refused) as refused:
            client.submit(id="unknown")
        assert refused.value.code == "ERROR_UNAVAILABLE" and time.monotonic() - began < 4
        for _ in range(5):
            began = time.monotonic()
            with pytest.raises(Refused):
                client.submit(id="later")
            assert time.monotonic() - began < 1, "once it is known to be away the answer comes at once"
    finally:
        redis.process.send_signal(signal.SIGCONT)
    until(lambda: broker.log().count("event=redis_up") == 2, 10)
    assert client.submit(id="unknown").id, "the outcome was unknown: repeating is safe"
    assert worker.take_job().job.id == "before"


def test_script_flush_is_not_noticed(redis, worker, client):
    for _ in range(20):
        redis.client.script_flush()
        job = client.submit(watch=True).id
        redis.client.script_flush()
        assign = worker.take_job()
        redis.client.script_flush()
        worker.start(assign)
        redis.client.script_flush()
        assert worker.complete(assign) == "OK"
        assert client.event("TERMINAL", job)


def test_out_of_memory_refuses_submits_and_lets_work_end(redis, worker, client):
    job = client.submit().id
    assign = worker.take_job()
    worker.start(assign)
    redis.client.config_set("maxmemory", 1)
    with pytest.raises(Refused) as refused:
        client.submit()
    assert refused.value.code == "ERROR_EXHAUSTED" and "no memory left (full): OOM" in refused.value.error.message
    assert redis.audit() == []
    assert not worker.beat((assign, 5)).stale and worker.complete(assign) == "OK"
    redis.client.config_set("maxmemory", 0)
    assert client.state(job) == "SUCCEEDED" and client.submit().id


def test_two_brokers_killed_in_turn_under_load(redis, brokers, peers):
    both = [brokers(), brokers()]
    clients = [peers(Client, broker) for broker in both]
    workers = [peers(Worker, broker, f"w{i}") for i, broker in enumerate(both)]
    ids = []
    for round_number in range(4):
        victim = both[round_number % 2]
        for i in range(10):
            ids.append(f"job-{round_number}-{i}")
            clients[i % 2].submit(id=ids[-1])
        victim.kill()
        open(victim.log_path, "w").close()
        victim.start()
        until(victim.is_up)
        for worker in workers:
            for _ in range(5):
                assign = worker.take_job()
                assert worker.start(assign) == "OK" and worker.complete(assign) == "OK"
    assert all(clients[0].state(job) == "SUCCEEDED" for job in ids)
    assert redis.client.hget(PREFIX + "count", "SUCCEEDED") == b"40"


def test_sigterm_leaves_with_0_and_loses_nothing(redis, brokers, peers):
    broker, other = brokers(), brokers()
    worker, client = peers(Worker, broker), peers(Client, broker)
    job = client.submit().id
    assign = worker.take_job()
    assert broker.stop() == 0
    moved = peers(Worker, other, hello=False)
    moved.generation = worker.generation
    assert moved.start(assign) == "OK" and moved.complete(assign) == "OK"
    assert peers(Client, other).state(job) == "SUCCEEDED"


def test_power_cut_of_everything(redis, brokers, peers):
    """All processes die at once; the clock stood still meanwhile, so no lease is lost."""
    broker = brokers()
    worker, client = peers(Worker, broker), peers(Client, broker)
    client.submit(id="waiting"), client.submit(id="running")
    assign = worker.take_job()
    worker.start(assign)
    clock = int(redis.client.get(PREFIX + "clk"))
    broker.kill(), redis.kill()
    redis.client.close()
    time.sleep(1.5)
    redis.start()
    open(broker.log_path, "w").close()
    broker.start()
    until(broker.is_up)
    assert int(redis.client.get(PREFIX + "clk")) - clock < 1500
    assert worker.complete(assign) == "OK" and client.state("waiting" if assign.job.id == "running" else "running") == "QUEUED"


def test_starts_before_its_redis(context):
    server = Redis()
    server.kill()
    broker = Broker(server.url, wait=False)
    client = Client(context, broker.endpoint)
    try:
        with pytest.raises(Refused) as refused:
            client.submit()
        assert refused.value.code == "ERROR_UNAVAILABLE"
        server.start()
        until(broker.is_up, 10)
        assert client.ask("STATUS").queued == 0
    finally:
        client.close(), broker.clean(), server.stop()
