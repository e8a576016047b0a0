"""Several jobs, several brokers, several workers: nobody's picture depends on who else was there."""
import concurrent.futures
import os
import signal

from fleet import until


def bytes_of(fleet, record):
    return [fleet.picture(image) for image in record["images"]]


def test_eight_jobs_at_once_equal_each_alone(fleet):
    fleet.broker()
    worker = fleet.worker()
    requests = [dict(steps=steps, seed=seed, sampler=sampler, guidance=guidance) for steps, seed, sampler, guidance in
                [(4, 1, "euler", 5), (6, 2, "dpmpp_2m", 7.5), (9, 3, "ddim", 1), (5, 4, "euler_a", 3),
                 (7, 5, "euler_karras", 9), (4, 6, "dpmpp_2m_karras", 2), (8, 7, "euler", 1), (6, 8, "ddim", 7.5)]]
    os.kill(worker.engines()[-1], signal.SIGSTOP)  # so that all eight are there when it goes on
    together = [fleet.submit(f"picture {i}", **request) for i, request in enumerate(requests)]
    until(lambda: worker.log().count("event=job_assigned") == 8, 30, "eight jobs in its hands")
    os.kill(worker.engines()[-1], signal.SIGCONT)
    together = [bytes_of(fleet, fleet.wait(job)) for job in together]
    assert worker.metric("batch_size_sum") > worker.metric("batch_size_count") * 2, "nothing was batched"
    for i, request in enumerate(requests):
        assert bytes_of(fleet, fleet.wait(fleet.submit(f"picture {i}", **request))) == together[i], request


def test_two_brokers_serve_one_queue(fleet):
    first, second = fleet.broker(), fleet.broker()
    fleet.worker(broker=first.endpoint)
    for broker in (first, second):
        done = fleet.client("generate", "a boat", "--steps", 2, "-o", fleet.folder / "boat.png", broker=broker.endpoint)
        assert done.returncode == 0, done.stderr


def test_two_workers_share_the_work(fleet):
    fleet.broker()
    fleet.worker(slots=1)
    fleet.worker(slots=1)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        jobs = list(pool.map(lambda seed: fleet.submit(steps=10, seed=seed), range(8)))
    records = [fleet.wait(job) for job in jobs]
    assert {record["worker"] for record in records} == {"w1", "w2"}
    assert all(record["crashes"] == record["fails"] == 0 for record in records)


def test_a_broker_never_pushes_more_than_was_asked(fleet):
    fleet.broker()
    worker = fleet.worker(slots=1)
    jobs = [fleet.submit(steps=4, seed=seed) for seed in range(12)]
    most = 0

    def all_done():
        nonlocal most
        states = [record["state"] for record in fleet.ask("list")["job"]]
        most = max(most, states.count("assigned"))
        return states.count("succeeded") == len(jobs)
    until(all_done, 90, "twelve pictures")
    assert most <= 2  # one that has just begun, and one that is fetched before it ends
    assert "event=job_released" not in worker.log()


def test_a_second_device_is_a_second_engine(fleet):
    fleet.broker()
    devices = "ref,cpu" if fleet.device == "cpu" else "ref"
    worker = fleet.worker(device=devices)
    assert worker.log().count("event=engine_ready") == len(devices.split(","))
    fleet.wait(fleet.submit(steps=2, seed=1))
