"""The ten lines of README.md, as they stand in deploy/python_client.py."""
import os
import pathlib
import subprocess
import sys

from fleet import BUILD, PROMPT, ROOT


def run(fleet, *words):
    environment = {**os.environ, "PYTHONPATH": str(BUILD / "gen" / "python")}
    return subprocess.run([sys.executable, ROOT / "deploy" / "python_client.py", *words], env=environment, timeout=60,
                          capture_output=True, text=True)


def test_python_gets_a_picture(fleet):
    broker = fleet.broker()
    fleet.worker()
    done = run(fleet, broker.endpoint, PROMPT)
    assert done.returncode == 0, done.stderr
    state, url = done.stdout.split()
    assert state == "JOB_STATE_SUCCEEDED"
    assert pathlib.Path(url.removeprefix("file://")).read_bytes().startswith(b"\x89PNG")


def test_python_hears_why_it_is_refused(fleet):
    broker = fleet.broker()
    fleet.worker()
    done = run(fleet, broker.endpoint, "lake " * 2000)
    assert done.returncode == 1 and "prompt" in done.stderr
