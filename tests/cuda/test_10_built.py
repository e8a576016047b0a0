"""The programs that make CUDA=1 links: they hold kernels for every architecture, start where there is neither a GPU nor any
of NVIDIA's libraries, and serve a CPU there. make cuda-check runs these over build/cuda."""
import os
import pathlib
import re
import subprocess

import fleet as fleets
import pytest
from fleet import PROMPT

REFUSED = 78
FOUND_LATE = re.compile(r"libcuda|libcudart|libcublas|libcudnn|libnvidia|libnvrtc")


def test_it_is_a_build_with_cuda():
    assert fleets.BUILD.name == "cuda", "these stories are for the programs of make CUDA=1"


@pytest.mark.parametrize("program", ["darkroom-worker", "darkroom-broker", "darkroom"])
def test_no_library_of_a_gpu_is_needed_to_start(program):
    done = subprocess.run(["ldd", fleets.BUILD / program], capture_output=True, text=True, check=True)
    assert "libc.so" in done.stdout and not FOUND_LATE.search(done.stdout), done.stdout


def test_there_is_device_code_for_every_architecture():
    """Each fat binary names what it holds; PTX is for GPUs that are newer than the compiler."""
    library = (fleets.BUILD / "libkernels.a").read_bytes()
    objects = sorted((fleets.BUILD / "kernels" / "cuda").glob("*.cu.o"))
    assert objects and b".nv_fatbin" in library
    for path in objects:
        kinds = fat_entries(path.read_bytes())
        assert kinds == {("elf", 80), ("elf", 89), ("elf", 90), ("ptx", 90)}, f"{path}: {sorted(kinds)}"


def fat_entries(content):
    """(kind, architecture) of each entry of an object's fat binaries: a header of 16 bytes (magic, version, header bytes,
    body bytes), then entries of a header (kind 1: PTX, 2: machine code) and a body each."""
    found, at = set(), 0
    while (at := content.find(b"\x50\xed\x55\xba", at)) >= 0:
        header = int.from_bytes(content[at + 6:at + 8], "little")
        end = at + header + int.from_bytes(content[at + 8:at + 16], "little")
        at += header
        while at < end:
            kind = int.from_bytes(content[at:at + 2], "little")
            bytes_of_header = int.from_bytes(content[at + 4:at + 8], "little")
            bytes_of_body = int.from_bytes(content[at + 8:at + 16], "little")
            found.add(({1: "ptx", 2: "elf"}[kind], int.from_bytes(content[at + 28:at + 32], "little")))
            at += bytes_of_header + bytes_of_body
    return found


def test_a_gpu_that_is_not_there_is_one_clear_line(fleet):
    if any(pathlib.Path("/dev").glob("nvidia[0-9]*")) or os.environ.get("CUDA_VISIBLE_DEVICES"):
        pytest.skip("a GPU is here")
    fleet.broker()
    worker = fleet.worker(wait=False, device="cuda:0")
    assert worker.process.wait(60) == REFUSED, worker.log()
    fleet.workers.remove(worker)
    lines = [line for line in worker.log().splitlines() if "cuda:0" in line and "driver" in line]
    assert len(lines) == 1, worker.log()


def test_a_cpu_is_served_beside_it(fleet):
    fleet.broker()
    fleet.worker(device="cpu")
    target = fleet.folder / "out.png"
    done = fleet.client("generate", PROMPT, "--steps", 2, "--seed", 7, "-o", target)
    assert done.returncode == 0, done.stderr
    assert target.read_bytes().startswith(b"\x89PNG")
