"""The client as a process, against a broker that plays what the story needs."""
import json
import os
import pathlib
import pty
import signal
import subprocess
import time

import pytest

from fake_broker import FakeBroker, pb, picture, terminal

BUILD = pathlib.Path(os.environ.get("DARKROOM_BUILD", "build")).resolve()
PROGRAM = str(BUILD / "darkroom")


@pytest.fixture
def play(tmp_path):
    """play(handle) starts a broker and gives its endpoint; all are stopped at the end."""
    brokers = []

    def start(handle, name="b"):
        broker = FakeBroker(f"ipc://{tmp_path}/{name}{len(brokers)}", handle)
        brokers.append(broker)
        return broker

    yield start
    for broker in brokers:
        broker.close()


def environment(**more):
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("DARKROOM_", "AWS_"))}
    return {**clean, **more}


def run(*words, broker=None, timeout=30, env=None, **options):
    where = ["--broker", broker.endpoint] if broker else []
    return subprocess.run([PROGRAM, *where, *words], capture_output=True, timeout=timeout,
                          env=env or environment(), **options)


def renders(folder, images=1, step_seconds=0):
    """A handle that makes pictures, telling the usual events."""
    def handle(broker, request, answer):
        if isinstance(request, pb.Submit):
            job = request.job.id
            answer(pb.Submitted(id=job, state=pb.JOB_STATE_QUEUED, position=2, seed=7))
            if request.watch:
                answer(pb.Event(id=job, kind=pb.EVENT_QUEUED, position=2, version=1))
                answer(pb.Event(id=job, kind=pb.EVENT_STARTED, worker="w1", version=2))
                for step in range(1, 21):
                    answer(pb.Event(id=job, kind=pb.EVENT_STEP, step=step, steps=20, version=2))
                    time.sleep(step_seconds)
                answer(terminal(job, images=[picture(folder, i) for i in range(images)]))
    return handle


# ---- generate -----------------------------------------------------------------------------------------------------

def test_generate_writes_the_file_and_says_where_the_time_went(play, tmp_path):
    broker = play(renders(tmp_path))
    out = tmp_path / "out.png"
    done = run("generate", "a lake", "--steps", "20", "--guidance=3.5", "--seed", "7", "--size", "64x32", "--sampler",
               "euler_a_karras", "--negative", "snow", "--priority", "interactive", "-o", str(out), broker=broker)
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode() == f"{out}\n"
    assert out.read_bytes() == b"\x89PNG not really"
    message = done.stderr.decode()
    assert "queue 1.5 ms, encode 2.0 ms, denoise 40.0 ms (20 steps of 2.0 ms), decode 3.0 ms, store 4.0 ms" in message
    assert "queued, 2 ahead" in message and "started on w1" in message and "step 20/20" in message
    assert "\r" not in message and "\x1b" not in message
    job = broker.seen(pb.Submit)[0].job
    assert (job.prompt, job.negative_prompt, job.steps, job.guidance_scale, job.seed) == ("a lake", "snow", 20, 3.5, 7)
    assert (job.width, job.height, job.priority) == (64, 32, pb.PRIORITY_INTERACTIVE)
    assert (job.sampler, job.noise_schedule) == (pb.SAMPLER_EULER_A, pb.NOISE_SCHEDULE_KARRAS)
    assert len(job.id) == 26


def test_what_is_not_given_is_not_sent(play, tmp_path):
    broker = play(renders(tmp_path))
    assert run("generate", "a lake", broker=broker).returncode == 0
    sent = [field.name for field, _ in broker.seen(pb.Submit)[0].job.ListFields()]
    assert sent == ["id", "prompt"]


def test_without_output_the_stored_path_is_printed(play, tmp_path):
    done = run("generate", "a lake", "-q", broker=play(renders(tmp_path)))
    assert done.stdout.decode() == f"{tmp_path}/stored image-0.png\n"
    assert b"step" not in done.stderr


