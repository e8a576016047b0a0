import struct, sys, zmq
from darkroom_pb2 import Error, Event, Job, JobState, Submit

broker = zmq.Context().socket(zmq.DEALER)
broker.connect(sys.argv[1])                                         # tcp://127.0.0.1:7700
submit = Submit(job=Job(prompt=sys.argv[2], steps=20, seed=7), watch=True)
broker.send_multipart([b"DK" + struct.pack("<BBQ", 1, 1, 1), submit.SerializeToString()])   # version 1, SUBMIT, number 1
for header, payload in iter(broker.recv_multipart, None):
    if header[3] == 127:                                            # ERROR
        sys.exit(str(Error.FromString(payload)))
    event = Event.FromString(payload) if header[3] == 66 else Event()
    if event.HasField("status"):                                    # TERMINAL
        sys.exit(print(JobState.Name(event.status.state), *[image.url for image in event.status.images]))
