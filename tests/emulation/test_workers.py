"""Workers with GPUs that are not there: which they take, what is told of them, and what becomes of one that is sick."""
import os
import pathlib
import re
import signal
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
os.environ.setdefault("DARKROOM_BUILD", str(ROOT / "build" / "emulated"))
sys.path.insert(0, str(ROOT / "tests" / "flow"))
import fleet as fleets  # noqa: E402
from fleet import until  # noqa: E402

BUILD = pathlib.Path(os.environ["DARKROOM_BUILD"])
UUIDS = [f"GPU-656d756c-6174-6564-2d67-70752d0000{number:02x}" for number in range(2)]
WORK = {"steps": 2, "size": "32x32"}
PATIENCE = 900  # seconds: a self-test takes ten on a machine that does nothing else


class Machine:
    """What the driver says of two GPUs, to be changed while a worker runs."""

    def __init__(self, folder):
        self.path = folder / "nvml"
        self.says("")

    def says(self, lines):
        fresh = self.path.with_suffix(".new")
        fresh.write_text(lines)
        fresh.rename(self.path)

    def environment(self, **more):
        return {"EMULATION_DEVICES": "2", "EMULATION_NVML": str(self.path), "EMULATION_MEMORY": str(1 << 30),
                "LD_LIBRARY_PATH": str(BUILD / "tests" / "emulation"), **more}


@pytest.fixture
def fleet():
    with fleets.working_fleet() as made:
        made.broker()
        made.machine = Machine(made.folder)
        yield made


def with_gpus(fleet, device="cuda:all", until_said="event=engine_ready", environment=None, **settings):
    """A worker that has come so far. Small in all: an emulated GPU is slow, and works under sanitizers."""
    worker = fleet.worker(device=device, environment=fleet.machine.environment(**(environment or {})), wait=False,
                          watchdog_seconds=600, load_seconds=600, slots=1, batch_rows=2, max_side=32, **settings)
    if until_said:
        worker.wait_for(until_said, PATIENCE)
    return worker


def devices(fleet):
    """What status lists, by name."""
    workers = fleet.ask("status").get("worker", [])
    return {row["name"]: row for info in workers for row in info.get("device_info", [])}


def wait_for_states(fleet, *states):
    until(lambda: [row["state"] for row in devices(fleet).values()] == list(states), PATIENCE, f"devices that are {states}")


def untouched(record):
    return not any(record.get(name) for name in ("crashes", "losses", "handoffs", "fails"))


def test_gpus_are_taken_and_told_of_until_one_falls_off_the_bus(fleet):
    """Both are taken. One tells an Xid at work: what it held goes back without guilt, and everything is done by the other; then
    an operator lets it in again."""
    worker = with_gpus(fleet, determinism="fast")
    wait_for_states(fleet, "ready", "ready")
    told = devices(fleet)
    assert list(told) == ["cuda:0", "cuda:1"] and [row["uuid"] for row in told.values()] == UUIDS
    for row in told.values():
        assert row["model"] == "Emulated GPU" and row["element"] == "f16" and row["capability"] == 90
        assert row["memory_total"] == 1 << 30 and row["driver"] and row["determinism"] == "fast"
    fleet.machine.says("temperature 71\n1.slowed 64\n")
    until(lambda: worker.metric("device_temperature_celsius") == 2 * 71, PATIENCE, "the temperatures")
    assert worker.metric("device_slowed") == 1 and abs(worker.metric("device_utilization_ratio") - 2 * 0.37) < 1e-9
    assert worker.metric("device_memory_total_bytes") == 2 << 30 and worker.metric("device_ready") == 2
    assert f'device="cuda:1",model="Emulated GPU",uuid="{UUIDS[1]}"' in worker.admin("/metrics")[1]
    jobs = [fleet.submit(seed=seed, steps=6, size="32x32") for seed in range(3)]
    until(lambda: any("device=cuda:1" in line for line in worker.log().splitlines() if "event=job_started" in line), PATIENCE,
          "a job on cuda:1")
    fleet.machine.says("1.xid 79\n")
    worker.wait_for("event=device_cordoned device=cuda:1", PATIENCE)
    assert worker.admin("/readyz") == (200, "ready: cuda:1 is cordoned: Xid 79: it has fallen off the bus\n")
    wait_for_states(fleet, "ready", "cordoned")
    assert devices(fleet)["cuda:1"]["reason"] == "Xid 79: it has fallen off the bus"
    records = [fleet.wait(job, seconds=PATIENCE) for job in jobs]
    assert not any(record.get("crashes") or record.get("losses") or record.get("fails") for record in records), records
    assert any(record.get("handoffs") for record in records), "what ran there was handed back"
    assert 'device="cuda:1",xid="79"' in worker.admin("/metrics")[1]
    fleet.machine.says("")
    worker.signal(signal.SIGUSR1)
    wait_for_states(fleet, "ready", "ready")
    assert worker.log().count("event=self_test") == 3, "it has shown that it can"


