"""What bad input gets: an error that names the field, or the file, and what was expected; before any work, and the worker goes on."""
import hashlib
import io
import json
import os
import shutil
import struct
import subprocess

import pytest
import zmq
from PIL import Image

import fleet as fleets
from fleet import FIXTURES, PROMPT, WORKER, pb, until
from house import Client, Refused

UNET = "unet/diffusion_pytorch_model.safetensors"


def tensors(table):
    """A safetensors file of zeros: name -> shape, in f32."""
    head, at = {}, 0
    for name, shape in table.items():
        size = 4
        for side in shape:
            size *= side
        head[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(head).encode()
    return struct.pack("<Q", len(text)) + text + bytes(at)


def read(path):
    raw = path.read_bytes()
    size, = struct.unpack("<Q", raw[:8])
    return json.loads(raw[8:8 + size]), raw[8 + size:]


def write(path, head, data):
    text = json.dumps(head).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def png(width=48, height=40):
    data = io.BytesIO()
    Image.new("RGB", (width, height)).save(data, "PNG")
    return data.getvalue()


def damaged(content):
    return content[:len(content) // 2] + bytes(len(content) - len(content) // 2)


QUERY = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
# name: (what the job brings, field, what is said). Each is asked of a broker directly: the client would refuse some before.
JOBS = {
    "text": (dict(image=b"a lake at sunset, in words"), "image", "not a PNG, JPEG or WebP"),
    "gif": (dict(image=b"GIF89a" + bytes(40)), "image", "not a PNG, JPEG or WebP"),
    "picture-pickle": (dict(image=b"\x80\x02}q\x00." * 20), "image", "pickle"),
    "cut": (dict(image=png()[:60]), "image", "cut off"),
    "damaged": (dict(image=damaged(png(200, 200))), "image", "png"),
    "wide": (dict(image=png(20000, 1)), "image", "20000x1"),
    "mask-wide": (dict(image=png(), mask=png(1, 16385)), "mask", "1x16385"),
    "adapter-pickle": (dict(adapter=b"\x80\x02}q\x00." * 20), "adapter.blob", "pickle"),
    "adapter-zip": (dict(adapter=b"PK\x03\x04" + bytes(60)), "adapter.blob", "pickle"),
    "adapter-text": (dict(adapter=b"a lake"), "adapter.blob", "no safetensors"),
    "adapter-cut": (dict(adapter=tensors({f"{QUERY}.lora_down.weight": (4, 32)})[:-8]), "adapter", "truncated: tensors of 512 bytes, data of 504"),
    "adapter-elsewhere": (dict(adapter=tensors({"lora_unet_no_such_layer.lora_down.weight": (4, 32),
                                                "lora_unet_no_such_layer.lora_up.weight": (32, 4)})), "adapter", "none of its 2 tensors has a place"),
    "adapter-half": (dict(adapter=tensors({f"{QUERY}.lora_down.weight": (4, 32)})), "adapter", "must be there"),
    "adapter-large": (dict(adapter=tensors({f"{QUERY}.lora_down.weight": (4, 64), f"{QUERY}.lora_up.weight": (64, 4)})), "adapter", "has shape [64, 4]"),
    "embedding-pickle": (dict(embedding=b"\x80\x02}q\x00." * 20), "embedding.blob", "pickle"),
    "embedding-wide": (dict(embedding=tensors({"emb_params": (1, 5)})), "embedding", "vectors of 5 values"),
    "embedding-other": (dict(embedding=tensors({"weights": (1, 32), "more": (3, 3)})), "embedding", "one of 2 tensors; expected is one"),
    "step": (dict(image=png(), strength=0.1), "strength", "step"),
    "clip": (dict(clip_skip=22), "clip_skip", "0..2"),
}


def descriptors(worker):
    return len(os.listdir(f"/proc/{worker.process.pid}/fd"))


def job_of(name, brings):
    job = pb.Job(id=name, prompt=PROMPT, steps=2, width=64, height=64)
    for field, value in brings.items():
        if field == "adapter":
            job.adapter.add().blob.inline = value
        elif field == "embedding":
            job.embedding.add(token="<a>").blob.inline = value
        elif isinstance(value, bytes):
            getattr(job, field).inline = value
        else:
            setattr(job, field, value)
    return job


def test_jobs_with_bad_files(fleet):
    broker = fleet.broker()
    worker = fleet.worker()
    with zmq.Context() as context:
        fleet.wait(fleet.submit(steps=2, size="64x64"))
        stored, open_files = fleet.stored(), descriptors(worker)
        client = Client(context, broker.endpoint)
        for name, (brings, _, _) in JOBS.items():
            client.ask("SUBMIT", pb.Submit(job=job_of(name, brings)))
        client.close()
    for name, (_, field, said) in JOBS.items():
        record = fleet.wait(name, "failed")
        error = record["error"]
        assert record["fails"] == 1, (name, error, "it is not tried again")
        assert error["field"] == field and said in error["message"], (name, error)
    assert fleet.stored() == stored, "nothing is left behind"
    until(lambda: descriptors(worker) <= open_files, 20, f"no more than {open_files} descriptors, there are {descriptors(worker)}")
    fleet.wait(fleet.submit(steps=2, size="64x64"))
    assert len(worker.engines()) == 1, "no engine has died of it"


def test_words_that_the_fleet_does_not_have(fleet):
    """Refused when it is asked for, with the list of what is there."""
    fleet.models.write_text(fleet.models.read_text() + fleets.model_row(FIXTURES / "tiny-control"))
    broker = fleet.broker()
    fleet.worker()
    words = dict(prompt=PROMPT, steps=2)
    with zmq.Context() as context:
        client = Client(context, broker.endpoint)
        for more, field, limit in ((dict(model="sdxl"), "model", "tiny-eps"), (dict(refiner=pb.Refiner(model="fine")), "model", "tiny-eps"),
                                   (dict(control=[pb.Control(model="canny", image=pb.Blob(inline=png()))]), "control.model", "tiny-control"),
                                   (dict(adapter=[pb.Adapter(name="ink")]), "adapter.name", "none"),
                                   (dict(embedding=[pb.Embedding(token="<a>", name="a")]), "embedding.name", "none"),
                                   (dict(tiny_decoder=True), "tiny_decoder", "none")):
            with pytest.raises(Refused) as refused:
                client.ask("SUBMIT", pb.Submit(job=pb.Job(**words, **more)))
            error = refused.value.error
            assert error.field == field and error.limit.startswith(limit), (more, error)
        client.close()
    assert fleet.ask("list").get("job", []) == []


def changed(fleet, name, change):
    """A copy of the tiny model with another U-Net: change(head, data) gives both."""
    folder = fleet.folder / name
    shutil.copytree(FIXTURES / "tiny-eps", folder)
    write(folder / UNET, *change(*read(folder / UNET)))
    return folder


def without_one(head, data):
    head["conv_in.bais"] = head.pop("conv_in.bias")
    return head, data


def with_another(head, data):
    head["conv_in.twin"] = {"dtype": "F32", "shape": [1], "data_offsets": [len(data), len(data) + 4]}
    return head, data + bytes(4)


def of_another_shape(head, data):
    head["conv_in.bias"]["shape"] = head["conv_in.bias"]["shape"] + [1, 1]
    return head, data


def hash_row(folder, name):
    """Its row of the table, with hashes that are right: what is wrong is inside."""
    rows = [f"[{name}]", f"path = {folder}", "default = yes"]
    rows += [f"sha256 {path.relative_to(folder)} = {hashlib.sha256(path.read_bytes()).hexdigest()}"
             for path in sorted(folder.rglob("*.safetensors"))]
    return "\n".join(rows) + "\n"


@pytest.mark.parametrize("change, said", [(without_one, "conv_in.bias"), (with_another, "conv_in.twin"), (of_another_shape, "conv_in.bias")])
def test_models_with_bad_tensors(fleet, change, said):
    """A tensor that is missing, that nobody uses, or of another shape is named, and the worker leaves: no job has been taken."""
    tiny = fleets.tiny_model()
    assert tiny.exists()
    folder = changed(fleet, "changed", change)
    fleet.models.write_text(hash_row(folder, "changed"))
    fleet.broker()
    worker = fleet.worker(wait=False)
    assert worker.process.wait(60) == 78
    assert said in worker.log(), worker.log()
    fleet.workers.clear()


@pytest.mark.parametrize("name", ["unet.safetensors", "unet.ckpt", "unet.pt", "unet.png"])
def test_models_that_are_pickles(fleet, name):
    path = fleet.folder / name
    path.write_bytes(b"PK\x03\x04" + bytes(100))
    done = subprocess.run([WORKER, "--print-hashes", str(path)], capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and ("pickle" in done.stderr or "safetensors" in done.stderr), done.stderr
    path.write_bytes(b"\x80\x02}q\x00." * 20)
    done = subprocess.run([WORKER, "--print-hashes", str(path)], capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and ("pickle" in done.stderr or "safetensors" in done.stderr), done.stderr


def test_a_family_that_is_not_known(fleet):
    """The shapes of no family, and a configuration of none: said with those that are known."""
    folder = fleet.folder / "unknown"
    shutil.copytree(fleets.tiny_model(), folder)
    config = json.loads((folder / "unet/config.json").read_text())
    config["in_channels"] = 7
    (folder / "unet/config.json").write_text(json.dumps(config))
    done = subprocess.run([WORKER, "--print-hashes", str(folder)], capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and "in_channels" in done.stderr, (done.returncode, done.stdout, done.stderr)
    path = fleet.folder / "other.safetensors"
    path.write_bytes(tensors({"model.layers.0.weight": (4, 4, 4)}))
    done = subprocess.run([WORKER, "--print-hashes", str(path)], capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and "neither a model, a control net, a LoRA" in done.stderr, (done.returncode, done.stdout, done.stderr)
