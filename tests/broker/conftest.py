"""Fixtures: `redis` and `broker` are fresh for every story, and every story ends with an audit that finds nothing."""
import os
import sys

import pytest
import zmq

sys.path.insert(0, os.path.dirname(__file__))
import house  # noqa: E402
from house import keyring  # noqa: E402,F401


@pytest.fixture
def redis():
    server = house.Redis()
    yield server
    try:
        if server.process.poll() is None:
            assert server.audit() == []
    finally:
        server.stop()


@pytest.fixture
def context():
    zmq_context = zmq.Context()
    yield zmq_context
    zmq_context.destroy(linger=0)


@pytest.fixture
def brokers(redis):
    """Starts brokers on the story's Redis."""
    started = []

    def start(*extra, **options):
        broker = house.Broker(redis.url, *extra, **options)
        started.append(broker)
        return broker

    yield start
    for broker in started:
        broker.clean()


@pytest.fixture
def broker(brokers):
    return brokers()


@pytest.fixture
def peers(context):
    made = []

    def make(peer_type, broker, *arguments, **options):
        peer = peer_type(context, broker.endpoint, *arguments, **options)
        made.append(peer)
        return peer

    yield make
    for peer in made:
        peer.close()


@pytest.fixture
def locked(brokers, keyring):
    """A broker whose tcp:// door is locked; its port was free a moment ago."""
    return brokers(*keyring.of_broker, "--admin", "127.0.0.1:0", listen=house.free_port())


@pytest.fixture
def key_of(keyring, locked):
    """The file of a key with these words in its row, which the broker knows; one for each, made at the first asking."""
    made = {}

    def key(may):
        if may not in made:
            made[may] = keyring.add(f"k{len(made)}", may)
            house.known(locked, keyring)
        return made[may]
    return key


@pytest.fixture
def client(peers, broker):
    return peers(house.Client, broker)


@pytest.fixture
def worker(peers, broker):
    return peers(house.Worker, broker)
