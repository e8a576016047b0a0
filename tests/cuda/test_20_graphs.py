"""What cuDNN says to the graphs of SD 1.5 for an H100 that is not here: every problem that it should serve is served, by an
engine that does not split sums, and one number of images by the same engine as another.

cuDNN answers by a GPU's properties (h100.json, in its own words), so wrong attributes are found without a GPU. It compiles
some kernels with NVRTC when a plan is made; libcuda.so.1 beside the tool takes them and runs nothing."""
import os
import pathlib
import re
import subprocess

import fleet as fleets
import pytest

HERE = pathlib.Path(__file__).parent
UNAVAILABLE = 69
IMAGES = ["1", "2", "16"]
SPLITS = {0, 9, 12, 17, 20, 38, 39}  # knobs that cut a sum into pieces (enum cudnnBackendKnobType_t)


def libraries():
    """Where the toolkit's libraries are: beside the compiler that built this."""
    home = os.environ.get("CUDA_HOME")
    if home:
        return pathlib.Path(home).parent
    found = sorted(pathlib.Path(".cuda").glob("lib/python3*/site-packages/nvidia"))
    return found[0].resolve() if found else None


def ask(determinism, named=None, loader=True):
    """Runs the tool with the libraries' folder named, or another."""
    folder = libraries()
    if folder is None or not (folder / "cudnn").exists():
        pytest.skip("cuDNN is not installed here (deploy/install-cuda)")
    tool = fleets.BUILD / "tests" / "cuda" / "graphs"
    environment = {**os.environ, "DARKROOM_CUDA_LIBRARIES": str(named or folder),
                   "LD_LIBRARY_PATH": f"{tool.parent}:{folder / 'cu13' / 'lib'}" if loader else ""}
    return subprocess.run([tool, HERE / "h100.json", determinism, *IMAGES], capture_output=True, text=True,
                          env=environment, timeout=900)


def refusal(named):
    done = ask("strict", named, loader=False)
    assert done.returncode == UNAVAILABLE and done.stdout == "", done
    line, = done.stderr.splitlines()
    return line


def test_a_library_that_is_not_there_is_one_line(tmp_path):
    if pathlib.Path("/usr/local/cuda").exists():
        pytest.skip("this machine has a toolkit of its own")
    line = refusal(tmp_path)
    assert "cuBLASLt" in line and "libcublasLt.so.13" in line and str(tmp_path) in line


def test_one_of_two_libraries_is_not_enough(tmp_path):
    (tmp_path / "cu13").symlink_to(libraries() / "cu13")
    line = refusal(tmp_path)
    assert "cuDNN" in line and "libcudnn_graph.so.9" in line and str(tmp_path) in line


def test_a_damaged_library_is_told_by_the_loader(tmp_path):
    (tmp_path / "libcublasLt.so.13").write_text("not a library")
    assert "libcublasLt.so.13: file too short" in refusal(tmp_path)


def test_every_graph_is_served_in_strict_sums():
    done = ask("strict")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line for line in done.stdout.splitlines() if "engine" in line and "proposes" not in line]
    assert len(lines) > 70, done.stdout
    for line in lines:
        knobs = dict(map(int, knob.split("=")) for knob in re.search(r"knobs(.*), images", line).group(1).split())
        assert all(knobs.get(knob, 0) <= (0 if knob in (12, 38) else 1) for knob in SPLITS), line
        assert "(one by one)" not in line or line.split()[1:3] == ["decoder", "out"], line
