"""The client where terminals, descriptors, disks and patience are not as they should be, against a played broker."""
import fcntl
import itertools
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import time

import pytest

from fake_broker import pb, picture, terminal
from house import until
from test_cli import PROGRAM, answers, environment, play, renders, run, slow_job, start_and_wait_for_step  # noqa: F401


# ---- standard descriptors ------------------------------------------------------------------------------------------

COMBINATIONS = [set(some) for count in (1, 2, 3) for some in itertools.combinations((0, 1, 2), count)]


def run_without(descriptors, *words, **options):
    """Runs the client with these descriptors closed."""
    closes = " ".join(f"{fd}{'<' if fd == 0 else '>'}&-" for fd in sorted(descriptors))
    return subprocess.run(["bash", "-c", f'exec "$@" {closes}', "bash", PROGRAM, *words], env=environment(), timeout=30,
                          stdin=subprocess.DEVNULL, capture_output=True, **options)


@pytest.mark.parametrize("closed", COMBINATIONS, ids=str)
def test_closed_descriptors_are_nobody_elses(play, tmp_path, closed):
    """Nothing that is said goes into the socket, file or pipe that would have got the number."""
    broker, out = play(renders(tmp_path)), tmp_path / "out.png"
    done = run_without(closed, "--broker", broker.endpoint, "generate", "x", "-o", str(out))
    assert done.returncode == 0 and out.read_bytes() == b"\x89PNG not really"
    assert done.stdout == (b"" if 1 in closed else str(out).encode() + b"\n")
    assert (b"time: " in done.stderr) == (2 not in closed)
    assert len(broker.seen(pb.Submit)) == 1 and len(broker.requests) == 1


def test_a_picture_for_a_closed_stdout_is_refused_before_it_is_made(play, tmp_path):
    broker = play(renders(tmp_path))
    done = run_without({1}, "--broker", broker.endpoint, "generate", "x", "-o", "-")
    assert done.returncode == 73 and b"stdout is closed" in done.stderr and broker.requests == []


def test_a_prompt_from_a_closed_stdin_is_an_empty_one(play):
    broker = play(answers(pb.Submitted(id="j")))
    assert run_without({0}, "--broker", broker.endpoint, "submit", "-").returncode == 0
    assert broker.seen(pb.Submit)[0].job.prompt == ""


# ---- a reader that goes away, a disk that is full --------------------------------------------------------------------

def shell(script, *words):
    return subprocess.run(["bash", "-c", script, "bash", PROGRAM, *words], env=environment(), capture_output=True, timeout=30)


@pytest.mark.parametrize("jobs", [1, 1000], ids=["within a buffer", "beyond one"])
def test_list_into_head(play, jobs):
    rows = [pb.JobStatus(id=f"job-{i}", state=pb.JOB_STATE_QUEUED) for i in range(jobs)]
    broker = play(answers(pb.JobList(job=rows)))
    done = shell('"$@" | head -1; echo ${PIPESTATUS[0]}', "--broker", broker.endpoint, "list", "--limit", "1000")
    first, code = done.stdout.decode().splitlines()
    assert first.startswith("ID ") and code in ("0", "141") and done.stderr == b""
    done = shell('"$@" > >(exec <&-; sleep 0.1) ; echo $?', "--broker", broker.endpoint, "list")
    assert done.stdout.strip() in (b"0", b"141") and done.stderr == b""


