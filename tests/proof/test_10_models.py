"""The models of who holds a job and who is next, looked at exhaustively by Spin: every property holds, and each finds the
mistake that is planted for it (a check that cannot fail is none)."""
import pathlib
import re
import shutil
import subprocess

import pytest

HERE = pathlib.Path(__file__).resolve().parent
MODELS = sorted(path.stem for path in HERE.glob("*.pml"))
LIVENESS = {("lease", "ends")}
pytestmark = pytest.mark.skipif(shutil.which("spin") is None, reason="needs spin (deploy/install-packages proof)")


def properties(model):
    return re.findall(r"^#define ([a-z_]+) [1-9]$", (HERE / f"{model}.pml").read_text(), re.M)


def look(folder, model, *defines, liveness=False):
    """What Spin says after looking at all states of the model."""
    words = ["spin", *(f"-D{define}" for define in defines), "-a", str(HERE / f"{model}.pml")]
    made = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert made.returncode == 0 and "rror" not in made.stdout, made.stdout + made.stderr
    how = ["-DNFAIR=2"] if liveness else ["-DSAFETY", "-DNOCLAIM"]
    subprocess.run(["gcc", "-O0", "-w", *how, "-o", "pan", "pan.c"], cwd=folder, check=True)  # compiling is the longest part
    asked = ["-a", "-f"] if liveness else []
    said = subprocess.run(["./pan", "-m100000", "-w20", *asked], cwd=folder, capture_output=True, text=True, check=False).stdout
    assert "max search depth too small" not in said and "errors:" in said, said
    return said


@pytest.mark.parametrize("model", MODELS)
def test_every_property_holds(tmp_path, model):
    said = look(tmp_path, model)
    assert "errors: 0" in said and "Search not completed" not in said, said
    states = int(re.search(r"(\d+) states, stored", said)[1])
    assert states > 300, "a model that hardly moves shows nothing"


def test_every_job_ends(tmp_path):
    """With workers that ask, and a sweep that comes round (weak fairness), whatever is lost on the way."""
    said = look(tmp_path, "lease", liveness=True)
    assert "errors: 0" in said, said


@pytest.mark.parametrize("model,name", [(model, name) for model in MODELS for name in properties(model)])
def test_a_planted_mistake_is_found(tmp_path, model, name):
    liveness = (model, name) in LIVENESS
    said = look(tmp_path, model, f"ONLY={name}", f"MISTAKE_{name}", liveness=liveness)
    found = "acceptance cycle" if liveness else "assertion violated"
    assert "errors: 0" not in said and found in said, said
