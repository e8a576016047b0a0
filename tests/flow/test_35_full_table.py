"""A real worker at a played broker that pushes whatever the worker says that it takes: what finds no room comes straight back."""
import os
import signal
import struct
import time

import house
import zmq
from fleet import pb

ROWS = 100  # jobs that a worker can hold: worker/held.h


class PushyBroker:
    """A ROUTER that answers as a broker does and keeps what it was told, in order."""

    def __init__(self, endpoint):
        self.socket = zmq.Context.instance().socket(zmq.ROUTER)
        self.socket.linger = 0
        self.socket.bind(endpoint)
        self.said, self.worker, self.claimed = [], None, 0

    def send(self, verb, message, correlation):
        header = b"DK" + struct.pack("<BBQ", 1, house.NUMBERS[verb], correlation)
        self.socket.send_multipart([self.worker, header, message.SerializeToString()])

    def push(self, number):
        job = pb.Job(id=f"j{number}", tenant="default", model="tiny-eps", prompt="a lake", width=64, height=64, steps=5,
                     guidance_scale=1, seed=number, images=1, sampler=pb.SAMPLER_EULER,
                     noise_schedule=pb.NOISE_SCHEDULE_MODEL, format=pb.IMAGE_FORMAT_PNG)
        self.send("ASSIGN", pb.Assign(job=job, fence=1000 + number, lease_ms=5000, queued_us=1), self.claimed)

    def serve(self, seconds, over=lambda: False):
        """Answers for so long, or until over()."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not over():
            if self.socket.poll(20):
                self.answer(*self.socket.recv_multipart())

    def answer(self, worker, header, payload):
        self.worker = worker
        _, _, number, correlation = struct.unpack("<2sBBQ", header)
        verb, kind = house.VERBS[number]
        message = kind.FromString(payload)
        self.said.append((verb, message))
        if verb == "HELLO":
            self.send("WELCOME", pb.Welcome(generation=7, beat_ms=5000, lease_ms=30000), correlation)
        elif verb == "BEAT":
            self.send("ORDERS", pb.Orders(), correlation)
        elif verb == "CLAIM":
            self.claimed = correlation
        elif verb == "BYE":
            self.send("ACK", pb.Ack(result=pb.ACK_OK), correlation)
        else:
            self.send("ACK", pb.Ack(id=message.id, fence=message.fence, result=pb.ACK_OK), correlation)

    def heard(self, verb):
        return [message for name, message in self.said if name == verb]


def test_a_job_too_many_is_handed_back_at_once(fleet):
    endpoint = f"ipc://{fleet.folder}/pushy.sock"
    broker = PushyBroker(endpoint)
    worker = fleet.worker(wait=False, broker=endpoint)
    broker.serve(60, lambda: broker.heard("CLAIM"))
    os.kill(worker.engines()[-1], signal.SIGSTOP)  # so that none of them ends
    for number in range(ROWS):
        broker.push(number)
    broker.serve(10, lambda: any(len(beat.progress) == ROWS for beat in broker.heard("BEAT")))
    assert any(len(beat.progress) == ROWS for beat in broker.heard("BEAT")), "a beat soon names all that came"
    assert not broker.heard("RELEASE")
    broker.push(ROWS)
    broker.push(ROWS + 1)
    broker.serve(2, lambda: len(broker.heard("RELEASE")) == 2)
    assert [(back.id, back.fence, back.generation) for back in broker.heard("RELEASE")] == [
        (f"j{ROWS}", 1000 + ROWS, 7), (f"j{ROWS + 1}", 1001 + ROWS, 7)]
    words = [verb for verb, _ in broker.said]
    before = broker.said[:words.index("RELEASE")]
    assert [sum(credit.jobs for credit in claim.credit) for verb, claim in before if verb == "CLAIM"][-1] == 0
    # what it holds is as it was, and comes back unharmed too when it leaves
    worker.signal(signal.SIGTERM)
    broker.serve(30, lambda: worker.process.poll() is not None)
    assert worker.process.returncode == 0
    assert {back.id for back in broker.heard("RELEASE")} == {f"j{number}" for number in range(ROWS + 2)}
    assert [beat.draining for beat in broker.heard("BEAT")][-1]
    broker.socket.close()
