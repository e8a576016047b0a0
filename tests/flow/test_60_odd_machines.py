"""All three programs on machines that are not as they should be: each does what its user expects, and says it."""
import itertools
import os
import pathlib
import pty
import re
import signal
import socket
import subprocess
import urllib.error
import urllib.request

import pytest

from fleet import BUILD, CLIENT, DEVICE, ROOT, WORKER, until

PROGRAMS = ["darkroom", "darkroom-broker", "darkroom-worker"]
CONVENTION = {0, 1, 3, 64, 65, 66, 69, 70, 73, 74, 75, 76, 77, 78, 129, 130, 141, 143}


def run(program, *words, **options):
    return subprocess.run([str(BUILD / program), *map(str, words)], capture_output=True, text=True, timeout=30, **options)


# ---- exit codes ----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("program", PROGRAMS)
def test_help_shows_the_exit_codes_of_one_convention(program):
    table = run(program, "--help").stdout.split("\nExit codes:\n")[1]
    codes = [int(code) for code in re.findall(r"^ +(\d+)  \S", table, re.M)]
    assert codes == sorted(set(codes)) and set(codes) <= CONVENTION and {0, 64, 69, 70} <= set(codes)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_wrong_setting_is_64_everywhere(program):
    for words in (["--no-such-setting"], ["--log-level", "loud"], ["--broker"], ["--config", "/nowhere/x.conf"]):
        done = run(program, *words)
        assert (done.returncode, done.stdout) == (64, "") and done.stderr.startswith(f"{program}: "), words
        assert words[0].strip("-") in done.stderr or words[-1] in done.stderr, done.stderr


# ---- standard descriptors, the daemons ------------------------------------------------------------------------------

class Daemon:
    """A program started as words say, known by its admin port."""

    def __init__(self, folder, words, wrap='exec "$@"', **options):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.log_path = folder / f"daemon-{self.port}.log"
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(["bash", "-c", wrap, "bash", *map(str, words), "--admin", f"127.0.0.1:{self.port}"],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, **options)

    def log(self):
        return self.log_path.read_text()

    def admin(self, path):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status
        except urllib.error.HTTPError as refusal:
            return refusal.code
        except OSError:
            return None

    def wait_ready(self):
        def ready():
            assert self.process.poll() is None, f"it ended with {self.process.returncode}: {self.log()}"
            return self.admin("/readyz") == 200
        until(ready, 60, f"a daemon that is ready: {self.log()}")

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


def broker_words(fleet, name="odd"):
    return [BUILD / "darkroom-broker", "--listen", f"ipc://{fleet.folder}/{name}", "--redis", fleet.redis.url]


def worker_words(fleet, name="odd", broker=None):
    return [WORKER, "--broker", broker or fleet.endpoints(), "--models", fleet.models, "--device", DEVICE, "--store",
            fleet.store, "--name", name, "--spool", fleet.folder / f"spool-{name}", "--threads", "1"]


@pytest.fixture
def daemons(fleet):
    started = []

    def start(words, **options):
        started.append(Daemon(fleet.folder, words, **options))
        return started[-1]

    yield start
    for daemon in started:
        daemon.stop()


def closing(descriptors):
    return 'exec "$@" ' + " ".join(f"{fd}{'<' if fd == 0 else '>'}&-" for fd in sorted(descriptors))


def descriptors_of(pid):
    return {int(fd): os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}


def engines_of(pid):
    done = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True)
    return [int(word) for word in done.stdout.split()]


@pytest.mark.parametrize("closed", [set(some) for count in (1, 2, 3) for some in itertools.combinations((0, 1, 2), count)],
                         ids=str)
