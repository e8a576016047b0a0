"""What a worker refuses before it takes work, and what its admin port says."""
import os
import re
import shutil
import subprocess

import fleet as fleets
import pytest
from fleet import until

REFUSED, USAGE, UNAVAILABLE = 78, 64, 69
UNET = "unet/diffusion_pytorch_model.safetensors"


def copied_model(fleet):
    folder = fleet.folder / "model"
    shutil.copytree(fleets.tiny_model(), folder)
    return folder


def refused(fleet, code=REFUSED, **settings):
    """Starts a worker that must leave by itself; gives its log."""
    worker = fleet.worker(wait=False, **settings)
    assert worker.process.wait(60) == code, worker.log()
    fleet.workers.remove(worker)
    return worker.log()


def test_a_pickle_is_refused_whatever_its_name(fleet):
    fleet.broker()
    folder = copied_model(fleet)
    row = fleets.model_row(folder)
    for magic in (b"PK\x03\x04" + bytes(100), b"\x80\x02}q\x00."):
        (folder / UNET).write_bytes(magic)
        fleet.models.write_text(row)
        assert re.search(rf"{UNET}.* pickle", refused(fleet))


def test_a_wrong_hash_is_refused(fleet):
    fleet.broker()
    folder = copied_model(fleet)
    fleet.models.write_text(fleets.model_row(folder))
    content = bytearray((folder / UNET).read_bytes())
    content[-1] ^= 1
    (folder / UNET).write_bytes(content)
    log = refused(fleet)
    assert UNET in log and "sha256" in log and "event=models_refused" in log


def test_a_truncated_file_is_refused(fleet):
    fleet.broker()
    folder = copied_model(fleet)
    content = (folder / UNET).read_bytes()
    (folder / UNET).write_bytes(content[:-1000])
    fleet.models.write_text(fleets.model_row(folder))  # even when somebody vouches for it
    log = refused(fleet)
    assert UNET in log and "event=models_refused" in log


@pytest.mark.parametrize("table, complaint", [
    ("", "no model in it"),
    ("[m]\npath = x\n", "no sha256"),
    ("[m]\nsha256 a = " + "0" * 64, "no path"),
    ("[m]\npath = x\nsha256 a = 12\n", "64 lower-case hex"),
    ("[m]\npath = x\nsha256 ../a = " + "0" * 64, "relative"),
    ("[m]\npaht = x\n", "did you mean path"),
    ("[m]\n[m]\n", "twice"),
    ("[../m]\n", "model id"),
    ("path = x\n", "comes first"),
    ("[m]\ndefault = maybe\n", "yes or no"),
    ("[m]\npath = /nowhere\nsha256 a = " + "0" * 64, "cannot open /nowhere/a"),
    ("[m]\npath = x\ndevices = cuda\nsha256 a = " + "0" * 64, "no model is pinned"),
])
def test_a_wrong_table_says_where(fleet, table, complaint):
    fleet.broker()
    fleet.models.write_text(table)
    assert complaint in refused(fleet)


def test_wrong_settings_are_named(fleet):
    fleet.broker()
    for settings, complaint in [(dict(name="a b"), "--name a b"), (dict(device="cpu,cpu"), "twice"),
                                (dict(broker="nonsense"), "--broker nonsense"), (dict(slots=9999), "slots")]:
        broker = settings.pop("broker", None)
        worker = fleet.worker(wait=False, broker=broker, **settings)
        assert worker.process.wait(30) == USAGE
        assert complaint in worker.log()
        fleet.workers.remove(worker)


def test_a_store_that_refuses_is_known_before_work(fleet):
    fleet.broker()
    (fleet.folder / "file").write_text("")
    assert "cannot make folder" in refused(fleet, store=f"file://{fleet.folder}/file/pictures")
    assert "neither file:" in refused(fleet, store="ftp://somewhere")
    assert "AWS_ACCESS_KEY_ID is not set" in refused(fleet, store="s3://bucket/x", environment={"AWS_ACCESS_KEY_ID": ""})


def test_two_workers_do_not_share_a_spool(fleet):
    fleet.broker()
    fleet.worker(spool=fleet.folder / "spool")
    assert "another worker uses" in refused(fleet, code=UNAVAILABLE, spool=fleet.folder / "spool")


def test_the_admin_port_tells_how_it_is(fleet):
    broker = fleet.broker()
    worker = fleet.worker()
    until(lambda: worker.admin("/readyz")[0] == 200, 10, "readiness")
    assert worker.admin("/healthz")[0] == 200
    assert worker.admin("/version")[0] == 200
    fleet.wait(fleet.submit(steps=3, seed=1))
    assert worker.metric("images_generated_total") == 1
    assert worker.metric("denoise_steps_total") == 3
    broker.kill()
    until(lambda: worker.admin("/readyz")[0] == 503, 40, "a worker that misses its broker")
    assert "no broker answers" in worker.admin("/readyz")[1]


def test_print_hashes_gives_a_row_that_works(fleet):
    done = subprocess.run([fleets.WORKER, "--print-hashes", fleets.tiny_model()], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("[tiny-eps]\npath = /")
    assert len(re.findall(r"^sha256 \S+\.safetensors = [0-9a-f]{64}$", done.stdout, re.M)) == 3
    nothing = subprocess.run([fleets.WORKER, "--print-hashes", fleet.folder], capture_output=True, text=True)
    assert nothing.returncode == REFUSED and "no *.safetensors" in nothing.stderr


def test_both_daemons_in_one_environment(fleet):
    """DARKROOM_ADMIN is the broker's as well: what is the worker's alone wins."""
    fleet.broker("--admin", "127.0.0.1:0")
    admin = re.search(r"admin=(\d+)", fleet.brokers[0].log()).group(1)
    shared = {"DARKROOM_ADMIN": f"127.0.0.1:{admin}"}
    log = refused(fleet, UNAVAILABLE, admin=f"127.0.0.1:{admin}")
    assert "is in use by another program" in log and "DARKROOM_WORKER_ADMIN" in log
    for own, address in (({}, f"127.0.0.1:{admin}"), ({"DARKROOM_WORKER_ADMIN": "127.0.0.1:0"}, "127.0.0.1:0")):
        done = subprocess.run([fleets.WORKER, "--print-config"], capture_output=True, text=True,
                              env={**os.environ, **shared, **own})
        assert f"\nadmin = {address}\n" in done.stdout
