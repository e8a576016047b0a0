"""Every flag of `darkroom generate` with what it cannot be: an error that names field and limit, exit code 64, and nothing asked of anybody."""
import os
import pickle
import re
import subprocess

import pytest

from fake_broker import pb
from test_cli import PROGRAM, answers, environment, play, run  # noqa: F401

WHOLE = ["-1", "nan", "inf", "1e30", "99999999999999999999", "", "ü", "0x10", "1 ", " 1", "1.5", "1,5"]
REAL = ["-1", "nan", "-nan", "inf", "1e400", "", "ü", "0x1", "1 ", "1,5", "1.5.5"]
LONG = "a" * 5000

# flag: (values, what is said of it); each flag of a job stands in one of these tables, which a test holds
NUMBERS = {
    "steps": (WHOLE + ["0", "1001"], "1..1000"), "seed": (WHOLE + ["9007199254740992"], "0..9007199254740991"),
    "count": (WHOLE + ["0", "65"], "1..64"), "deadline-ms": (WHOLE + ["0", "604800001"], "1..604800000"),
    "clip-skip": (WHOLE + ["23"], "0..22"), "upscale-steps": (WHOLE + ["0", "1001"], "1..1000"),
    "quality": (WHOLE + ["0", "101"], "1..100"), "preview-every": (WHOLE + ["0", "1001"], "1..1000"),
    "patience-ms": (WHOLE + ["99"], "100..86400000"),
    "guidance": (REAL + ["100.1"], "0..100"), "strength": (REAL + ["1.1"], "0..1"), "eta": (REAL + ["1.1"], "0..1"),
    "guidance-rescale": (REAL + ["1.1"], "0..1"), "upscale-strength": (REAL + ["1.1"], "0..1"),
}
WORDS = {
    "spacing": (["", "Leading", "ü", LONG], "model|leading|linspace|trailing"),
    "prompt-mode": (["", "weights", "ü"], "plain|long|weighted"), "format": (["", "jpg", "gif"], "png|jpeg|webp"),
    "upscale-kind": (["", "lanczos"], "latent|pixel"), "s3-addressing": (["", "host"], "auto|path|virtual"),
    "sampler": (["ü", "euler ", "euler_karras_beta", "-1"], "euler, euler_a"), "priority": (["ü", "high", "-1"], "interactive, standard, bulk"),
    "guess": (["", "maybe"], "false"), "preview-tiny": (["", "2"], "false"), "tiny-decoder": (["", "maybe"], "false"),
    "json": (["maybe"], "false"), "quiet": (["maybe"], "false"),
}
TEXTS = {
    "size": (["", "64", "x", "64x", "x64", "64x64x64", "64X64", "-64x64", "64x-64", "64 x 64", "ü"], "size"),
    "pad": (["", "8", "8,8,8", "8,8,8,8,8", "-8,0,0,0", "8, 0,0,0", "nan,0,0,0", "99999999999,0,0,0"], "pad"),
    "sizes": (["", "1,2,3,4,5", "1,2,3,4,5,6,7", "1,2,3,4,5,-6", "1,2,3,4,5,99999999999", "a,b,c,d,e,f"], "sizes"),
    "upscale": (["", "2x", "x", "100.5x104", "nanx8", "8xnan", "1e9x8", "-2x", "0x8 ", "99999x8"], "upscale"),
    "control": (["", "canny", "=f.png", "canny=", ":", "0.5"], "control"), "lora": (["", "ink:nan", "ink:", "ink:1:1:1", "ink:1e400"], "lora"),
    "embedding": (["", "<a>", "=a", "<a>="], "embedding"), "refiner": (["", "fine:", "fine:soon", "fine:0.5:0.5"], "refiner"),
    "model": (["", "a" * 129, "\udcff"], "model"), "id": (["", "a" * 65, "a b", "../a", "-a", "ü"], "id"),
    "store": (["", "/folder", "file://host/a b", "http://host/", "s3:/bucket", "s3://", LONG], "store"), "negative": (["\udcff", "a" * 8193], "negative"),
    "output": (["", LONG], "output"), "previews": (["", LONG], "previews"), "image": (["", LONG], "image"), "mask": (["", LONG], "mask"),
    "key": (["", "none", "/", "/dev/null", LONG], "key"), "broker": (["", "nowhere", "tcp://", "tcp://host:0", "http://host:1", LONG], "broker"), "s3-proxy": (["a" * 600], "s3-proxy"),
}
# beyond what a flag can say by itself
SIDES = [("--size", "0x64", "width"), ("--size", "63x64", "width"), ("--size", "64x2056", "height"), ("--size", "4294967360x64", "size"),
         ("--size", "18446744073709551680x64", "size"), ("--sizes", "0,1,0,0,1,1", "sizes.original_width"),
         ("--upscale", "99x104", "upscale.width"), ("--refiner", "fine:1.5", "refiner.start"), ("--refiner", "fine:-1", "refiner.start"),
         ("--lora", "ink:11", "adapter.weight"), ("--lora", "ink:1:-11", "adapter.text_weight")]