def test_several_images_go_into_a_folder(play, tmp_path):
    broker = play(renders(tmp_path, images=3))
    done = run("generate", "a lake", "--count", "3", "--id", "trip", "-o", str(tmp_path / "new") + "/", broker=broker)
    assert done.returncode == 0, done.stderr
    names = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert names == ["trip-0.png", "trip-1.png", "trip-2.png"]
    assert len(done.stdout.splitlines()) == 3


def test_output_to_stdout(play, tmp_path):
    done = run("generate", "a lake", "-o", "-", broker=play(renders(tmp_path)))
    assert done.returncode == 0 and done.stdout == b"\x89PNG not really"


def test_json_is_one_line_and_paths_move_to_stderr(play, tmp_path):
    done = run("generate", "a lake", "--json", "-o", str(tmp_path / "x.png"), broker=play(renders(tmp_path)))
    status = json.loads(done.stdout)
    assert status["state"] == "succeeded" and status["images"][0]["seed"] == 7
    assert str(tmp_path / "x.png") in done.stderr.decode()


def test_a_bar_only_on_a_terminal(play, tmp_path):
    broker = play(renders(tmp_path, step_seconds=0.01))
    leader, follower = pty.openpty()
    process = subprocess.Popen([PROGRAM, "--broker", broker.endpoint, "generate", "a lake"], stdout=subprocess.PIPE,
                               stderr=follower, env=environment())
    os.close(follower)
    seen = b""
    while True:
        try:
            piece = os.read(leader, 4096)
        except OSError:
            break
        seen += piece
    assert process.wait() == 0
    os.close(leader)
    assert b"[##############################] step 20/20" in seen and b"it/s" in seen
    assert process.stdout.read().endswith(b".png\n")
    process.stdout.close()


def test_a_damaged_image_is_not_delivered(play, tmp_path):
    def handle(broker, request, answer):
        image = picture(tmp_path)
        (tmp_path / "stored image-0.png").write_bytes(b"something else!")
        answer(terminal(request.job.id, images=[image]))
    out = tmp_path / "out.png"
    done = run("generate", "a lake", "-o", str(out), broker=play(handle))
    assert done.returncode == 70 and b"SHA-256" in done.stderr
    assert not out.exists() and not list(tmp_path.glob(".darkroom-*"))


@pytest.mark.parametrize("url, code, said", [
    ("s3://bucket/key/0.png", 77, "AWS_ACCESS_KEY_ID is not set"), ("s3://bucket", 3, "not the URL of an object"),
    ("https://host/0.png", 3, "only file: and s3: stores"), ("file:///nowhere/at/all.png", 3, "No such file")])
def test_what_cannot_be_fetched_is_named(play, tmp_path, url, code, said):
    def handle(broker, request, answer):
        answer(terminal(request.job.id, images=[pb.Artifact(index=0, url=url)]))
    broker = play(handle)
    done = run("generate", "a lake", "-o", str(tmp_path / "x.png"), broker=broker)
    assert done.returncode == code and done.stdout.decode() == url + "\n" and url in done.stderr.decode()
    assert said in done.stderr.decode()
    assert ("darkroom watch" in done.stderr.decode()) == (code == 77)
    if url.startswith("s3"):
        done = run("generate", "a lake", broker=broker)
        assert done.returncode == 0 and done.stdout.decode() == url + "\n"


def test_output_is_checked_before_the_work(play, tmp_path):
    broker = play(renders(tmp_path))
    assert run("generate", "x", "-o", "/nowhere/x.png", broker=broker).returncode == 73
    assert run("generate", "x", "--count", "2", "-o", str(tmp_path / "x.png"), broker=broker).returncode == 64
    assert run("generate", "x", "--json", "-o", "-", broker=broker).returncode == 64
    assert broker.requests == []


@pytest.mark.parametrize("state", [pb.JOB_STATE_FAILED, pb.JOB_STATE_EXPIRED, pb.JOB_STATE_QUARANTINED,
                                   pb.JOB_STATE_CANCELLED])
