"""The client of README.md, at a door that is locked: python_client_with_key.py tcp://BROKER:7700 acme.key PROMPT

The key is a file of `darkroom keys generate` (docs/keys.md), which is a certificate as pyzmq reads it; beside the pair it
has the brokers' public key, as server-key.
"""
import re
import struct
import sys

import zmq
import zmq.auth
from darkroom_pb2 import Error, Event, Job, JobState, Submit, Submitted

endpoint, key, prompt = sys.argv[1:]
broker = zmq.Context().socket(zmq.DEALER)
broker.curve_publickey, broker.curve_secretkey = zmq.auth.load_certificate(key)
broker.curve_serverkey = re.search(r'server-key = "(.*)"', open(key, encoding="utf-8").read()).group(1).encode()
refused = broker.get_monitor_socket(zmq.EVENT_HANDSHAKE_FAILED_AUTH)  # who is not let in hears of it here alone
broker.connect(endpoint)

submit = Submit(job=Job(prompt=prompt, steps=20, seed=7), watch=True)
broker.send_multipart([b"DK" + struct.pack("<BBQ", 1, 1, 1), submit.SerializeToString()])
waiting = zmq.Poller()
waiting.register(broker, zmq.POLLIN)
waiting.register(refused, zmq.POLLIN)
while refused not in dict(waiting.poll()):
    header, payload = broker.recv_multipart()
    said = {66: Event, 127: Error}.get(header[3], Submitted).FromString(payload)
    if header[3] == 127:
        sys.exit(str(said))  # FORBIDDEN: the key is not for this
    if header[3] == 66 and said.HasField("status"):
        print(JobState.Name(said.status.state), *[image.url for image in said.status.images])
        sys.exit()
sys.exit(f"{endpoint} does not know {key}")
