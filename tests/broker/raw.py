"""A peer that speaks ZMTP by hand, for what a library would not let one do."""
import socket
import struct

import house

GREETING = b"\xff" + bytes(7) + b"\1\x7f" + b"\3\1" + b"NULL".ljust(20, b"\0") + b"\0" + bytes(31)


def command(name, data=b""):
    body = bytes([len(name)]) + name + data
    return b"\4" + bytes([len(body)]) + body


def property_of(name, value):
    return bytes([len(name)]) + name + struct.pack(">I", len(value)) + value


def frame(data, more=False):
    if len(data) < 256:
        return bytes([int(more), len(data)]) + data
    return bytes([2 | int(more)]) + struct.pack(">Q", len(data)) + data


def ping(ttl=0, context=b""):
    return command(b"PING", struct.pack(">H", ttl) + context)


def request(verb, message, number=1):
    header = b"DK" + struct.pack("<BBQ", 1, house.NUMBERS[verb], number)
    return frame(header, more=True) + frame(message.SerializeToString())


def ready(kind=b"DEALER", identity=b"", user=b""):
    said = property_of(b"User-Id", user) if user else b""
    return command(b"READY", property_of(b"Socket-Type", kind) + property_of(b"Identity", identity) + said)


def connect(endpoint, greeting=GREETING + ready(), seconds=10):
    """A connected socket that has said its greeting and READY."""
    if endpoint.startswith("ipc://"):
        connection = socket.socket(socket.AF_UNIX)
        place = endpoint[6:]
    else:
        host, _, port = endpoint[6:].rpartition(":")
        connection = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        place = (host.strip("[]"), int(port))
    connection.settimeout(seconds)
    connection.connect(place)
    connection.sendall(greeting)
    return connection


def meet(endpoint, **options):
    """The same when the other side has said its own, which is when a peer may begin to ask."""
    connection = connect(endpoint, GREETING + ready(**options))
    frames = Frames(connection)
    assert len(frames.bytes(64)) == 64
    flags, body = frames.next()
    assert flags == 4 and body[:6] == b"\5READY"
    return connection, frames


def send_what_goes(connection, data):
    """Sends until the other side takes no more for a while; gives the number of bytes that went."""
    sent = 0
    connection.settimeout(0.5)
    try:
        while sent < len(data):
            sent += connection.send(data[sent:sent + 65536])
    except TimeoutError:
        pass
    return sent


class Frames:
    """What comes over a raw connection, frame by frame."""

    def __init__(self, connection):
        self.connection, self.buffer = connection, b""

    def bytes(self, count):
        while len(self.buffer) < count:
            more = self.connection.recv(65536)
            if not more:
                raise EOFError
            self.buffer += more
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def next(self):
        """(flags, data) of the next frame."""
        flags = self.bytes(1)[0]
        size = struct.unpack(">Q", self.bytes(8))[0] if flags & 2 else self.bytes(1)[0]
        return flags, self.bytes(size)

    def message(self):
        """The next message as (verb, number, message), commands passed over."""
        while True:
            flags, header = self.next()
            if flags & 4:
                continue
            _, payload = self.next()
            verb, number = struct.unpack("<2sBBQ", header)[2:]
            name, kind = house.VERBS[verb]
            return name, number, kind.FromString(payload)
