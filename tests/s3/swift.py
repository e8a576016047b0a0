"""OpenStack Swift with its S3 interface on private ports: the S3 server of the stories. It verifies signatures.

    python3 tests/s3/swift.py            # starts one, prints the environment a worker needs, stops at Ctrl-C

Needs the packages swift-proxy swift-account swift-container swift-object memcached. Everything lies in a temporary folder.
"""
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

PROGRAMS = ("swift-proxy-server", "swift-account-server", "swift-container-server",
            "swift-object-server", "memcached")
ACCESS_KEY, SECRET_KEY = "test:worker", "darkroom-secret"
BUCKET = "pictures"


def missing():
    """What is not installed; nothing when Swift can run."""
    return [program for program in PROGRAMS if shutil.which(program) is None]


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


COMMON = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
user = {user}
swift_dir = {folder}
workers = 0
log_level = ERROR
"""
STORAGE = COMMON + """devices = {folder}/devices
mount_check = false
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
"""
PROXY = COMMON + """
[pipeline:main]
pipeline = catch_errors cache s3api tempauth bulk slo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:{memcached}
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
storage_domain = s3.localhost
[filter:tempauth]
use = egg:swift#tempauth
user_test_worker = {secret} .admin
[filter:bulk]
use = egg:swift#bulk
[filter:slo]
use = egg:swift#slo
"""


class Swift:
    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="darkroom-swift-"))
        kinds = ("account", "container", "object")
        self.port, self.memcached, *storage = free_ports(5)
        self.storage = dict(zip(kinds, storage))
        self.processes = {}
        (self.folder / "devices" / "d1").mkdir(parents=True)
        (self.folder / "swift.conf").write_text("[swift-hash]\nswift_hash_path_prefix = dark\nswift_hash_path_suffix = room\n"
                                                "[storage-policy:0]\nname = zero\ndefault = yes\n")
        for kind, port in self.storage.items():
            self.write(kind, STORAGE, port)
        self.write("proxy", PROXY, self.port)
        self.rings()

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self):
        return {"AWS_ENDPOINT_URL_S3": self.endpoint, "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": ACCESS_KEY,
                "AWS_SECRET_ACCESS_KEY": SECRET_KEY}

    def write(self, kind, template, port):
        text = template.format(port=port, user=os.environ.get("USER", "root") if os.getuid() else "root", kind=kind,
                               folder=self.folder, memcached=self.memcached, secret=SECRET_KEY)
        (self.folder / f"{kind}-server.conf").write_text(text)

    def rings(self):
        """The three rings in one Python of the distribution: swift-ring-builder would take nine starts."""
        lines = ["from swift.common.ring import RingBuilder"]
        for kind, port in self.storage.items():
            device = {"id": 0, "region": 1, "zone": 1, "ip": "127.0.0.1", "port": port, "device": "d1", "weight": 1,
                      "replication_ip": "127.0.0.1", "replication_port": port, "meta": ""}
            lines += ["ring = RingBuilder(4, 1, 0)", f"ring.add_dev({device})", "ring.rebalance()",
                      f"ring.get_ring().save('{self.folder}/{kind}.ring.gz')"]
        subprocess.run(["/usr/bin/python3", "-c", "\n".join(lines)], check=True)

    def spawn(self, name, *words):
        log = open(self.folder / f"{name}.log", "ab")
        self.processes[name] = subprocess.Popen(words, stdout=log, stderr=log)

    def start(self):
        self.spawn("memcached", "memcached", "-l", "127.0.0.1", "-p", str(self.memcached), "-U", "0",
                   *(["-u", "root"] if os.getuid() == 0 else []))
        for kind in self.storage:
            self.spawn(kind, f"swift-{kind}-server", f"{self.folder}/{kind}-server.conf")
        self.start_proxy()
        return self

    def start_proxy(self):
        self.spawn("proxy", "swift-proxy-server", f"{self.folder}/proxy-server.conf")
        end = time.monotonic() + 60
        while not self.answers():
            assert self.processes["proxy"].poll() is None and time.monotonic() < end, self.log("proxy")
            time.sleep(0.05)

    def stop_proxy(self):
        """The S3 server is away; what it has stored is not."""
        self.processes.pop("proxy").kill()

    def answers(self):
        try:
            urllib.request.urlopen(self.endpoint + "/info", timeout=2)
            return True
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False

    def log(self, name):
        return (self.folder / f"{name}.log").read_text()

    def swift(self, method, path, body=None):
        """A request through Swift's own interface: independent of any S3 signature."""
        login = urllib.request.Request(self.endpoint + "/auth/v1.0",
                                       headers={"X-Auth-User": ACCESS_KEY, "X-Auth-Key": SECRET_KEY})
        with urllib.request.urlopen(login, timeout=20) as answer:
            url, token = answer.headers["X-Storage-Url"], answer.headers["X-Auth-Token"]
        wanted = urllib.request.Request(url + path, method=method, data=body, headers={"X-Auth-Token": token})
        with urllib.request.urlopen(wanted, timeout=20) as answer:
            return answer.read()

    def make_bucket(self, name=BUCKET):
        """Waits for the servers behind the proxy, which may be the last to come up."""
        end = time.monotonic() + 60
        while True:
            try:
                return self.swift("PUT", f"/{name}")
            except urllib.error.HTTPError as refusal:
                if refusal.code < 500 or time.monotonic() > end:
                    raise
                time.sleep(0.2)

    def names(self, bucket=BUCKET):
        return self.swift("GET", f"/{bucket}").decode().split()

    def read(self, name, bucket=BUCKET):
        return self.swift("GET", f"/{bucket}/{name}")

    def clean(self):
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


if __name__ == "__main__":
    server = Swift()
    try:
        server.start()
        server.make_bucket()
        for key, value in server.environment.items():
            print(f"export {key}={value}")
        print(f"# --store s3://{BUCKET}/")
        sys.stdout.flush()
        signal.pause()
    except KeyboardInterrupt:
        pass
    finally:
        server.clean()
