"""Models that are not pinned: loaded when a job asks, beside the turns that go on, and gone when others need the room."""
import os
import re
import signal

import fleet as fleets

MEMORY = 8  # MiB: two of the three and what a job needs beside them
NAMES = ("tiny-eps", "tiny-v", "tiny-eps-again")


def three_on_demand(fleet, more=""):
    rows = [fleets.model_row(fleets.tiny_model(name)) for name in ("tiny-eps", "tiny-v", "tiny-eps")]
    rows[2] = rows[2].replace("[tiny-eps]", "[tiny-eps-again]")
    fleet.models.write_text("".join(row + "pinned = no\n" for row in rows) + more)


def pixels(png):
    """The compressed pixels of a PNG; what is said beside them names the model."""
    at, found = 8, b""
    while at < len(png):
        length = int.from_bytes(png[at:at + 4], "big")
        found += png[at + 8:at + 8 + length] if png[at + 4:at + 8] == b"IDAT" else b""
        at += 12 + length
    assert found
    return found


def drawn(fleet, job):
    return pixels(fleet.picture(fleet.wait(job)["images"][0]))


def test_three_models_take_turns_in_memory_for_two(fleet):
    fleet.models.write_text("".join(fleets.model_row(fleets.tiny_model(name)) for name in ("tiny-eps", "tiny-v")))
    fleet.broker()
    pinned = fleet.worker(name="pinned")
    wanted = {name: drawn(fleet, fleet.submit(steps=4, seed=5, model=name)) for name in ("tiny-eps", "tiny-v")}
    wanted["tiny-eps-again"] = wanted["tiny-eps"]
    assert pinned.metric("models_resident") == 2 and pinned.metric("model_loads_total") == 0
    assert pinned.stop() == 0
    three_on_demand(fleet)
    worker = fleet.worker(name="demand", memory=MEMORY)
    assert worker.metric("models_resident") == 0, "nothing is loaded before a job asks"
    for _ in range(2):
        jobs = {name: fleet.submit(steps=4, seed=5, model=name) for name in NAMES}
        for name, job in jobs.items():
            assert drawn(fleet, job) == wanted[name]
            assert worker.metric("models_resident") <= 2
    assert worker.metric("model_evictions_total") >= 1
    assert worker.metric("model_loads_total") >= 4
    assert worker.metric("model_load_duration_seconds_count") == worker.metric("model_loads_total")
    assert "event=model_loaded" in worker.log() and "event=model_evicted" in worker.log()
    assert worker.metric("engine_restarts_total") == 0


def test_a_job_that_waits_for_its_model_can_be_cancelled(fleet):
    three_on_demand(fleet)
    fleet.broker()
    worker = fleet.worker()
    os.kill(worker.engines()[0], signal.SIGSTOP)  # what it is told waits in its pipe
    waiting = fleet.submit(steps=900, seed=1, model="tiny-v")
    fleets.until(lambda: fleet.state(waiting) in ("assigned", "running"), what="an assignment")
    fleet.client("cancel", waiting)
    fleet.wait(waiting, "cancelled")
    os.kill(worker.engines()[0], signal.SIGCONT)
    fleet.wait(fleet.submit(steps=4, seed=1, model="tiny-eps"))
    loaded = re.findall(r"event=model_loaded model=(\S+)", worker.log())
    assert loaded in (["tiny-eps"], ["tiny-v", "tiny-eps"]), "one that nobody waits for may be given up, and is not in the way"
    assert worker.stop() == 0


def test_the_hash_of_one_that_is_wrong_fails_its_jobs_alone(fleet):
    three_on_demand(fleet)
    text = fleet.models.read_text()
    before, after = text.split("[tiny-v]")
    row, rest = after.split("\n[", 1)
    lines = row.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("sha256"))
    lines[at] = lines[at].split("=")[0] + "= " + "0" * 64
    fleet.models.write_text(before + "[tiny-v]" + "\n".join(lines) + "\n[" + rest)
    fleet.broker()
    worker = fleet.worker()
    bad, good = fleet.submit(steps=4, seed=1, model="tiny-v"), fleet.submit(steps=4, seed=1, model="tiny-eps")
    record = fleet.wait(bad, "failed")
    assert "sha256" in record["error"]["message"] and "tiny-v" in record["error"]["message"]
    fleet.wait(good)
    assert len(worker.engines()) == 1, "the engine goes on"
    assert worker.metric("model_loads_total") >= 2


def test_an_engine_that_dies_while_it_loads_starts_anew_and_the_job_is_done(fleet):
    three_on_demand(fleet)
    fleet.broker()
    worker = fleet.worker()
    os.kill(worker.engines()[0], signal.SIGSTOP)  # what it is told waits in its pipe
    job = fleet.submit(steps=4, seed=1, model="tiny-v")
    fleets.until(lambda: fleet.state(job) in ("assigned", "running"), what="an assignment")
    os.kill(worker.engines()[0], signal.SIGKILL)
    fleet.wait(job)
    assert len(worker.engines()) == 2


def test_a_deadline_is_met_while_a_job_waits_in_the_engine(fleet):
    three_on_demand(fleet)
    fleet.broker()
    worker = fleet.worker()
    os.kill(worker.engines()[0], signal.SIGSTOP)
    fleet.wait(fleet.submit(steps=4, seed=1, model="tiny-v", deadline_ms=1500), "expired")
    assert "event=deadline_in_engine" in worker.log()
    os.kill(worker.engines()[0], signal.SIGCONT)
    fleet.wait(fleet.submit(steps=4, seed=1, model="tiny-eps"))
    assert worker.stop() == 0
