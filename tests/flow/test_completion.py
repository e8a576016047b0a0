"""Bash completes the client's words by the script that the client prints."""
import re
import subprocess

import pytest

from test_cli import PROGRAM, environment, run

COMPLETE = """
source <("$0" completion)
COMP_WORDS=(darkroom "$@") COMP_CWORD=$#
_darkroom
echo "${COMPREPLY[@]}"
"""


@pytest.mark.parametrize("typed, offered", [
    (["ge"], "generate get"),
    (["generate", "--s"], "--s3-addressing --s3-proxy --steps --seed --size --sampler --strength --store --spacing --sizes"),
    (["generate", "a lake", "--cou"], "--count"),
    (["list", "--st"], "--state"),
    (["generate", "--format", ""], "png jpeg webp"),
    (["status", "--st"], ""),
    (["watch", "x", "--s3-addressing", ""], "auto path virtual"),
    (["watch", "x", "--s3-addressing", "v"], "virtual"),
    (["generate", "--steps", ""], ""),
    (["generate", "-o", ""], ""),
    (["--broker", "tcp://h:1", "canc"], "cancel"),
])
def test_bash_completes_the_words(typed, offered):
    done = subprocess.run(["bash", "-c", COMPLETE, PROGRAM, *typed], capture_output=True, text=True, env=environment())
    assert done.stdout.strip() == offered and done.stderr == ""


@pytest.mark.parametrize("verb", ["generate", "submit", "watch", "list", "status", "completion"])
def test_bash_completes_every_setting(verb):
    told = re.findall(r"^  (?:-\w, )?(--[a-z0-9-]+)", run(verb, "--help").stdout.decode(), re.M)
    done = subprocess.run(["bash", "-c", COMPLETE, PROGRAM, verb, "--"], capture_output=True, text=True, env=environment())
    assert sorted(told) == sorted(done.stdout.split()) and len(told) > 5
