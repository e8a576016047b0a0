"""Devices as people see them: what a worker says of its own, and one clear line for what it has not."""
import json
import os
import subprocess
import zlib

import pytest
from fleet import DEVICE, WORKER, until


def refusal(fleet, *words):
    """What a worker that is started so says before it leaves."""
    done = subprocess.run([WORKER, "--models", fleet.models, "--store", fleet.store, "--admin", "127.0.0.1:0", "--name", "w",
                           "--spool", fleet.folder / "spool-w", *words], capture_output=True, text=True, timeout=60,
                          env={**os.environ, "EMULATION_DEVICES": "1"})
    said = [line for line in done.stderr.splitlines() if line.startswith("darkroom-worker:")]
    assert len(said) == 1, done.stderr
    return done.returncode, said[0]


def texts(png):
    """The texts in a PNG, by their keywords."""
    found, at = {}, 8
    while at < len(png):
        size, kind = int.from_bytes(png[at:at + 4], "big"), png[at + 4:at + 8]
        body = png[at + 8:at + 8 + size]
        if kind == b"tEXt":
            key, _, text = body.partition(b"\0")
            found[key.decode()] = text.decode("latin-1")
        elif kind == b"iTXt":
            key, _, rest = body.partition(b"\0")
            packed, rest = rest[0], rest[2:].split(b"\0", 2)[2]
            found[key.decode()] = (zlib.decompress(rest) if packed else rest).decode()
        at += 12 + size
    return found


def test_a_build_without_cuda_says_so_in_one_line(fleet):
    if "emulated" in str(WORKER):
        pytest.skip("this build has the CUDA backend")
    for device in ("cuda:0", "cuda:all", "cpu,cuda:1", "cuda:GPU-8f3a"):
        code, line = refusal(fleet, "--device", device)
        assert code == 78 and "built without CUDA" in line, line
    fleet.broker()
    fleet.worker()
    fleet.wait(fleet.submit(steps=2))


@pytest.mark.parametrize("device, words", [
    ("gpu", "there are cpu, ref, cuda:N"), ("cuda:16", "from 0 to 15"), ("cuda", "no such device"), ("cpu,cpu", "named twice"),
    ("cuda:GPU-", "no such device"), ("cpu,", "empty"),
])
def test_a_name_that_means_nothing_is_a_wrong_setting(fleet, device, words):
    code, line = refusal(fleet, "--device", device)
    assert code == 64 and words in line, line


def test_a_model_that_is_pinned_to_no_device_is_refused(fleet):
    fleet.models.write_text(fleet.models.read_text() + "devices = gpu\n")
    code, line = refusal(fleet)
    assert code == 78 and '"gpu" is no device' in line, line


def test_status_shows_what_a_worker_computes_with(fleet):
    fleet.broker()
    worker = fleet.worker()

    def told():
        return fleet.ask("status")["worker"][0].get("device_info", [{}])[0]
    until(lambda: told().get("state") == "ready", 20, "status with the device")
    info = told()
    assert info["name"] == DEVICE and info["determinism"] == "strict"
    assert info["element"] == ("f32" if DEVICE == "ref" else info["element"]) and info["element"] in ("f32", "bf16", "f16")
    line = next(line for line in fleet.client("status").stdout.splitlines() if line.startswith(f"  {DEVICE} "))
    assert f"{DEVICE} ready" in line and info["element"] in line and "strict" in line
    until(lambda: worker.metric("device_ready") == 1, 20, "the metric, which is set once a second")
    assert worker.metric("device_cordoned") == 0
    assert worker.admin("/readyz") == (200, "ready\n")


def test_status_says_why_a_device_is_away(fleet):
    """One device of two cannot have its models: the worker goes on with the other."""
    fleet.broker()
    other = "ref" if DEVICE == "cpu" else "cpu"
    row = fleet.models.read_text()
    # the same model under another id, whose hash is wrong, on the other device alone
    wrong = row.replace("[tiny-eps]", "[wrong]").replace("default = yes\n", "").rsplit("=", 1)[0] + "= " + "0" * 64 + "\n"
    fleet.models.write_text(row + f"devices = {DEVICE}\n" + wrong + f"devices = {other}\n")
    fleet.worker(device=f"{DEVICE},{other}")
    until(lambda: len(fleet.ask("status")["worker"][0].get("device_info", [])) == 2, 20, "both devices in status")
    info = {row["name"]: row for row in fleet.ask("status")["worker"][0]["device_info"]}
    assert info[DEVICE]["state"] == "ready" and "reason" not in info[DEVICE]
    assert info[other]["state"] == "refused" and "sha256" in info[other]["reason"]
    fleet.wait(fleet.submit(steps=2))


def test_a_picture_says_by_what_it_was_made(fleet):
    fleet.broker()
    fleet.worker(name="exact")
    record = fleet.wait(fleet.submit(steps=2, seed=3))
    fleet.workers[-1].stop()
    fleet.worker(name="quick", determinism="fast")
    other = fleet.wait(fleet.submit(steps=2, seed=3))
    for made, determinism in ((record, "strict"), (other, "fast")):
        found = texts(fleet.picture(made["images"][0]))
        exact = json.loads(found["darkroom"])
        assert exact["device"] == DEVICE and exact["determinism"] == determinism and exact["element"] in ("f32", "bf16", "f16")
        assert f"Device: {DEVICE}, Precision: {exact['element']}, Determinism: {determinism}," in found["parameters"]
        sidecar = json.loads(open(made["images"][0]["url"].removeprefix("file://").replace(".png", ".json")).read())
        assert (sidecar["device"], sidecar["determinism"]) == (DEVICE, determinism)