def test_daemons_and_engines_without_standard_descriptors(fleet, daemons, closed):
    """Nobody's socket gets a number that logs are written to, in the daemons and in what they start."""
    broker = daemons(broker_words(fleet), wrap=closing(closed))
    broker.wait_ready()
    endpoint = f"ipc://{fleet.folder}/odd"
    worker = daemons(worker_words(fleet, broker=endpoint), wrap=closing(closed))
    worker.wait_ready()
    engines = engines_of(worker.process.pid)
    assert len(engines) == 1
    for pid in (broker.process.pid, worker.process.pid, *engines):
        opened = descriptors_of(pid)
        assert all(opened[fd] == "/dev/null" for fd in closed), opened
    done = fleet.client("generate", "x", "--steps", 2, "-o", fleet.folder / "x.png", broker=endpoint)
    assert done.returncode == 0, done.stderr
    assert (worker.stop(), broker.stop()) == (0, 0)
    assert ("event=" in worker.log()) == (2 not in closed)


def test_a_reader_of_the_log_that_is_gone_stops_nobody(fleet, daemons):
    """docker logs, a pager, a shipper: what reads stderr may end."""
    lost = 'exec "$@" 2> >(exec head -1 >/dev/null)'
    broker = daemons(broker_words(fleet), wrap=lost)
    broker.wait_ready()
    worker = daemons(worker_words(fleet, broker=f"ipc://{fleet.folder}/odd"), wrap=lost)
    worker.wait_ready()
    done = fleet.client("generate", "x", "--steps", 2, "-o", fleet.folder / "x.png", broker=f"ipc://{fleet.folder}/odd")
    assert done.returncode == 0, done.stderr
    assert (worker.stop(), broker.stop()) == (0, 0)


@pytest.mark.parametrize("program,words", [(program, [words]) for program in PROGRAMS for words in ("--help", "--print-config")])
def test_a_full_disk_behind_stdout_is_told(program, words):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([BUILD / program, *(["status"] if program == "darkroom" else []), *words], stdout=full,
                              stderr=subprocess.PIPE, text=True, timeout=30)
    assert done.returncode == 73 and done.stderr == f"{program}: stdout: No space left on device\n"


# ---- signals -------------------------------------------------------------------------------------------------------

def test_sighup_ends_no_daemon_and_no_engine(fleet, daemons):
    """A lost terminal, a `kill -HUP` after rotating logs: there is nothing to read again, and work goes on."""
    broker = daemons(broker_words(fleet))
    broker.wait_ready()
    worker = daemons(worker_words(fleet, broker=f"ipc://{fleet.folder}/odd"))
    worker.wait_ready()
    pids = [broker.process.pid, worker.process.pid, *engines_of(worker.process.pid)]
    for pid in pids:
        os.kill(pid, signal.SIGHUP)
    done = fleet.client("generate", "x", "--steps", 2, "-o", fleet.folder / "x.png", broker=f"ipc://{fleet.folder}/odd")
    assert done.returncode == 0, done.stderr
    assert pids == [broker.process.pid, worker.process.pid, *engines_of(worker.process.pid)]
    for program in PROGRAMS[1:]:
        assert "SIGHUP is ignored" in run(program, "--help").stdout


def test_a_second_sigterm_does_not_wait_for_the_drain(fleet):
    fleet.broker()
    worker = fleet.worker(drain_seconds=600)
    job = fleet.submit(steps=900, size="64x64" if DEVICE == "ref" else "192x192")
    until(lambda: fleet.get(job).get("step", 0) > 0, 30, "a running job")
    worker.signal(signal.SIGTERM)
    worker.wait_for("event=draining")
    assert worker.process.poll() is None
    worker.signal(signal.SIGTERM)
    assert worker.process.wait(30) == 0
    assert fleet.state(job) == "queued", "and what it had is back in the queue"
    fleet.client("cancel", job)


def test_ctrl_c_twice_ends_a_broker_in_order(fleet):
    broker = fleet.broker()
    broker.signal(signal.SIGINT)
    broker.signal(signal.SIGINT)
    assert broker.process.wait(10) == 0


# ---- the admin port ------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("program", ["broker", "worker"])
def test_silent_connections_keep_no_probe_out(fleet, daemons, program):
    fleet.broker()
    daemon = daemons(broker_words(fleet) if program == "broker" else worker_words(fleet))
    daemon.wait_ready()
    silent = [socket.create_connection(("127.0.0.1", daemon.port)) for _ in range(96)]
    for page in ("/healthz", "/metrics", "/readyz"):
        assert daemon.admin(page) == 200
    for one in silent:
        one.close()
    assert daemon.admin("/healthz") == 200


