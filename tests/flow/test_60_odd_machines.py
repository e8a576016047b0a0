"""All three programs on machines that are not as they should be: each does what its user expects, and says it."""
import re
import subprocess

import pytest

from fleet import BUILD

PROGRAMS = ["darkroom", "darkroom-broker", "darkroom-worker"]
CONVENTION = {0, 1, 3, 64, 65, 66, 69, 70, 73, 74, 75, 76, 77, 78, 129, 130, 141, 143}


def run(program, *words, **options):
    return subprocess.run([str(BUILD / program), *map(str, words)], capture_output=True, text=True, timeout=30, **options)


# ---- exit codes ----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("program", PROGRAMS)
def test_help_shows_the_exit_codes_of_one_convention(program):
    table = run(program, "--help").stdout.split("\nExit codes:\n")[1]
    codes = [int(code) for code in re.findall(r"^ +(\d+)  \S", table, re.M)]
    assert codes == sorted(set(codes)) and set(codes) <= CONVENTION and {0, 64, 69, 70} <= set(codes)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_wrong_setting_is_64_everywhere(program):
    for words in (["--no-such-setting"], ["--log-level", "loud"], ["--broker"], ["--config", "/nowhere/x.conf"]):
        done = run(program, *words)
        assert (done.returncode, done.stdout) == (64, "") and done.stderr.startswith(f"{program}: "), words
        assert words[0].strip("-") in done.stderr or words[-1] in done.stderr, done.stderr