CONTRADICTIONS = [
    (["--mask", "IMAGE"], "mask goes with image"), (["--strength", "0.5"], "strength goes with image"), (["--pad", "8,8,8,8"], "padding goes with image"),
    (["--quality", "80"], "quality goes with format jpeg or webp"), (["--quality", "80", "--format", "png"], "quality goes with format"),
    (["--preview-tiny"], "preview_kind goes with preview_every"), (["--previews", "."], "--previews goes with --preview-every"),
    (["--guess"], "--guess goes with --control"), (["--upscale-kind", "pixel"], "--upscale-kind goes with --upscale"),
    (["--upscale-strength", "0.5"], "--upscale-strength goes with --upscale"), (["--upscale-steps", "5"], "--upscale-steps goes with --upscale"),
    (["--refiner", "fine", "--upscale", "128x128"], "refiner goes with no upscale"), (["--eta", "0.5", "--sampler", "euler"], "euler has no eta"),
    (["--image", "IMAGE", "--pad", "64,0,0,0", "--size", "64x64"], "leaves the image no room"),
    (["--image", "IMAGE", "--pad", "7,0,0,0"], "padding.left"), (["--control", "c=IMAGE:0.5:0.9:0.1"], "ends before it starts"),
    (["--control", "c=IMAGE:-1"], "control.scale"), (["--control", "c=IMAGE:1:0:2"], "control.end"),
    (["--embedding", "a=b", "--embedding", "a=c"], "same token"), (["--embedding", "a" * 65 + "=b"], "embedding.token"),
    (["--lora", "a"] * 9, "9 times --lora"), (["--control", "c=IMAGE"] * 5, "5 times --control"), (["--embedding", "t=a"] * 9, "9 times --embedding"),
    (["--sampler", "lcm", "--spacing", "trailing"], "spacing"),
    (["--seed", "9007199254740991", "--count", "2"], "seed"), (["--json", "-o", "-"], "both want stdout"), (["--count", "2", "-o", "a.png"], "need a folder"),
]


@pytest.fixture
def nobody(play):
    """A broker that nothing may be asked of."""
    broker = play(lambda *_: None)
    yield broker
    assert broker.requests == []


@pytest.fixture
def files(tmp_path):
    """What a file can be instead of a picture or an adapter, by name; IMAGE is one."""
    made = {name: tmp_path / name for name in ("folder", "pipe", "empty", "text.png", "large.png", "IMAGE")}
    made["folder"].mkdir()
    os.mkfifo(made["pipe"])
    made["empty"].write_bytes(b"")
    made["text.png"].write_text("a lake at sunset, in words")
    made["IMAGE"].write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    with open(made["large.png"], "wb") as large:
        large.write(b"\x89PNG\r\n\x1a\n")
        large.truncate(64 * 1024 * 1024 + 1)
    for name in ("p.safetensors", "p.png", "p.ckpt", "p.pt", "p.bin"):
        made[name] = tmp_path / name
        made[name].write_bytes(pickle.dumps({"weights": list(range(100))}, protocol=2))
    made["zip.safetensors"] = tmp_path / "zip.safetensors"
    made["zip.safetensors"].write_bytes(b"PK\x03\x04" + bytes(100))
    return made


def refused(broker, words, *said, code=64, **options):
    done = run("generate", "a lake", *words, broker=broker, **options)
    message = done.stderr.decode(errors="replace")
    assert done.returncode == code and done.stdout == b"", (words, done.returncode, message)
    assert all(word in message for word in said), (words, message)
    assert message.startswith("darkroom: ") and message.count("\n") == 1, (words, message)


def test_every_flag_stands_in_a_table():
    shown = subprocess.run([PROGRAM, "generate", "--help"], capture_output=True, text=True, env=environment()).stdout
    flags = set(re.findall(r"^  (?:-\w, )?--([a-z0-9-]+)", shown, re.M)) - {"config", "help", "print-config", "version"}
    tables = {**NUMBERS, **WORDS, **TEXTS}
    assert flags == set(tables), flags ^ set(tables)


