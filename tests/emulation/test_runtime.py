"""The emulated runtime's own tests, in natural order and under seeds; and a device that fails when it is told to."""
import os
import subprocess

import pytest

BUILD = os.environ.get("DARKROOM_BUILD", "build/emulated")


def run(program, timeout=300, **environment):
    return subprocess.run([f"{BUILD}/tests/emulation/{program}"], env=dict(os.environ, **environment), capture_output=True,
                          text=True, timeout=timeout)


@pytest.mark.parametrize("seed", ["0", "1", "2", "3"])
@pytest.mark.parametrize("program", ["runtime", "threads"])
def test_the_rules_hold_under_every_seed(program, seed):
    result = run(program, EMULATION_SEED=seed)
    assert result.returncode == 0, result.stdout + result.stderr


def said(fault):
    result = run("faults", EMULATION_FAULT=fault)
    assert result.returncode == 0, result.stderr
    return result.stdout.split("\n")[:-1]


HEALTHY = ["stream cudaSuccess", "malloc cudaSuccess", "pin cudaSuccess"] + ["launch cudaSuccess", "wait cudaSuccess"] * 3 + [
    "copy cudaSuccess", "value 3", "last cudaSuccess", "last cudaSuccess"]


def test_without_a_fault():
    assert said("") == HEALTHY


def test_an_illegal_address_is_told_by_every_later_call():
    lines = said("launch:2")
    broken = "cudaErrorIllegalAddress"
    assert lines[:5] == HEALTHY[:5]
    assert lines[5:] == ["launch cudaSuccess", f"wait {broken}", f"launch {broken}", f"wait {broken}", f"copy {broken}",
                         "value -1", f"last {broken}", f"last {broken}"]


def test_a_lack_of_memory_passes():
    assert said("malloc:1") == [HEALTHY[0], "malloc cudaErrorMemoryAllocation", "last cudaErrorMemoryAllocation"] + HEALTHY[1:]
    assert said("pin:1")[2] == "pin cudaErrorMemoryAllocation"


def test_a_launch_can_be_lost():
    assert said("skip:3") == [line.replace("value 3", "value 2") for line in HEALTHY]


def test_only_the_first_process_obeys(tmp_path):
    fault = f"launch:2@{tmp_path}/struck"
    assert said(fault) != HEALTHY
    assert said(fault) == HEALTHY


def test_a_fault_waits_until_it_is_armed(tmp_path):
    fault = f"launch:1+!{tmp_path}/armed"
    assert said(fault) == HEALTHY
    (tmp_path / "armed").touch()
    assert said(fault) != HEALTHY
    assert said(fault) == HEALTHY


def test_a_device_can_hang():
    with pytest.raises(subprocess.TimeoutExpired):
        run("faults", timeout=3, EMULATION_FAULT="hang:2")


def test_words_that_mean_nothing_are_refused():
    for fault in ("launch", "launch:0", "lunch:3", "launch:3x"):
        result = run("faults", EMULATION_FAULT=fault)
        assert result.returncode == 99 and "EMULATION_FAULT" in result.stderr
    result = run("faults", EMULATION_SEED="-1")
    assert result.returncode == 99 and "EMULATION_SEED" in result.stderr
