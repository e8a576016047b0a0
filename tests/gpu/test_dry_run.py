"""gpu-check and gpu-bench with everything small, so that they work when a GPU can be had: all parts on the CPU, and over the
emulation, which is slow, each kind of part once. No figure is judged."""
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("DARKROOM_BUILD", ROOT / "build"))
PROGRAM = BUILD / "darkroom-gpu"
EMULATED = BUILD.name == "emulated"
DEVICE = "cuda:0" if EMULATED else "cpu"
CHECKERS = {"memcheck", "racecheck"}
# Of those that differ only in how much they look at, one.
CHECKS = ("machine", "models", "ops", "goldens", "picture-mates", "sequences", "memory", "killed", "memcheck")
MEASURES = ("machine", "ceilings", "models", "whole", "eager", "step-ops", "bands", "jobs")


def run(folder, *words, wanted=0):
    command = [PROGRAM, *words, "--tiny", "--device", DEVICE, "--out", folder / "out", "--scratch", folder / "scratch",
               "--python", sys.executable]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == wanted, f"{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
    return done.stdout


def result(folder, program):
    return json.loads((folder / "out" / f"{program}.json").read_text())


def outcomes(folder, program):
    return {part["name"]: part["outcome"] for part in result(folder, program)["parts"]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("gpu")


def listed(program):
    """The parts that are run when none is named."""
    lines = subprocess.run([PROGRAM, program, "--list"], capture_output=True, text=True, check=True).stdout.splitlines()
    return [line.split()[0] for line in lines[1:] if "only when asked" not in line]


def taken(program, some):
    return list(some) if EMULATED else listed(program)


def test_every_check_passes(folder):
    parts = taken("check", CHECKS)
    run(folder, "check", *(["--only", ",".join(parts)] if EMULATED else []))
    found = outcomes(folder, "gpu-check")
    assert list(found) == parts and set(CHECKS) <= set(listed("check"))
    for name, outcome in found.items():
        assert outcome == ("DONE" if name in ("machine", "models") else "SKIP" if name in CHECKERS and outcome == "SKIP" else "PASS"), name


def test_every_measurement_ends(folder):
    parts = taken("bench", MEASURES)
    run(folder, "bench", *(["--only", ",".join(parts)] if EMULATED else []))
    found = outcomes(folder, "gpu-bench")
    assert list(found) == parts and set(MEASURES) <= set(listed("bench"))
    assert set(found.values()) <= {"DONE", "PASS", "SKIP"}
    rows = {part["name"]: {row["name"]: row for row in part.get("rows", [])} for part in result(folder, "gpu-bench")["parts"]}
    assert rows["whole"]["whole.b1"]["value"] > 0
    assert rows["whole"]["operations"]["value"] > 0
    assert rows["step-ops"]["sum"]["value"] > 0
    numbers = {number["what"]: number for number in result(folder, "gpu-bench")["numbers"]}
    together = numbers["eight jobs together over one after another, pictures a second"]
    assert together["ratio"] is not None and together["wanted"] == 2.0


def test_the_table_says_what_was_found(folder):
    files = [folder / "out" / "gpu-check.json", folder / "out" / "gpu-bench.json"]
    made = subprocess.run([sys.executable, ROOT / "tests/gpu/table.py", *files], capture_output=True, text=True, check=True).stdout
    assert "| goldens | PASS |" in made and "| images, step, ms |" in made and "TINY" in made
    kept = subprocess.run([sys.executable, ROOT / "tests/gpu/table.py", "--keep", *files], capture_output=True, text=True,
                          check=False)
    assert kept.returncode != 0 and "not kept" in kept.stderr


def test_a_part_that_dies_costs_itself_alone(folder, monkeypatch):
    """The device cannot be opened by the ops that look at it; the models are made all the same."""
    monkeypatch.setenv("EMULATION_DEVICES", "0")
    if not EMULATED:
        pytest.skip("the emulation's setting")
    run(folder, "check", "--only", "models,ops,memory", wanted=1)
    assert outcomes(folder, "gpu-check") == {"models": "DONE", "ops": "FAIL", "memory": "FAIL"}


def test_time_that_is_over(folder):
    """Nothing is begun that has no time: it is told as cut, and not all is well."""
    run(folder, "bench", "--only", "machine,whole,jobs", "--budget", "1", wanted=1)
    assert outcomes(folder, "gpu-bench") == {"machine": "CUT", "whole": "CUT", "jobs": "CUT"}


def test_a_part_that_nobody_knows(folder):
    run(folder, "check", "--only", "ops,opps", wanted=64)