def in_namespace(script):
    """A shell in a mount namespace of its own, as this script has made it; skipped where that is not allowed."""
    allowed = subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode == 0
    if not allowed:
        pytest.skip("no mount namespaces here")
    return f"exec unshare -m bash -c '{script}; exec \"$@\"' bash \"$@\""


NO_NAMES = "mount --bind /dev/null /etc/hosts; mount --bind /dev/null /etc/resolv.conf"


def test_localhost_where_nobody_knows_it(fleet, daemons):
    """A container without /etc/hosts and without a name server."""
    wrap = in_namespace(NO_NAMES)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [BUILD / "darkroom-broker", "--listen", f"tcp://localhost:{port}", "--redis", fleet.redis.url]
    broker = daemons(words, wrap=wrap.replace('"$@"\'', '"${@/127.0.0.1:/localhost:}"\''))
    broker.wait_ready()
    worker = daemons(worker_words(fleet, broker=f"tcp://localhost:{port}"), wrap=wrap)
    worker.wait_ready()
    done = subprocess.run(["bash", "-c", wrap, "bash", CLIENT, "--broker", f"tcp://localhost:{port}", "generate", "x", "--steps",
                           "2", "-o", str(fleet.folder / "x.png")], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
        return True
    except OSError:
        return False


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")
def test_a_fleet_on_ipv6_alone(fleet, daemons):
    with socket.socket(socket.AF_INET6) as free:
        free.bind(("::1", 0))
        port = free.getsockname()[1]
    words = [BUILD / "darkroom-broker", "--listen", f"tcp://[::1]:{port}", "--redis", fleet.redis.url]
    broker = daemons(words, wrap='exec "${@/127.0.0.1:/[::1]:}"')
    until(lambda: "event=redis_up" in broker.log(), 20, "a broker that is up")
    with socket.create_connection(("::1", broker.port)) as probe:
        probe.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert b"200 OK" in probe.recv(1024)
    worker = daemons(worker_words(fleet, broker=f"tcp://[::1]:{port}"))
    worker.wait_ready()
    done = fleet.client("generate", "x", "--steps", 2, "-o", fleet.folder / "x.png", broker=f"tcp://[::1]:{port}")
    assert done.returncode == 0, done.stderr


# ---- odd containers ------------------------------------------------------------------------------------------------

def test_a_worker_without_proc(fleet, daemons):
    fleet.broker()
    worker = daemons(worker_words(fleet), wrap=in_namespace("mount -t tmpfs none /proc"))
    worker.wait_ready()
    done = fleet.client("generate", "x", "--steps", 2, "-o", fleet.folder / "x.png")
    assert done.returncode == 0, done.stderr


def test_the_first_process_of_a_container(fleet, daemons):
    """Signals that are not asked for do not reach process 1, and orphans become its children."""
    if subprocess.run(["unshare", "-pf", "true"], capture_output=True).returncode != 0:
        pytest.skip("no process namespaces here")
    fleet.broker()
    orphan = "for i in 1 2 3; do (sleep 2 & ) ; done; "
    for words in (worker_words(fleet), broker_words(fleet)):
        daemon = daemons(words, wrap='exec unshare -pf --kill-child bash -c \'' + orphan + 'exec "$@"\' bash "$@"')
        daemon.wait_ready()
        first = engines_of(daemon.process.pid)[0]
        assert os.readlink(f"/proc/{first}/exe").endswith(("darkroom-worker", "darkroom-broker"))

        def orphans():
            lines = subprocess.run(["ps", "--ppid", str(first), "-o", "comm="], capture_output=True, text=True).stdout
            return [line for line in lines.splitlines() if line.startswith("sleep")]
        until(lambda: not orphans(), 10, f"that no orphan is left, alive or dead: {orphans()}")
        os.kill(first, signal.SIGTERM)
        assert daemon.process.wait(30) == 0


def test_ctrl_c_reaches_a_client_that_is_process_1(fleet):
    if subprocess.run(["unshare", "-pf", "true"], capture_output=True).returncode != 0:
        pytest.skip("no process namespaces here")
    process = subprocess.Popen(["unshare", "-pf", "--kill-child", str(CLIENT), "--broker", "tcp://127.0.0.1:1", "status"])
    until(lambda: engines_of(process.pid), 10, "the client")
    first = engines_of(process.pid)[0]
    until(lambda: os.readlink(f"/proc/{first}/exe").endswith("darkroom"), 10, "that it is executed")
    until(lambda: int(re.search(r"SigCgt:\s*(\w+)", pathlib.Path(f"/proc/{first}/status").read_text()).group(1), 16)
          & (1 << (signal.SIGINT - 1)), 10, "that it has asked for Ctrl-C")
    os.kill(first, signal.SIGINT)
    assert process.wait(10) == 130


def test_an_empty_environment_and_an_odd_umask(fleet, daemons):
    """No HOME, no TMPDIR, no PATH, no LANG; files are made with the rights that are needed."""
    bare = 'exec env -i "$@"'
    broker = daemons(broker_words(fleet), wrap="umask 077; " + bare)
    broker.wait_ready()
    worker = daemons(worker_words(fleet, broker=f"ipc://{fleet.folder}/odd"), wrap="umask 077; " + bare)
    worker.wait_ready()
    done = fleet.client("generate", "x", "--steps", 2, "-o", fleet.folder / "x.png", broker=f"ipc://{fleet.folder}/odd",
                        environment={"TMPDIR": "/nowhere", "LC_ALL": "tr_TR.UTF-8"})
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("program", PROGRAMS)
def test_too_few_open_files_is_one_line(program):
    done = subprocess.run(["bash", "-c", 'ulimit -n 24; exec "$@"', "bash", BUILD / program,
                           *(["status"] if program == "darkroom" else [])], capture_output=True, text=True, timeout=30)
    assert done.returncode == 78 and done.stderr.startswith(f"{program}: only 24 files may be open at once (ulimit -n); at least ")


def test_as_few_open_files_as_they_ask_for_are_enough(fleet, daemons):
    few = 'ulimit -n 128; exec "$@"'
    broker = daemons(broker_words(fleet), wrap=few)
    broker.wait_ready()
    worker = daemons(worker_words(fleet, broker=f"ipc://{fleet.folder}/odd"), wrap=few)
    worker.wait_ready()
    done = fleet.client("generate", "x", "--steps", 2, "-o", fleet.folder / "x.png", broker=f"ipc://{fleet.folder}/odd")
    assert done.returncode == 0, done.stderr


def test_more_connections_than_open_files(fleet, daemons):
    """Newcomers wait while there is no descriptor left; who is connected is served, and nobody is lost for good."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [BUILD / "darkroom-broker", "--listen", f"tcp://127.0.0.1:{port}", "--redis", fleet.redis.url]
    broker = daemons(words, wrap='ulimit -n 128; exec "$@"')
    broker.wait_ready()
    worker = daemons(worker_words(fleet, broker=f"tcp://127.0.0.1:{port}"))
    worker.wait_ready()
    crowd = [socket.create_connection(("127.0.0.1", port)) for _ in range(200)]
    # all but a few have been taken by now, and every descriptor is in use
    until(lambda: len(descriptors_of(broker.process.pid)) == 128, 20, "a broker without a descriptor left")
    assert broker.process.poll() is None and worker.admin("/readyz") == 200
    for one in crowd:
        one.close()
    done = fleet.client("generate", "x", "--steps", 2, "-o", fleet.folder / "x.png", broker=f"tcp://127.0.0.1:{port}")
    assert done.returncode == 0, done.stderr


# ---- where a broker listens ------------------------------------------------------------------------------------------

def refused(program, *words):
    done = run(program, *words)
    lines = [line for line in done.stderr.splitlines() if line.startswith(f"{program}: ")]
    assert len(lines) == 1 and done.stdout == "", done.stderr
    return done.returncode, lines[0]


def test_a_second_broker_at_one_address(fleet):
    """Both kinds of address: the second is refused by name, and the first goes on as if nothing had been."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for endpoint in (f"tcp://127.0.0.1:{port}", f"ipc://{fleet.folder}/both"):
        fleet.broker(listen=endpoint)
        code, line = refused("darkroom-broker", "--listen", endpoint, "--redis", fleet.redis.url)
        assert code == 69 and endpoint in line and "in use" in line.lower()
        assert fleet.client("status", broker=endpoint).returncode == 0


def test_the_socket_of_a_broker_that_was_killed_is_taken_over(fleet):
    broker = fleet.broker(listen=f"ipc://{fleet.folder}/a folder's socket")
    broker.kill()
    assert (fleet.folder / "a folder's socket").exists()
    broker.start()
    until(lambda: fleet.client("status", "--patience-ms", 1000).returncode == 0, 20, "a broker that answers")


def test_what_is_no_socket_is_not_removed(fleet):
    precious = fleet.folder / "precious"
    precious.write_text("mine")
    code, line = refused("darkroom-broker", "--listen", f"ipc://{precious}", "--redis", fleet.redis.url)
    assert code == 64 and str(precious) in line and precious.read_text() == "mine"


@pytest.mark.parametrize("program,flag", [("darkroom-broker", "--listen"), ("darkroom", "--broker"),
                                          ("darkroom-worker", "--broker")])
def test_a_path_too_long_for_a_socket_names_the_limit(fleet, program, flag):
    words = {"darkroom": ["status"], "darkroom-broker": ["--redis", fleet.redis.url],
             "darkroom-worker": worker_words(fleet, broker="ipc:///x")[3:] + ["--admin", "127.0.0.1:0"]}[program]
    code, line = refused(program, *words, flag, "ipc:///" + "x" * 107)
    assert code == 64 and "107 bytes" in line


def test_an_admin_address_that_is_taken_is_one_line(fleet):
    fleet.broker()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = "127.0.0.1:%d" % taken.getsockname()[1]
        for program, words in (("darkroom-broker", broker_words(fleet)[1:]), ("darkroom-worker", worker_words(fleet)[1:])):
            code, line = refused(program, *words, "--admin", address)
            assert code == 69 and address in line and "in use" in line


# ---- a machine that lacks packages -----------------------------------------------------------------------------------

@pytest.mark.parametrize("environment,typed,installs", [
    ({"INSTALL": "no"}, None, False), ({"INSTALL": "yes"}, None, True), ({}, None, True),
    ({}, "y", True), ({}, "n", False), ({}, "", False)])
def test_nobody_is_installed_upon_without_being_asked(tmp_path, environment, typed, installs):
    """With an apt-get that only notes what it was told, and a dpkg-query that finds nothing."""
    for name, script in (("dpkg-query", "exit 1"), ("apt-get", f'echo "$@" >>{tmp_path}/told'), ("sudo", 'exec "$@"')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "policy").write_text("")
    script = (ROOT / "deploy" / "install-packages").read_text().replace("/usr/sbin/policy-rc.d", f"{tmp_path}/policy")
    (tmp_path / "install").write_text(script)
    clean = {name: value for name, value in os.environ.items() if name != "INSTALL"}
    ours, theirs = pty.openpty()
    asked = typed is not None
    process = subprocess.Popen(["bash", tmp_path / "install", "run"], stdin=theirs if asked else subprocess.DEVNULL,
                               stderr=theirs if asked else subprocess.DEVNULL,
                               env={**clean, **environment, "PATH": f"{tmp_path}:{os.environ['PATH']}"})
    if asked:
        os.write(ours, typed.encode() + b"\n")
    assert process.wait(20) == (0 if installs else 69)
    os.close(ours), os.close(theirs)
    told = (tmp_path / "told").read_text() if installs else ""
    assert ("redis-server" in told) == installs and (tmp_path / "told").exists() == installs