def test_a_job_that_ends_badly(play, state):
    def handle(broker, request, answer):
        error = pb.Error(code=pb.ERROR_NUMERIC, message="the picture was flat")
        answer(terminal(request.job.id, state=state, error=error))
    done = run("generate", "a lake", broker=play(handle))
    assert done.returncode == 1 and done.stdout == b""
    assert b"the picture was flat (numeric)" in done.stderr


def test_a_prompt_from_stdin(play, tmp_path):
    broker = play(renders(tmp_path))
    done = run("generate", "-", "-o", str(tmp_path / "x.png"), broker=broker, input="a château\n".encode())
    assert done.returncode == 0 and broker.seen(pb.Submit)[0].job.prompt == "a château"
    assert run("submit", "-", broker=broker, input=b"two\nlines").returncode == 0
    assert broker.seen(pb.Submit)[1].job.prompt == "two\nlines"


@pytest.mark.parametrize("typed, said", [(b"x" * 8193, "too long"), (b"caf\xe9", "UTF-8"), (b"a\0b", "NUL")])
def test_a_prompt_from_stdin_is_checked(typed, said):
    done = run("submit", "-", input=typed)
    assert done.returncode == 64 and said in done.stderr.decode() and done.stdout == b""


# ---- trouble on the way -------------------------------------------------------------------------------------------

def test_another_broker_with_the_same_id_when_the_first_is_silent(play, tmp_path):
    silent = play(lambda *_: None)
    good = play(renders(tmp_path))
    done = run("--broker", f"ipc://{tmp_path}/nobody,{silent.endpoint},{good.endpoint}", "generate", "a lake")
    assert done.returncode == 0, done.stderr
    assert silent.seen(pb.Submit)[0].job.id == good.seen(pb.Submit)[0].job.id
    assert silent.seen(pb.Submit)[0].job == good.seen(pb.Submit)[0].job


def test_watches_again_after_silence(play, tmp_path):
    def handle(broker, request, answer):
        if isinstance(request, pb.Submit):
            answer(pb.Submitted(id=request.job.id, state=pb.JOB_STATE_QUEUED))  # and its events are lost
        if isinstance(request, pb.Watch):
            answer(terminal(request.id[0], images=[picture(tmp_path)]))
    broker = play(handle)
    done = run("generate", "a lake", broker=broker)
    assert done.returncode == 0 and len(broker.seen(pb.Submit)) == 1 and len(broker.seen(pb.Watch)) == 1
    assert len(set(broker.correlations)) == 1, "a second number would be a second watcher at the broker"


def test_a_broker_that_comes_back(play, tmp_path):
    endpoint = f"ipc://{tmp_path}/late"
    process = subprocess.Popen([PROGRAM, "--broker", endpoint, "generate", "x"], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, env=environment())
    time.sleep(1.5)
    broker = FakeBroker(endpoint, renders(tmp_path))
    assert process.wait(timeout=20) == 0
    process.communicate()
    broker.close()


def test_nobody_answers():
    started = time.monotonic()
    done = run("--broker", "tcp://127.0.0.1:1", "--patience-ms", "1500", "status")
    assert done.returncode == 69 and b"tcp://127.0.0.1:1" in done.stderr
    assert time.monotonic() - started < 6
    assert run("--broker", "tcp://127.0.0.1:1", "--patience-ms", "1500", "generate", "x").returncode == 69


def test_unavailable_is_asked_again_and_then_left(play):
    def later(broker, request, answer):
        if len(broker.requests) < 3:
            answer(pb.Error(code=pb.ERROR_UNAVAILABLE, message="redis is away", retry_after_ms=200))
        else:
            answer(pb.FleetStatus(version="1", queued=3))
    assert run("status", broker=play(later)).returncode == 0

    def never(broker, request, answer):
        answer(pb.Error(code=pb.ERROR_UNAVAILABLE, message="redis is away", retry_after_ms=100))
    broker = play(never)
    done = run("--patience-ms", "800", "submit", "x", broker=broker)
    assert done.returncode == 75 and b"redis is away" in done.stderr
    assert len({request.job.id for request in broker.seen(pb.Submit)}) == 1
    done = run("--patience-ms", "800", "generate", "x", broker=broker)
    assert done.returncode == 75 and b"redis is away" in done.stderr


