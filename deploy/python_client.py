import struct, sys, zmq
from darkroom_pb2 import Error, Event, Job, JobState, Submit, Submitted
broker = zmq.Context().socket(zmq.DEALER)
broker.connect(sys.argv[1])                                                        # tcp://127.0.0.1:7700
submit = Submit(job=Job(prompt=sys.argv[2], steps=20, seed=7), watch=True)
broker.send_multipart([b"DK" + struct.pack("<BBQ", 1, 1, 1), submit.SerializeToString()])  # version, SUBMIT, number
for header, payload in iter(broker.recv_multipart, None):
    said = {66: Event, 127: Error}.get(header[3], Submitted).FromString(payload)   # the verb is the header's 4th byte
    if header[3] == 127 or header[3] == 66 and said.HasField("status"):            # refused, or the terminal event
        sys.exit(str(said) if header[3] == 127 else print(JobState.Name(said.status.state), *[i.url for i in said.status.images]))
