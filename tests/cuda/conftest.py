"""Fixture `fleet`, as in the flow stories; here the programs are those of make CUDA=1."""
import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(__file__)), "flow"))
import fleet as fleets  # noqa: E402


@pytest.fixture
def fleet():
    with fleets.working_fleet() as made:
        yield made