@pytest.mark.parametrize("flag", NUMBERS)
def test_numbers(nobody, flag):
    values, limit = NUMBERS[flag]
    for value in values:
        refused(nobody, [f"--{flag}={value}"], f"--{flag}", limit)


@pytest.mark.parametrize("flag", WORDS)
def test_words(nobody, flag):
    values, limit = WORDS[flag]
    for value in values:
        refused(nobody, [f"--{flag}={value}"], flag, limit)


@pytest.mark.parametrize("flag", TEXTS)
def test_texts(nobody, tmp_path, flag):
    values, name = TEXTS[flag]
    for value in values:
        refused(nobody if flag != "broker" else None, [f"--{flag}={value}"], name, cwd=tmp_path)


def test_sides_and_weights(nobody):
    for flag, value, field in SIDES:
        refused(nobody, [flag, value], field)


def test_contradictions(nobody, files, tmp_path):
    for words, said in CONTRADICTIONS:
        refused(nobody, [word.replace("IMAGE", str(files["IMAGE"])) for word in words], said, cwd=tmp_path)


PICTURES = {"folder": "no plain file", "pipe": "no plain file", "/dev/zero": "no plain file", "/dev/null": "no plain file", "empty": "has 0 bytes",
            "none.png": "No such file", "text.png": "not a PNG, JPEG or WebP", "p.png": "a pickle", "p.safetensors": "a pickle", "zip.safetensors": "a pickle",
            "large.png": "1..67108864 bytes", "n" * 300: "too long", "text.png/x": "Not a directory", "http://host/a.png": "https://HOST/PATH",
            "s3://": "s3://BUCKET/KEY", "s3://bucket": "s3://BUCKET/KEY", "s3://bucket/": "s3://BUCKET/KEY", "file://host/a": "file:///PATH",
            "s3://bucket/a#sha256=abc": "64 digits", "https://host/a#sha256=": "64 digits", "-": "No such file"}
TENSORS = {"./folder": "no plain file", "./pipe": "no plain file", "/dev/zero": "no plain file", "./empty": "has 0 bytes", "./none": "No such file",
           "./text.png": "no safetensors", "./IMAGE": "no safetensors", "p.safetensors": "a pickle", "p.ckpt": "a pickle", "p.pt": "a pickle", "p.bin": "a pickle",
           "./p.png": "a pickle", "zip.safetensors": "a pickle", "s3://bucket/a.safetensors": "needs its sha256", "https://host/a#sha256=0": "64 digits"}


@pytest.mark.parametrize("flag", ["--image", "--mask", "--control"])
def test_pictures(nobody, files, tmp_path, flag):
    for name, said in PICTURES.items():
        words = [flag, f"canny={name}" if flag == "--control" else name]
        refused(nobody, words + (["--image", str(files["IMAGE"])] if flag == "--mask" else []), flag[2:], said, cwd=tmp_path)


@pytest.mark.parametrize("flag", ["--lora", "--embedding"])
def test_tensors(nobody, files, tmp_path, flag):
    for name, said in TENSORS.items():
        refused(nobody, [flag, f"<a>={name}" if flag == "--embedding" else name], said, cwd=tmp_path)


def test_a_file_that_is_too_large_to_travel_wants_a_store(nobody, tmp_path):
    path = tmp_path / "in.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(200 * 1024))
    refused(nobody, ["--image", str(path)], "too large to travel in the job; --store", "field store")
    refused(nobody, ["--image", str(path), "--store", "s3://bucket/prefix"], "AWS_ACCESS_KEY_ID is not set")
    refused(nobody, ["--image", str(path), "--store", "file://" + "/" + "a" * 1100], "a file's URL has at most 1024 bytes")


def test_prompts(nobody, tmp_path):
    for words, said in ((["a" * 8193], "0..8192 bytes"), (["\udcff"], "not UTF-8"), ([], "missing: PROMPT"), (["a", "b"], "one argument is enough")):
        done = run("generate", *words, broker=nobody)
        assert done.returncode == 64 and said in done.stderr.decode(errors="replace"), done.stderr
    for content, said in ((b"a" * 9000, "too long"), (bytes(10), "NUL"), (b"\xff", "not UTF-8")):
        done = run("generate", "-", broker=nobody, input=content)
        assert done.returncode == 64 and said in done.stderr.decode(errors="replace"), done.stderr
