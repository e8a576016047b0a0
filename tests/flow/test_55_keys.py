"""Locked doors from end to end: broker, worker and clients with keys that the client's own command has made."""
import os
import pathlib
import subprocess
import sys

import pytest
from fleet import BUILD, CLIENT, PROMPT, ROOT, house
from house import keyring  # noqa: F401


@pytest.fixture
def locked(fleet, keyring):
    """A fleet whose broker takes keys alone; acme's is made."""
    keyring.add("gpu", "roles=work worker=w* default-model=tiny-eps")
    keyring.add("acme", "tenant=acme roles=submit")
    broker = fleet.broker(*keyring.of_broker, listen=house.free_port())
    fleet.worker(key=keyring.file("gpu"), wait=False)
    return broker


def client(broker, *words, environment=None):
    return subprocess.run([CLIENT, "--broker", broker.endpoint, *map(str, words)], capture_output=True, text=True, timeout=120,
                          env={**os.environ, **(environment or {})})


def test_a_picture_behind_locks(locked, keyring, tmp_path):
    key = {"DARKROOM_KEY": keyring.file("acme")}
    house.until(lambda: client(locked, "models", environment=key).stdout.strip(), 60, "a worker with its model")
    done = client(locked, "generate", PROMPT, "--id", "lake-1", "-o", tmp_path / "lake.png", environment=key)
    assert done.returncode == 0 and (tmp_path / "lake.png").read_bytes().startswith(b"\x89PNG"), done.stderr
    shown = client(locked, "--key", keyring.file("operator"), "get", "--tenant", "acme", "lake-1", "--json")
    assert '"state":"succeeded"' in shown.stdout.replace(" ", "") and "/acme/lake-1/" in shown.stdout, shown
    python = subprocess.run([sys.executable, ROOT / "deploy" / "python_client_with_key.py", locked.endpoint,
                             keyring.file("acme"), PROMPT], capture_output=True, text=True, timeout=120,
                            env={**os.environ, "PYTHONPATH": str(BUILD / "gen" / "python")})
    assert python.returncode == 0, python.stderr
    state, url = python.stdout.split()
    assert state == "JOB_STATE_SUCCEEDED" and pathlib.Path(url.removeprefix("file://")).is_file()


def test_the_client_says_why_a_door_stays_shut(locked, keyring):
    keyring.command("generate", "stranger", "--server-key", keyring.file("broker"), ring=False)
    impatient = ("--patience-ms", "3000")
    done = client(locked, *impatient, "--key", keyring.file("stranger"), "models")
    assert done.returncode == 69 and "does not know the key" in done.stderr, done
    done = client(locked, *impatient, "models")
    assert done.returncode == 69, done
    done = client(locked, *impatient, "--key", keyring.file("acme"), "requeue", "lake-1")
    assert done.returncode == 77 and "operate" in done.stderr, done
    done = client(locked, *impatient, "--key", keyring.file("broker"), "models")
    assert done.returncode == 64 and "server-key" in done.stderr, done
    python = subprocess.run([sys.executable, ROOT / "deploy" / "python_client_with_key.py", locked.endpoint,
                             keyring.file("stranger"), PROMPT], capture_output=True, text=True, timeout=60,
                            env={**os.environ, "PYTHONPATH": str(BUILD / "gen" / "python")})
    assert python.returncode == 1 and "does not know" in python.stderr


def test_a_worker_whose_key_is_not_known_says_so_and_comes_in_when_it_is(fleet, keyring, tmp_path):
    keyring.command("generate", "gpu", "--server-key", keyring.file("broker"), ring=False)
    keyring.add("acme", "tenant=acme roles=submit")
    broker = fleet.broker(*keyring.of_broker, listen=house.free_port())
    worker = fleet.worker(key=keyring.file("gpu"), wait=False, silence_ms=500)
    house.until(lambda: "event=broker_locked" in worker.log(), 60, "a word about the key")
    keyring.write(keyring.text() + f"gpu {keyring.public('gpu')} roles=work worker=w1 default-model=tiny-eps\n")
    house.until(lambda: "event=worker_ready worker=w1" in broker.log(), 60, "the worker")
