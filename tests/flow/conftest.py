"""Fixture `fleet`: nothing runs in it but Redis until the story starts it; what ran must have left in order."""
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))
import fleet as fleets  # noqa: E402


@pytest.fixture
def fleet():
    made = fleets.Fleet()
    try:
        yield made
        audit = made.redis.audit() if made.redis.process.poll() is None else []
        codes = made.stop()
        assert audit == []
        assert all(code in (0, -9) for code in codes), [worker.log(whole=True) for worker in made.workers]
    finally:
        made.stop()
        made.clean()
