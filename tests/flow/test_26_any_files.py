"""A model from any of its files: a folder, one file under the original names, several files of an index."""
import hashlib
import json
import struct
import subprocess

import fleet as fleets

UNET = "unet/diffusion_pytorch_model.safetensors"


def pixels(png):
    """The compressed rows of a PNG: its texts name the model."""
    at, rows = 8, b""
    while at < len(png):
        size, = struct.unpack(">I", png[at:at + 4])
        rows += png[at + 8:at + 8 + size] if png[at + 4:at + 8] == b"IDAT" else b""
        at += 12 + size
    return rows


def single_row(name, folder, *more):
    file = fleets.FIXTURES / "single" / f"{name}.safetensors"
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return "\n".join((f"[{name}-single]", f"path = {file}", f"configs = {folder}", *more, f"sha256 {file.name} = {digest}", ""))


def cut(folder, out):
    """A copy whose U-Net lies in two files."""
    fleets.shutil.copytree(folder, out)
    raw = (out / UNET).read_bytes()
    size, = struct.unpack("<Q", raw[:8])
    head, data, index = json.loads(raw[8:8 + size]), raw[8 + size:], {}
    names = sorted(name for name in head if name != "__metadata__")
    for number, part in enumerate((names[::2], names[1::2]), 1):
        file = out / UNET.replace(".safetensors", f"-0000{number}-of-00002.safetensors")
        table, blob = {}, b""
        for name in part:
            begin, end = head[name]["data_offsets"]
            table[name] = {**head[name], "data_offsets": [len(blob), len(blob) + end - begin]}
            blob += data[begin:end]
            index[name] = file.name
        text = json.dumps(table).encode()
        file.write_bytes(struct.pack("<Q", len(text)) + text + blob)
    (out / (UNET + ".index.json")).write_text(json.dumps({"metadata": {"total_size": len(data)}, "weight_map": index}))
    (out / UNET).unlink()
    return out


def test_the_same_weights_from_any_files_are_the_same_picture(fleet):
    folder = fleets.tiny_model("tiny-eps")
    parts = fleets.model_row(cut(folder, fleet.folder / "parts"))
    assert parts.count("sha256 unet/") == 2 and "left out" not in parts
    fleet.models.write_text(fleets.model_row(folder) + "default = yes\n" + single_row("tiny-eps", folder) + parts)
    fleet.broker()
    fleet.worker()
    rows = [pixels(fleet.picture(fleet.wait(fleet.submit(steps=3, seed=5, model=model))["images"][0]))
            for model in ("tiny-eps", "tiny-eps-single", "parts")]
    assert len(rows[0]) > 1000 and rows[0] == rows[1] == rows[2]


def test_what_the_table_says_of_a_prediction_counts(fleet):
    folder = fleets.tiny_model("tiny-eps")
    other = fleets.model_row(folder).replace("[tiny-eps]", "[other]\nprediction = v_prediction")
    fleet.models.write_text(fleets.model_row(folder) + "default = yes\n" + other)
    fleet.broker()
    fleet.worker()
    rows = [pixels(fleet.picture(fleet.wait(fleet.submit(steps=3, seed=5, model=model))["images"][0]))
            for model in ("tiny-eps", "other")]
    assert rows[0] != rows[1]


def refusal(fleet, text):
    fleet.models.write_text(text)
    worker = fleet.worker(wait=False, name=f"refused-{len(list(fleet.folder.glob('refused-*')))}")
    assert worker.process.wait(60) == 78
    fleet.workers.remove(worker)
    return worker.log(whole=True)


def test_single_files_that_cannot_be(fleet):
    fleet.broker()
    folder = fleets.tiny_model("tiny-eps")
    row = single_row("tiny-eps", folder)
    assert "no family is known by its keys" in refusal(fleet, single_row("tiny-control", folder))
    assert "there is no family sd9" in refusal(fleet, row + "family = sd9\n")
    assert "a single file has no tokenizer" in refusal(fleet, row.replace(f"configs = {folder}", f"configs = {folder}\ntokenizer = /tmp"))
    tiny = fleets.model_row(fleets.FIXTURES / "tiny-taesd").replace("kind = tiny", "kind = tiny\nfamily = sd9")
    assert "[tiny-taesd]: there is no family sd9" in refusal(fleet, fleets.model_row(folder) + tiny)
    pickle = fleet.folder / "model.safetensors"
    pickle.write_bytes(b"PK\3\4 whatever the name")
    digest = hashlib.sha256(pickle.read_bytes()).hexdigest()
    assert "is a pickle" in refusal(fleet, f"[m]\npath = {pickle}\nsha256 model.safetensors = {digest}\n")


def test_a_row_is_printed_for_whatever_it_is(fleet):
    fleets.tiny_model("tiny-eps")
    kinds = {"tiny-control": "control", "tiny-taesd": "tiny", "single/tiny-control.safetensors": "control",
             "lora/kohya.safetensors": "lora", "lora/lokr.safetensors": "lora", "embedding/a1111.safetensors": "embedding"}
    for path, kind in kinds.items():
        row = fleets.model_row(fleets.FIXTURES / path)
        name = path.split("/")[-1].removesuffix(".safetensors")
        assert row.startswith(f"[{name}]\nkind = {kind}\npath = /"), row
        assert row.count("\nsha256 ") == 1
    done = subprocess.run([fleets.WORKER, "--print-hashes", fleets.ROOT / "README.md"], capture_output=True, text=True)
    assert done.returncode == 78 and done.stdout == "" and "not safetensors" in done.stderr