@pytest.mark.parametrize("code,exit_code", [(pb.ERROR_FIELD, 64), (pb.ERROR_UNKNOWN_MODEL, 64), (pb.ERROR_NOT_FOUND, 66),
                                            (pb.ERROR_EXHAUSTED, 75), (pb.ERROR_VERSION, 76),
                                            (pb.ERROR_INTERNAL, 70)])
def test_refusals_have_their_exit_codes(play, code, exit_code):
    def handle(broker, request, answer):
        answer(pb.Error(code=code, message="no", field="model", limit="demo"))
    broker = play(handle)
    for words in (["submit", "x"], ["generate", "x"], ["get", "j"], ["watch", "j"]):
        done = run(*words, broker=broker)
        assert done.returncode == exit_code, (words, done.stderr)
        said = b"there are: demo" if code == pb.ERROR_UNKNOWN_MODEL else b"must be demo"
        assert b"field model; " + said in done.stderr and done.stdout == b""


def test_a_full_queue_is_asked_again_when_the_broker_says_so(play, tmp_path):
    works = renders(tmp_path)

    def handle(broker, request, answer):
        if len(broker.requests) < 3:
            answer(pb.Error(code=pb.ERROR_EXHAUSTED, message="the queue is full", retry_after_ms=100))
        else:
            works(broker, request, answer)
    assert run("submit", "x", broker=play(handle)).returncode == 0
    assert run("generate", "x", broker=play(handle)).returncode == 0


@pytest.mark.parametrize("words", [["status"], ["generate", "x"]])
@pytest.mark.parametrize("oddity", [
    dict(version=2), dict(payload=b"\x0a\x05x"), dict(payload=b"\x0a\x02\xff\xff"), dict(payload=b"\xff" * 200)])
def test_answers_that_cannot_be_read(play, words, oddity):
    def handle(broker, request, answer):
        answer(pb.FleetStatus(version="1"), **oddity)
    done = run(*words, broker=play(handle))
    assert done.returncode == 76 and done.stdout == b"", done.stderr


def test_answers_to_others_are_passed_over(play):
    def handle(broker, request, answer):
        answer(pb.Error(code=pb.ERROR_INTERNAL, message="not for you"), number=99999)
        answer(pb.FleetStatus(version="mine"))
        answer(pb.FleetStatus(version="late"))
    assert b"mine" in run("status", broker=play(handle)).stdout


def test_stdout_that_is_full(play, tmp_path):
    with open("/dev/full", "wb") as full:
        process = subprocess.run([PROGRAM, "--broker", play(renders(tmp_path)).endpoint, "generate", "x", "-o", "-"],
                                 stdout=full, stderr=subprocess.PIPE, env=environment(), timeout=30)
        assert process.returncode == 73, process.stderr
        process = subprocess.run([PROGRAM, "--broker", play(answers(pb.FleetStatus(version="1"))).endpoint, "status"],
                                 stdout=full, stderr=subprocess.PIPE, env=environment(), timeout=30)
        assert process.returncode == 73, process.stderr


# ---- Ctrl-C -------------------------------------------------------------------------------------------------------

def start_and_wait_for_step(broker, *words):
    process = subprocess.Popen([PROGRAM, "--broker", broker.endpoint, *words], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, env=environment())
    for line in process.stderr:
        if b"step" in line:
            return process
    raise AssertionError("no step was shown")


