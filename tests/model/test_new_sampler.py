"""A new sampler is a row of proto/samplers.def and its fill function: in a copy of the tree one is added, and nothing else."""
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROW = ('SAMPLER(PLAIN, 77, plain, "Plain", ANY_SCHEDULE, NO_ETA, NO_NOISE, 1, "20", "trying", "Euler by another name")\n'
       "#endif\n#ifdef NOISE_SCHEDULE\n")
FILL = """/* plain.c - Euler by another name. */
#include "worker/sampler/fill.h"

enum status plain_fill(struct arena *arena, const struct plan_request *request, struct plan *out) {
  return euler_fill(arena, request, out);
}
"""
SOURCES = ("base", "monitoring", "proto", "s3", "cli", "worker", "images", "store", "kernels", "tests", "docs", "deploy")


@pytest.fixture
def tree(tmp_path):
    for folder in SOURCES:
        if (ROOT / folder).exists():
            shutil.copytree(ROOT / folder, tmp_path / folder)
    shutil.copy(ROOT / "Makefile", tmp_path)
    return tmp_path


def run(tree, *command, **options):
    return subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False, **options)


def make(tree, *targets):
    done = run(tree, "make", "-s", f"-j{os.cpu_count()}", *targets)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_row_and_a_function_make_a_sampler(tree):
    table = tree / "proto" / "samplers.def"
    table.write_text(table.read_text().replace("#endif\n#ifdef NOISE_SCHEDULE\n", ROW))
    (tree / "worker" / "sampler" / "plain.c").write_text(FILL)
    written = run(tree, sys.executable, "tests/check/samplers.py")  # what `make docs` does first
    assert written.returncode == 0, written.stderr
    assert "SAMPLER_PLAIN = 77;" in (tree / "proto" / "darkroom.proto").read_text()
    assert "| `plain` | trying |" in (tree / "docs" / "samplers.md").read_text()
    make(tree, "build/darkroom", "build/tests/unit/sampler/test_part", "build/tests/unit/proto/test_job")
    assert " plain; with " in run(tree, "build/darkroom", "generate", "--help").stdout
    typed = run(tree, "build/darkroom", "generate", "x", "--sampler", "plain_karas")
    assert "did you mean plain_karras?" in typed.stderr
    for test in ("sampler/test_part", "proto/test_job"):
        done = run(tree, f"build/tests/unit/{test}")
        assert done.returncode == 0, done.stdout + done.stderr


def test_without_its_function_it_does_not_link(tree):
    table = tree / "proto" / "samplers.def"
    table.write_text(table.read_text().replace("#endif\n#ifdef NOISE_SCHEDULE\n", ROW))
    run(tree, sys.executable, "tests/check/samplers.py")
    done = run(tree, "make", "-s", "build/tests/unit/sampler/test_part")
    assert done.returncode != 0 and "plain_fill" in done.stderr