def test_a_gpu_that_fails_its_self_test_is_cordoned_and_the_other_goes_on(fleet):
    """Whatever is launched on cuda:1 fails: no engine of it gets through its self-test. Meanwhile the driver hangs as well."""
    worker = with_gpus(fleet, environment={"EMULATION_FAULT": "launch:1+%1"}, until_said="event=device_cordoned")
    worker.wait_for("event=welcomed", PATIENCE)
    waits = fleet.submit(seed=1, **WORK)
    fleet.machine.says("hang 1\n")
    wait_for_states(fleet, "ready", "cordoned")
    reason = devices(fleet)["cuda:1"]["reason"]
    assert "died 3 times" in reason and "illegal" in reason, reason
    records = [fleet.wait(job, seconds=PATIENCE) for job in (waits, fleet.submit(seed=2, **WORK))]
    assert all(untouched(record) for record in records), records
    code, said = worker.admin("/readyz")
    assert code == 200 and said.startswith("ready: cuda:1 is cordoned: its engine has died 3 times"), said
    assert worker.metric("device_cordoned") == 1 and worker.metric("device_engine_deaths_total") == 3
    assert worker.log().count("event=engine_started device=cuda:1") == 3, "and it is left alone"
    assert "cuda:1 cordoned" in fleet.client("status").stdout
    until(lambda: worker.metric("device_look_age_seconds") > 8, PATIENCE, "figures that grow old")


def test_a_gpu_by_its_uuid_and_by_its_number_is_one(fleet):
    worker = with_gpus(fleet, device=f"cuda:1,cuda:GPU-{UUIDS[1][4:].upper()},cuda:{UUIDS[1]}", until_said="event=engine_started")
    assert worker.log().count("event=device device=") == 1
    assert f"device=cuda:1 opened_as=cuda:{UUIDS[1]}" in worker.log()


def test_a_gpu_that_mig_has_cut_up_is_its_instances(fleet):
    fleet.machine.says("1.mig 2\n")
    instances = [UUIDS[1].replace("GPU", "MIG")[:-4] + f"{number:02x}01" for number in (1, 2)]
    worker = with_gpus(fleet, until_said="event=worker_started")
    assert re.findall(r"event=device device=(\S+)", worker.log()) == ["cuda:0", *(f"cuda:{uuid}" for uuid in instances)]
    worker.stop()
    refused = with_gpus(fleet, device="cuda:1", until_said="", name="whole")
    assert refused.process.wait(60) == 78 and f"MIG has cut {UUIDS[1]}" in refused.log()
    fleet.workers.remove(refused)


def test_without_the_drivers_library_a_number_works_and_all_does_not(fleet):
    nowhere = {"LD_LIBRARY_PATH": str(fleet.folder)}
    worker = with_gpus(fleet, device="cuda:1", environment=nowhere, until_said="event=ops_tried")
    assert "event=gpus_unseen" in worker.log() and "opened_as=cuda:1" in worker.log()
    assert "device_temperature_celsius{" not in worker.admin("/metrics")[1], "nothing is told of it"
    refused = with_gpus(fleet, environment=nowhere, until_said="", name="all")
    assert refused.process.wait(60) == 78
    said = [line for line in refused.log().splitlines() if line.startswith("darkroom-worker:")]
    assert len(said) == 1 and "cuda:all" in said[0] and "libnvidia-ml.so.1" in said[0], refused.log()
    fleet.workers.remove(refused)
