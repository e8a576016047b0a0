"""What `make demo` hands on is what the user said, and nothing where nothing was said: the Makefile has other targets' words."""
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORDS = ("PROMPT", "OUT", "SEED", "STEPS", "SIZE")


def handed_on(*said):
    clean = {name: value for name, value in os.environ.items() if name not in WORDS and not name.startswith("MAKE")}
    said = subprocess.run(["make", "-n", "demo", *said], cwd=ROOT, env=clean, capture_output=True, text=True, timeout=60)
    assert said.returncode == 0, said.stderr
    return next(line for line in said.stdout.splitlines() if line.endswith("deploy/demo"))


def test_nothing_is_said_for_the_user():
    assert all(f'{word}=""' in handed_on() for word in WORDS)


def test_what_the_user_says_is_handed_on():
    line = handed_on(*(f"{word}=said-{word}" for word in WORDS))
    assert all(f'{word}="said-{word}"' in line for word in WORDS)
