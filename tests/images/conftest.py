"""The images room, through a small program of its own."""
import os
import pathlib
import subprocess

import numpy
import pytest

BUILD = pathlib.Path(os.environ.get("DARKROOM_BUILD", "build")).resolve()


@pytest.fixture
def picture():
    def run(*words):
        done = subprocess.run([BUILD / "tests/images/picture", *map(str, words)], capture_output=True, timeout=120)
        return done.returncode, done.stdout, done.stderr.decode()
    return run


@pytest.fixture
def pixels(picture):
    """What a verb makes of a file, as an array."""
    def run(*words):
        code, out, said = picture(*words)
        assert code == 0, said
        head, _, body = out.partition(b"\n")
        width, height, channels = map(int, head.split())
        return numpy.frombuffer(body, numpy.uint8).reshape(height, width, channels)
    return run
