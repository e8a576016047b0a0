"""One mistake of each kind is planted and must be found; the same thing done right gives the same under every seed."""
import os
import subprocess

import pytest

BUILD = os.environ.get("DARKROOM_BUILD", "build/emulated")
SEEDS = range(12)

# What shows only in some order of things: the right way gives the same every time, the wrong way something else at least once.
BY_ORDER = ["barrier", "second_barrier", "warp", "stream_wait"]
# What shows in any order.
ALWAYS = ["copy_wait", "host_wait", "early_reuse", "never_written"]
# What ends the program, and what it says.
REFUSED = {
    "uneven_barrier": "a barrier that not all threads reach",
    "uneven_shuffle": "lanes of a warp meet at different places",
    "end_of_memory": "a kernel leaves its memory",
    "end_of_shared": "out of bounds",
    "misaligned": "misaligned address",
    "host_touches": "the host may not touch it",
    "host_pointer": "which is the host's",
}


def planted(name, way, seed):
    environment = dict(os.environ, EMULATION_SEED=str(seed))
    return subprocess.run([f"{BUILD}/tests/emulation/planted", name, way], env=environment, capture_output=True, text=True,
                          timeout=120)


def outputs(name, way, seeds=SEEDS):
    results = [planted(name, way, seed) for seed in seeds]
    for result in results:
        assert result.returncode == 0, (result.returncode, result.stderr)
    return {result.stdout for result in results}


@pytest.mark.parametrize("name", BY_ORDER)
def test_what_depends_on_order_is_found_by_some_seed(name):
    right = outputs(name, "right")
    assert len(right) == 1
    assert outputs(name, "wrong") - right


@pytest.mark.parametrize("name", ALWAYS)
def test_what_comes_too_early_is_found_in_natural_order(name):
    right = outputs(name, "right")
    assert len(right) == 1
    assert outputs(name, "wrong", [0]).isdisjoint(right)


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_gpu_defines_ends_the_program(name):
    assert len(outputs(name, "right", range(3))) == 1
    for seed in range(3):
        result = planted(name, "wrong", seed)
        assert result.returncode != 0
        assert REFUSED[name] in result.stderr
