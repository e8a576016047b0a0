"""What the pages tell a newcomer to type is typed here, as it stands."""
import os
import re
import subprocess

import pytest
from PIL import Image

import fleet as fleets
from fleet import FIXTURES, ROOT

ROWS = (("tiny-xl", "xl"), ("tiny-refiner", "finish"), ("tiny-lcm", "lcm"), ("tiny-control", "scribble"), ("tiny-control", "depth"),
        ("lora/kohya.safetensors", "ink"), ("tiny-taesd", "taesd"))


def commands(page):
    """The lines of a page's fences that ask with the client; what goes on in the next line is one."""
    fences = re.findall(r"^```sh\n(.*?)^```", (ROOT / page).read_text(), re.M | re.S)
    lines = "".join(fences).replace("\\\n", " ").splitlines()
    return [line for line in lines if re.match(r"(build/)?darkroom ", line)]


@pytest.fixture
def desk(fleet):
    """A folder with the files that the pages name, before a fleet that has what they name; run(line) types a line there."""
    fleets.tiny_model()
    for path, name in ROWS:
        row = fleets.model_row(FIXTURES / path)
        fleet.models.write_text(fleet.models.read_text() + re.sub(r"^\[.*\]", f"[{name}]", row))
    fleet.broker()
    fleet.worker(slots=4)
    folder = fleet.folder / "desk"
    folder.mkdir()
    (folder / "build").symlink_to(fleets.BUILD)
    for name, size in (("lake.png", (96, 64)), ("where.png", (32, 32)), ("lines.png", (64, 64)), ("depth.png", (64, 48))):
        Image.effect_noise(size, 60).convert("RGB").save(folder / name)
    Image.effect_noise((500, 500), 60).convert("RGB").save(folder / "large.png")
    (folder / "long.txt").write_text("a lake at dawn, " * 40)
    for name, path in (("mine", "lora/diffusers"), ("castle", "embedding/a1111")):
        (folder / f"{name}.safetensors").write_bytes((FIXTURES / f"{path}.safetensors").read_bytes())
    environment = {**os.environ, "PATH": f"{fleets.BUILD}:{os.environ['PATH']}", "DARKROOM_BROKER": fleet.endpoints(), "STORE": fleet.store}

    def run(line):
        done = subprocess.run(["bash", "-c", line], cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, (line, done.stderr)
        return done.stdout
    run.folder = folder
    yield run


def test_pictures(desk):
    lines = commands("docs/pictures.md")
    assert len(lines) > 15
    for line in lines:
        made = desk(line)
        if " generate " in f" {line}":
            paths = made.splitlines()
            assert len(paths) == (4 if "--count 4" in line else 1), (line, made)
            for path in paths:
                Image.open(desk.folder / path).load()
    assert Image.open(desk.folder / "lake.webp").format == "WEBP"
    assert sorted(path.name.rsplit("-", 1)[1] for path in (desk.folder / "lakes").iterdir()) == ["0.png", "1.png", "2.png", "3.png"]


def test_readme(desk):
    job = None
    for line in commands("README.md"):
        if " ID" in line and job is None:
            continue
        made = desk(line.replace("ID", job or "ID"))
        job = made.strip() if " submit " in line else job
    assert job and len(list((desk.folder / "pictures").iterdir())) == 2
