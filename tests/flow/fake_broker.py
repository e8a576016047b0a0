"""A broker in a thread, as much of one as the client can see: it plays a script of answers over the real wire."""
import hashlib
import pathlib
import struct
import subprocess
import sys
import tempfile
import threading
import time

import zmq

ROOT = pathlib.Path(__file__).resolve().parents[2]
_generated = tempfile.TemporaryDirectory()
subprocess.run(["protoc", f"--python_out={_generated.name}", "-I", ROOT / "proto", "darkroom.proto"],
               check=True)
sys.path.insert(0, _generated.name)
import darkroom_pb2 as pb  # noqa: E402

VERBS = {1: pb.Submit, 2: pb.Watch, 3: pb.Get, 4: pb.List, 5: pb.Cancel, 6: pb.Explain, 7: pb.Models, 8: pb.Status}
ANSWERS = {pb.Submitted: 65, pb.Event: 66, pb.JobStatus: 67, pb.JobList: 68, pb.Cancelled: 69, pb.Explanation: 70,
           pb.ModelList: 71, pb.FleetStatus: 72, pb.Error: 127}


class FakeBroker:
    """handle(self, verb, request, answer) is called for each request; answer(message) sends under its correlation."""

    def __init__(self, endpoint, handle):
        self.endpoint, self.handle = endpoint, handle
        self.requests, self.correlations = [], []
        self.socket = zmq.Context.instance().socket(zmq.ROUTER)
        self.socket.linger = 0
        self.socket.bind(endpoint)
        self.stopping = threading.Event()
        self.later = []
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.stopping.is_set():
            self._say_what_is_due()
            if self.socket.poll(10):
                self._serve(self.socket.recv_multipart())
        self.socket.close()

    def _say_what_is_due(self):
        now = time.monotonic()
        for item in [item for item in self.later if item[0] <= now]:
            self.later.remove(item)
            item[1]()

    def after(self, seconds, action):
        self.later.append((time.monotonic() + seconds, action))

    def _serve(self, frames):
        peer, header, payload = frames
        magic, version, verb, correlation = struct.unpack("<2sBBQ", header)
        assert magic == b"DK" and version == 1
        request = VERBS[verb].FromString(payload)
        self.requests.append(request)
        self.correlations.append(correlation)

        def answer(message, number=correlation, version=1, payload=None):
            head = struct.pack("<2sBBQ", b"DK", version, ANSWERS[type(message)], number)
            self.socket.send_multipart([peer, head, message.SerializeToString() if payload is None else payload])

        self.handle(self, request, answer)

    def seen(self, kind):
        return [request for request in self.requests if isinstance(request, kind)]

    def close(self):
        self.stopping.set()
        self.thread.join()


def picture(folder, index=0, content=b"\x89PNG not really"):
    path = folder / f"stored image-{index}.png"
    path.write_bytes(content)
    return pb.Artifact(index=index, url="file://" + str(path).replace(" ", "%20"), bytes=len(content), seed=7 + index,
                    sha256=hashlib.sha256(content).hexdigest(), width=64, height=64)


def terminal(job_id, state=pb.JOB_STATE_SUCCEEDED, images=(), error=None):
    timings = pb.Timings(queue_us=1500, encode_us=2000, denoise_us=40000, denoise_steps=20, decode_us=3000, store_us=4000,
                         total_us=51000)
    status = pb.JobStatus(id=job_id, state=state, images=images, timings=timings, version=9, error=error)
    return pb.Event(id=job_id, kind=pb.EVENT_TERMINAL, status=status, state=state, version=9)
