"""Fixture `fleet`, as in the flow stories; here programs are killed, and in the end everything must still agree."""
import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(__file__)), "flow"))
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