def slow_job(ends_on_cancel):
    def handle(broker, request, answer):
        if isinstance(request, (pb.Submit, pb.Watch)):
            broker.event = answer
            if isinstance(request, pb.Submit):
                answer(pb.Submitted(id=request.job.id))
            answer(pb.Event(id="j", kind=pb.EVENT_STEP, step=5, steps=20, version=2))
        if isinstance(request, pb.Cancel):
            answer(pb.Cancelled(id=request.id, outcome=pb.CANCEL_SIGNALLED))
            if ends_on_cancel:
                broker.after(0.3, lambda: broker.event(terminal(request.id, state=pb.JOB_STATE_CANCELLED)))
    return handle


def test_ctrl_c_cancels_once(play):
    broker = play(slow_job(ends_on_cancel=True))
    process = start_and_wait_for_step(broker, "generate", "a lake")
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=10) == 130
    out, error = process.communicate()
    assert b"cancelling" in error and b"the job is cancelled" in error and out == b""
    assert [request.id for request in broker.seen(pb.Cancel)] == [broker.seen(pb.Submit)[0].job.id]


def test_second_ctrl_c_leaves(play):
    broker = play(slow_job(ends_on_cancel=False))
    process = start_and_wait_for_step(broker, "generate", "a lake")
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=5) == 130
    process.communicate()


def test_ctrl_c_while_watching_leaves_the_job_alone(play):
    broker = play(slow_job(ends_on_cancel=True))
    process = start_and_wait_for_step(broker, "watch", "j")
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=5) == 130
    process.communicate()
    assert broker.seen(pb.Cancel) == []


# ---- the other verbs ----------------------------------------------------------------------------------------------

def answers(message):
    return lambda broker, request, answer: answer(message)


def test_submit_prints_the_id(play):
    broker = play(answers(pb.Submitted(id="mine", state=pb.JOB_STATE_QUEUED, position=0)))
    done = run("submit", "a lake", "--id", "mine", broker=broker)
    assert (done.returncode, done.stdout) == (0, b"mine\n")
    assert not broker.seen(pb.Submit)[0].watch
    done = run("submit", "a lake", "--id", "mine", "--json", broker=broker)
    assert json.loads(done.stdout) == {"id": "mine", "state": "queued", "position": 0}


def test_get(play):
    job = pb.Job(prompt="a lake\x1b[31m", model="demo", width=64, height=64, steps=20, sampler=pb.SAMPLER_DDIM,
                 noise_schedule=pb.NOISE_SCHEDULE_MODEL, priority=pb.PRIORITY_BULK)
    status = pb.JobStatus(id="j", state=pb.JOB_STATE_RUNNING, job=job, step=3, steps=20, worker="w1",
                          submitted_ms=1700000000000)
    broker = play(answers(status))
    text = run("get", "j", broker=broker).stdout.decode()
    assert "running" in text and "3/20" in text and "2023-11-14T22:13:20.000Z" in text and "ddim" in text
    assert "\x1b" not in text
    assert json.loads(run("get", "j", "--json", broker=broker).stdout)["job"]["sampler"] == "ddim"


def test_list(play):
    broker = play(answers(pb.JobList(job=[pb.JobStatus(id="j1", state=pb.JOB_STATE_QUEUED),
                                          pb.JobStatus(id="j2", state=pb.JOB_STATE_FAILED)])))
    done = run("list", "--state", "queued,failed", "--limit", "5", broker=broker)
    assert [line.split()[:2] for line in done.stdout.decode().splitlines()[1:]] == [["j1", "queued"], ["j2", "failed"]]
    asked = broker.seen(pb.List)[0]
    assert list(asked.state) == [pb.JOB_STATE_QUEUED, pb.JOB_STATE_FAILED] and asked.limit == 5
    done = run("list", "--state", "runing", broker=broker)
    assert done.returncode == 64 and b"did you mean running?" in done.stderr