def test_a_reader_that_is_gone_is_told_by_141_alone(play):
    broker = play(answers(pb.JobList(job=[pb.JobStatus(id="j", state=pb.JOB_STATE_QUEUED)])))
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([PROGRAM, "--broker", broker.endpoint, "list"], stdout=writer, stderr=subprocess.PIPE,
                          env=environment(), timeout=30)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_reader_of_stderr_that_is_gone_costs_no_picture(play, tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    out = tmp_path / "out.png"
    done = subprocess.run([PROGRAM, "--broker", play(renders(tmp_path)).endpoint, "generate", "x", "-o", str(out)],
                          stdout=subprocess.PIPE, stderr=writer, env=environment(), timeout=30)
    os.close(writer)
    assert done.returncode == 0 and done.stdout == str(out).encode() + b"\n" and out.exists()


@pytest.mark.parametrize("words", [["--help"], ["version"], ["completion"], ["list", "--print-config"], ["list"]])
def test_a_full_disk_behind_stdout_is_told(play, words):
    rows = [pb.JobStatus(id=f"job-{i}", state=pb.JOB_STATE_QUEUED) for i in range(1000)]
    with open("/dev/full", "wb") as full:
        done = subprocess.run([PROGRAM, "--broker", play(answers(pb.JobList(job=rows))).endpoint, *words], stdout=full,
                              stderr=subprocess.PIPE, env=environment(), timeout=30)
    assert done.returncode == 73 and done.stderr.startswith(b"darkroom: stdout: "), done.stderr


# ---- patience ------------------------------------------------------------------------------------------------------

def waiting_job(seconds, folder):
    """A job that waits so long without an event; the broker answers all the while."""
    def handle(broker, request, answer):
        if isinstance(request, pb.Submit):
            broker.job, broker.answer, broker.done = request.job.id, answer, False
            answer(pb.Submitted(id=request.job.id, state=pb.JOB_STATE_QUEUED))

            def finish():
                broker.done = True
                broker.answer(terminal(broker.job, images=[picture(folder)]))
            broker.after(seconds, finish)
        if isinstance(request, pb.Watch) and not broker.done:
            answer(pb.Event(id=request.id[0], kind=pb.EVENT_QUEUED, position=0, version=1))
    return handle


@pytest.mark.parametrize("patience,seconds", [(300, 1.5), (1000, 3)])
def test_a_job_that_only_waits_is_no_silent_broker(play, tmp_path, patience, seconds):
    broker = play(waiting_job(seconds, tmp_path))
    done = run("--patience-ms", str(patience), "generate", "x", broker=broker)
    assert done.returncode == 0, done.stderr
    assert len(broker.seen(pb.Submit)) == 1 and len(broker.seen(pb.Watch)) >= 2
    assert len(set(broker.correlations)) == 1


@pytest.mark.parametrize("words", [["status"], ["generate", "x"], ["submit", "x"], ["watch", "j"]])
def test_every_broker_of_the_list_is_asked_within_a_short_patience(play, tmp_path, words):
    """Two that take the connection and say nothing, one that is not there, and one that answers."""
    def handle(broker, request, answer):
        if isinstance(request, pb.Status):
            answer(pb.FleetStatus(version="1"))
        elif isinstance(request, pb.Watch):
            answer(terminal(request.id[0], images=[picture(tmp_path)]))
        else:
            renders(tmp_path)(broker, request, answer)
    silent = [play(lambda *_: None), play(lambda *_: None)]
    good = play(handle)
    listed = ",".join([silent[0].endpoint, f"ipc://{tmp_path}/nobody", silent[1].endpoint, good.endpoint])
    done = run("--broker", listed, "--patience-ms", "4000", *words)
    assert done.returncode == 0, done.stderr
    assert good.requests


# ---- signals -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("number,code", [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
@pytest.mark.parametrize("words", [["generate", "a lake"], ["watch", "j"]])
def test_told_to_go_leaves_the_job_and_says_which(play, words, number, code):
    broker = play(slow_job(ends_on_cancel=True))
    process = start_and_wait_for_step(broker, *words)
    process.send_signal(number)
    assert process.wait(timeout=10) == code
    job = broker.seen(pb.Submit)[0].job.id if words[0] == "generate" else "j"
    assert f"the job goes on without us: darkroom watch {job}" in process.communicate()[1].decode()
    assert broker.seen(pb.Cancel) == []


def test_timeout_gets_124_and_the_id(play):
    """timeout runs it in a process group of its own, in the background: SIGTERM comes, and nothing else."""
    broker = play(slow_job(ends_on_cancel=False))
    done = subprocess.run(["timeout", "-k", "5", "1", PROGRAM, "--broker", broker.endpoint, "generate", "-q", "x"],
                          env=environment(), capture_output=True, timeout=30)
    job = broker.seen(pb.Submit)[0].job.id
    assert done.returncode == 124 and done.stderr.decode() == f"darkroom: the job goes on without us: darkroom watch {job}\n"
    assert broker.seen(pb.Cancel) == []


def test_told_to_go_before_the_queue_has_answered(play):
    broker = play(lambda *_: None)
    process = subprocess.Popen([PROGRAM, "--broker", broker.endpoint, "generate", "x"], stderr=subprocess.PIPE,
                               stdout=subprocess.PIPE, env=environment())
    until(lambda: broker.seen(pb.Submit), 10, "a SUBMIT")
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 143
    said = process.communicate()[1].decode()
    assert f"may have been submitted: darkroom get {broker.seen(pb.Submit)[0].job.id}" in said


def test_sigterm_after_ctrl_c_does_not_wait_for_the_cancel(play):
    broker = play(slow_job(ends_on_cancel=False))
    process = start_and_wait_for_step(broker, "generate", "a lake")
    process.send_signal(signal.SIGINT)
    until(lambda: broker.seen(pb.Cancel), 10, "a CANCEL")
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 143
    assert b"whether it was cancelled is not known: darkroom get" in process.communicate()[1]


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_what_the_starter_ignores_stays_ignored(play, tmp_path, number):
    """nohup, and jobs behind `&` of a script."""
    broker, out = play(renders(tmp_path, step_seconds=0.1)), tmp_path / "out.png"
    process = subprocess.Popen([PROGRAM, "--broker", broker.endpoint, "generate", "x", "-o", str(out)], env=environment(),
                               stderr=subprocess.PIPE, stdout=subprocess.PIPE,
                               preexec_fn=lambda: signal.signal(number, signal.SIG_IGN))
    until(lambda: broker.seen(pb.Submit), 10, "a SUBMIT")
    process.send_signal(number)
    assert process.wait(timeout=20) == 0 and out.exists()
    process.communicate()


def test_stopped_and_continued_is_not_silence(play, tmp_path):
    """Ctrl-Z for longer than the patience: the time in which we did not listen is nobody's fault."""
    broker = play(waiting_job(6.5, tmp_path))
    process = subprocess.Popen([PROGRAM, "--broker", broker.endpoint, "--patience-ms", "3000", "generate", "x"],
                               env=environment(), stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    until(lambda: broker.seen(pb.Submit), 10, "a SUBMIT")
    process.send_signal(signal.SIGSTOP)
    time.sleep(5)
    process.send_signal(signal.SIGCONT)
    said = process.communicate(timeout=20)
    assert process.returncode == 0, said


# ---- terminals -----------------------------------------------------------------------------------------------------

def on_a_terminal(broker, columns=0, **variables):
    """What `generate` shows on a terminal of so many columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    clean = {name: value for name, value in environment(**variables).items() if value is not None}
    process = subprocess.Popen([PROGRAM, "--broker", broker.endpoint, "generate", "x"], stdout=subprocess.DEVNULL,
                               stderr=theirs, env=clean)
    os.close(theirs)
    shown = b""
    while True:
        try:
            some = os.read(ours, 4096)
        except OSError:
            break
        if not some:
            break
        shown += some
    os.close(ours)
    assert process.wait(timeout=30) == 0
    return shown.decode()


@pytest.mark.parametrize("terminal_name", ["dumb", "", None])
def test_a_terminal_that_cannot_clear_a_line_gets_plain_lines(play, tmp_path, terminal_name):
    shown = on_a_terminal(play(renders(tmp_path)), TERM=terminal_name)
    assert "\033" not in shown and "step 5/20\r\n" in shown


def test_no_color_changes_nothing_since_there_is_none(play, tmp_path):
    shown = on_a_terminal(play(renders(tmp_path)), TERM="xterm-256color", NO_COLOR="1")
    assert "[####" in shown and not re.search("\033\\[[0-9;]*m", shown)


@pytest.mark.parametrize("columns,variable,widest", [
    (20, None, 19), (2, None, 1), (0, "40", 39), (0, "0", 79), (0, "-5", 79), (0, "wide", 79), (0, "40x", 79),
    (0, "99999999999999999999", 79), (120, "10", 119)])
def test_the_bar_never_wraps(play, tmp_path, columns, variable, widest):
    shown = on_a_terminal(play(renders(tmp_path, step_seconds=0.002)), columns=columns, TERM="xterm", COLUMNS=variable)
    bars = re.findall("\r\033\\[K([^\r]+)", shown)
    bars = [bar for bar in bars if bar.startswith("[")]
    assert len(bars) == 20 and max(map(len, bars)) <= widest, bars


# ---- where pictures go ---------------------------------------------------------------------------------------------

def test_a_file_system_that_takes_no_files_is_known_before_the_job(play, tmp_path):
    broker = play(renders(tmp_path))
    for out in ("/proc/x.png", "/proc/", "/sys/x.png", f"{tmp_path}/{'x' * 256}.png", f"{tmp_path}/a/b/c.png"):
        done = run("generate", "x", "-o", out, broker=broker)
        assert done.returncode == 73 and b"cannot write" in done.stderr, out
    assert broker.requests == []


def test_odd_names_and_umasks(play, tmp_path):
    broker = play(renders(tmp_path))
    folder = tmp_path / "a folder\twith 'quotes' and ü"
    folder.mkdir()
    for name, mask in [("with space.png", 0o022), ("-dash.png", 0o777), ("x" * 250 + ".png", 0), ("ü.png", 0o077)]:
        done = run("generate", "x", "-o", str(folder / name), broker=broker, umask=mask)
        assert done.returncode == 0, done.stderr
        assert done.stdout.decode() == str(folder / name) + "\n"
        assert (folder / name).stat().st_mode & 0o777 == 0o666 & ~mask
    assert len(list(folder.iterdir())) == 4, "and nothing half written is left"


@pytest.mark.parametrize("out", ["/dev/null", "/dev/stderr"])
def test_a_device_is_written_to_and_not_replaced(play, tmp_path, out):
    done = run("generate", "x", "-q", "-o", out, broker=play(renders(tmp_path)))
    assert done.returncode == 0, done.stderr
    assert (b"PNG not really" in done.stderr) == (out == "/dev/stderr")


# ---- language and environment ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("language", ["C", "POSIX", "tr_TR.UTF-8", "de_DE.UTF-8", "no_SUCH.locale", ""])
def test_numbers_are_the_same_in_every_language(play, tmp_path, language):
    broker = play(renders(tmp_path))
    done = run("generate", "TITLE ıİ", "--guidance", "3.5", "--sampler", "DDIM".lower(), broker=broker,
               env=environment(LC_ALL=language, LANG=language, LC_NUMERIC=language))
    assert done.returncode == 0 and b"denoise 40.0 ms" in done.stderr
    assert broker.seen(pb.Submit)[0].job.guidance_scale == 3.5
    done = run("generate", "x", "--guidance", "3,5", broker=broker, env=environment(LC_ALL=language))
    assert done.returncode == 64 and b"guidance" in done.stderr


def test_an_empty_environment(play, tmp_path):
    done = run("generate", "x", "-o", str(tmp_path / "x.png"), broker=play(renders(tmp_path)), env={"PATH": "/none"})
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("files", [3, 8, 16, 31])
def test_too_few_open_files_is_one_line(files):
    done = shell(f'ulimit -n {files}; exec "$@"', "status")
    assert done.returncode in (78, 127), done.stderr  # 127: the loader could not open the libraries
    assert done.returncode == 127 or b"files may be open at once (ulimit -n)" in done.stderr


def test_as_few_open_files_as_it_asks_for_are_enough(play, tmp_path):
    broker = play(renders(tmp_path))
    done = shell('ulimit -n 32; exec "$@"', "--broker", f"tcp://127.0.0.1:1,{broker.endpoint}", "generate", "x",
                 "-o", str(tmp_path / "x.png"))
    assert done.returncode == 0, done.stderr
