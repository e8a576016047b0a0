"""Fixture `fleet`: nothing runs in it but Redis until the story starts it; what ran must have left in order."""
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))
import fleet as fleets  # noqa: E402


@pytest.fixture
def fleet():
    with fleets.working_fleet() as made:
        yield made