def test_cancel_explain_models_status(play):
    assert b"stops at the next step" in run("cancel", "j", broker=play(answers(
        pb.Cancelled(id="j", outcome=pb.CANCEL_SIGNALLED, state=pb.JOB_STATE_RUNNING)))).stdout
    assert b"no worker has it" in run("explain", "j", broker=play(answers(
        pb.Explanation(id="j", state=pb.JOB_STATE_QUEUED, reason=["no worker has it"])))).stdout
    assert b"(default)" in run("models", broker=play(answers(
        pb.ModelList(model=[pb.ModelInfo(id="demo", family="sd1", workers=1)], default_model="demo")))).stdout
    fleet = pb.FleetStatus(version="1", queued=3, worker=[pb.WorkerInfo(id="w1", state="ready", device=["cpu"])])
    assert b"w1" in run("status", broker=play(answers(fleet))).stdout
    assert json.loads(run("status", "--json", broker=play(answers(fleet))).stdout)["queued"] == 3


# ---- the command line ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("words,said", [
    ([], "a command is missing"),
    (["genrate", "x"], "did you mean generate?"),
    (["generate"], "missing: PROMPT"),
    (["generate", "a", "lake"], "quote a prompt"),
    (["list", "x"], "no argument is taken"),
    (["generate", "x", "--stepps", "3"], "did you mean steps?"),
    (["generate", "x", "--steps", "0"], "1..1000"),
    (["generate", "x", "--steps", "1001"], "1..1000"),
    (["generate", "x", "--guidance", "nan"], "0..100"),
    (["generate", "x", "--guidance", "-1"], "0..100"),
    (["generate", "x", "--size", "100x100"], "multiple of 8"),
    (["generate", "x", "--size", "4096x8"], "8..2048"),
    (["generate", "x", "--size", "64"], "WIDTHxHEIGHT"),
    (["generate", "x", "--sampler", "dpm_2m"], "did you mean dpmpp_2m?"),
    (["generate", "x", "--sampler", "ddim_karras"], "unknown_sampler"),
    (["generate", "x", "--seed", "-1"], "0..9007199254740991"),
    (["generate", "x", "--priority", "urgent"], "interactive, standard, bulk"),
    (["generate", "x", "--count", "65"], "1..64"),
    (["generate", "x", "--id", "../x"], "A-Za-z0-9._-"),
    (["generate", b"caf\xe9"], "UTF-8"),
    (["generate", "x" * 8193], "0..8192 bytes"),
    (["list", "--steps", "3"], "does not go with this command"),
    (["status", "--broker", "nowhere"], "tcp://HOST:PORT"),
    (["status", "--broker", "carrier://pigeon"], "carrier://pigeon"),
])
def test_usage_errors(words, said):
    done = run(*words)
    assert done.returncode == 64, done.stderr
    assert said in done.stderr.decode() and done.stdout == b""


def test_settings_from_environment_and_file(play, tmp_path):
    broker = play(answers(pb.FleetStatus(version="1")))
    assert run("status", env=environment(DARKROOM_BROKER=broker.endpoint)).returncode == 0
    config = tmp_path / "darkroom.conf"
    config.write_text(f"# mine\nbroker = {broker.endpoint}\nsteps = 30\n")
    assert run("--config", str(config), "status").returncode == 0
    shown = run("--config", str(config), "generate", "x", "--print-config", env=environment(DARKROOM_STEPS="31"))
    assert "steps = 31" in shown.stdout.decode() and broker.endpoint in shown.stdout.decode()
    config.write_text("brokr = x\n")
    done = run("--config", str(config), "status")
    assert done.returncode == 64 and b"did you mean broker?" in done.stderr


def test_help_and_version():
    text = run("--help").stdout.decode()
    for verb in ("generate", "submit", "watch", "get", "list", "cancel", "requeue", "bury", "explain", "models", "status",
                 "version"):
        assert f"\n  {verb}" in text
        own = run(verb, "--help")
        assert own.returncode == 0 and f"Usage: darkroom {verb} [settings]" in own.stdout.decode()
    assert "DARKROOM_BROKER" in text and "Exit codes:" in text and "130" in text
    assert "--sampler" in run("generate", "--help").stdout.decode()
    assert run("--version").stdout == run("version").stdout
