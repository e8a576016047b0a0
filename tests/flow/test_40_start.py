"""What a worker refuses before it takes work, and what its admin port says."""
import hashlib
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
    row = fleets.model_row(folder)
    content = (folder / UNET).read_bytes()
    (folder / UNET).write_bytes(content[:-1000])
    refusal = subprocess.run([fleets.WORKER, "--print-hashes", folder], capture_output=True, text=True)
    assert refusal.returncode == REFUSED and "truncated" in refusal.stderr and refusal.stdout == ""
    fleet.models.write_text(row.replace(hashlib.sha256(content).hexdigest(),  # even when somebody vouches for it
                                        hashlib.sha256(content[:-1000]).hexdigest()))
    log = refused(fleet)
    assert UNET in log and "truncated" in log and "event=models_refused" in log


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
    ("[m]\ndefault = maybe\n", "default is one of no, yes"),
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
    assert nothing.returncode == REFUSED and "model_index.json" in nothing.stderr and nothing.stdout == ""


def test_a_folder_as_the_hub_has_it(fleet):
    """Every file several times: what --print-hashes chooses loads, and what it leaves out is said with the reason."""
    folder = fleet.folder / "v1-5 (copy)"
    shutil.copytree(fleets.tiny_model(), folder)
    beside = {"unet/diffusion_pytorch_model.fp16.safetensors": "half precision",
              "unet/diffusion_pytorch_model.non_ema.safetensors": "before averaging",
              "unet/diffusion_pytorch_model.bin": "pickle",
              "vae/diffusion_pytorch_model-00001-of-00002.safetensors": "several files",
              "vae/diffusion_pytorch_model.safetensors.index.json": "several files",
              "text_encoder/pytorch_model.fp16.bin": "pickle",
              "text_encoder/flax_model.msgpack": "another framework",
              "text_encoder/other.safetensors": "not a name that is loaded"}
    for name in beside:
        shutil.copy(folder / UNET, folder / name)
    row = fleets.model_row(folder)
    assert len(re.findall(r"^sha256 ", row, re.M)) == 3 and row.startswith("[v1-5--copy-]")
    for name, why in beside.items():
        assert re.search(rf"^# left out: {re.escape(name)}: .*{why}", row, re.M), row
    fleet.broker()
    fleet.models.write_text(row)
    fleet.worker()
    fleet.wait(fleet.submit(steps=2, seed=1))
    # the table decides: the half where it names the half, and one file of each network
    half = UNET.replace(".safetensors", ".fp16.safetensors")
    named = next(line for line in row.splitlines() if line.startswith(f"sha256 {UNET}"))
    fleet.models.write_text(row + named.replace(UNET, half) + "\n")
    assert "one file of each network" in refused(fleet, name="both")
    fleet.models.write_text(row.replace(named, named.replace(UNET, half)))
    fleet.worker(name="half")


def test_what_would_not_load_is_not_printed(fleet):
    for name, change in (("sharded", lambda f: [(f / UNET).rename(f / UNET.replace(".safe", "-00001-of-00001.safe")),
                                                (f / (UNET + ".index.json")).write_text("{}")]),
                         ("pickled", lambda f: (f / UNET).rename(f / UNET.replace(".safetensors", ".bin"))),
                         ("config", lambda f: (f / "unet/config.json").write_text('{"surprise": 1}'))):
        folder = fleet.folder / name
        shutil.copytree(fleets.tiny_model(), folder)
        change(folder)
        done = subprocess.run([fleets.WORKER, "--print-hashes", folder], capture_output=True, text=True)
        assert done.returncode == REFUSED and done.stdout == "", done.stdout
        assert {"sharded": "weight_map must be", "pickled": "pickle", "config": "surprise"}[name] in done.stderr


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
