"""Fixtures: one `swift` for all stories (it takes seconds to start), and the fleet of the flow stories."""
import os
import sys

import pytest

HERE = os.path.dirname(__file__)
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "flow")]
import fleet as fleets  # noqa: E402
import swift as swifts  # noqa: E402


@pytest.fixture(scope="session")
def server():
    if swifts.missing():
        pytest.skip(f"not installed: {', '.join(swifts.missing())}")
    made = swifts.Swift()
    try:
        made.start()
        yield made
    finally:
        made.clean()


@pytest.fixture
def swift(server, request):
    """The server, up, with a bucket of the story's own."""
    if "proxy" not in server.processes:
        server.start_proxy()
    server.bucket = f"story-{abs(hash(request.node.name)) % 10**9}"
    server.make_bucket(server.bucket)
    yield server
    if "proxy" not in server.processes:
        server.start_proxy()


@pytest.fixture
def fleet():
    with fleets.working_fleet() as made:
        yield made
