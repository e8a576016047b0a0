"""Peers that ask for much, read nothing, or leave in the middle: what they do, they do to themselves."""
import time

import pytest
import raw
import zmq
from house import Client, Refused, Worker, pb, until


def lists(count, limit=1000):
    return b"".join(raw.request("LIST", pb.List(limit=limit), number) for number in range(1, count + 1))


@pytest.mark.parametrize("heartbeat", [False, True])
@pytest.mark.parametrize("connections", [1, 12])
def test_who_leaves_with_thousands_of_requests_under_way(broker, client, heartbeat, connections):
    """A PING among what the broker has read and not served yet is what a client's heartbeat leaves behind."""
    several = [raw.meet(broker.endpoint)[0] for _ in range(connections)]
    one = lists(40) + (raw.ping() if heartbeat else b"")
    for connection in several:
        raw.send_what_goes(connection, one * 100)
    for connection in several:
        connection.close()
    for _ in range(20):                                    # served on, and nobody else waits behind what has left
        client.list(limit=1)
    assert broker.process.poll() is None, broker.log()


def test_a_library_that_asks_for_heartbeats_and_leaves(broker, context, client):
    """The same with libzmq's own heartbeats, often and from many sockets."""
    for _ in range(3):
        sockets = []
        for _ in range(8):
            socket = context.socket(zmq.DEALER)
            socket.linger = 0
            socket.setsockopt(zmq.HEARTBEAT_IVL, 20)
            socket.setsockopt(zmq.HEARTBEAT_TTL, 300)
            socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 5000)
            socket.connect(broker.endpoint)
            sockets.append(socket)
        header = raw.request("LIST", pb.List(limit=1000))[2:14]
        for _ in range(500):
            for socket in sockets:
                try:
                    socket.send_multipart([header, pb.List(limit=1000).SerializeToString()], zmq.DONTWAIT)
                except zmq.Again:
                    pass
        time.sleep(0.1)                                    # some heartbeats among them
        for socket in sockets:
            socket.close()
    assert client.list(limit=1) == []
    assert broker.process.poll() is None, broker.log()


def test_more_connections_than_descriptors(brokers):
    """Whoever connects when there are none left is turned away; who is there is served, and so is who comes later."""
    for listen in ("ipc", "tcp"):
        endpoint = None if listen == "ipc" else "tcp://127.0.0.1:*"
        broker = brokers(listen=endpoint, inside=("prlimit", "--nofile=140:140"))
        place = next(line.split("endpoint=")[1].split()[0] for line in broker.log().splitlines() if "event=listening" in line)
        first, frames = raw.meet(place)
        many = []
        for _ in range(600):
            try:
                many.append(raw.connect(place, b"", seconds=0.05))
            except OSError:
                pass                                       # no room in the queue of those who wait, or turned away
            if len(many) >= 400:
                break
        until(lambda: "event=connection_turned_away" in broker.log(), 5)
        first.sendall(raw.request("STATUS", pb.Status(), 7))
        assert frames.message()[:2] == ("FLEET_STATUS", 7)
        for connection in many:
            connection.close()
        until(lambda: can_ask(place), 10, "room for another")
        assert broker.process.poll() is None, broker.log()


def can_ask(place):
    try:
        connection, frames = raw.meet(place)
        connection.sendall(raw.request("STATUS", pb.Status(), 8))
        return frames.message()[0] == "FLEET_STATUS"
    except (OSError, EOFError):
        return False
