"""Pictures on their way, from a job's events into the watcher's files."""
import io
import os
import re

import pytest
from PIL import Image

from fake_broker import pb, picture, terminal
from fleet import PROMPT
from test_cli import play, run  # noqa: F401

JPEG = b"\xff\xd8\xff not really"
WORDS = ("generate", "a lake", "--preview-every", "5", "--id", "trip")


def looks(folder, images=1, jpeg=JPEG):
    """A handle whose job is looked at on its way, whoever asks; the largest preview is in it, and one that is none."""
    def handle(broker, request, answer):
        job = request.job.id if isinstance(request, pb.Submit) else request.id[0]
        if isinstance(request, pb.Submit):
            answer(pb.Submitted(id=job, state=pb.JOB_STATE_QUEUED, position=0, seed=7))
        for step in (5, 10):
            for index in range(images):
                content = jpeg + bytes([step, index])
                answer(pb.Event(id=job, kind=pb.EVENT_PREVIEW, preview=pb.Preview(index=index, step=step, width=8, height=8, jpeg=content)))
        answer(pb.Event(id=job, kind=pb.EVENT_PREVIEW, preview=pb.Preview(index=0, step=11)))
        answer(pb.Event(id=job, kind=pb.EVENT_PREVIEW, preview=pb.Preview(index=0, step=12, jpeg=bytes(16 * 1024 + 1))))
        answer(terminal(job, images=[picture(folder, i) for i in range(images)]))
    return handle


@pytest.mark.parametrize("words", [WORDS, ("watch", "trip")], ids=["generate", "watch"])
def test_each_gets_its_name(play, tmp_path, words):
    place = tmp_path / "looks"
    done = run(*words, "--previews", f"{place}/", broker=play(looks(tmp_path, images=2)))
    assert done.returncode == 0, done.stderr
    assert {path.name: path.read_bytes()[-2:] for path in place.iterdir()} == {
        f"trip-{index}-{step:04}.jpg": bytes([step, index]) for step in (5, 10) for index in (0, 1)}
    assert f"preview of image 1 at step 10: {place}/trip-1-0010.jpg" in done.stderr.decode()
    assert b"looks" not in done.stdout, "the results are there, and nothing else"


def test_a_file_has_the_newest(play, tmp_path):
    place = tmp_path / "now.jpg"
    done = run(*WORDS, "--previews", str(place), "-q", broker=play(looks(tmp_path)))
    assert done.returncode == 0 and place.read_bytes() == JPEG + bytes([10, 0])
    assert done.stderr == b""
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix == ".jpg") == ["now.jpg"], "and nothing is left half"


def test_who_does_not_ask_gets_none(play, tmp_path):
    done = run("watch", "trip", broker=play(looks(tmp_path)), cwd=tmp_path)
    assert done.returncode == 0 and not list(tmp_path.glob("*.jpg")) and b"preview" not in done.stderr


def test_what_cannot_be_written_is_said_before_the_job_is_made(play, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    broker = play(looks(tmp_path))
    for words, code, said in (((*WORDS, "--previews", str(tmp_path / "none" / "x.jpg")), 73, "cannot write"),
                              ((*WORDS, "--previews", str(tmp_path / "pipe")), 64, "neither a folder nor a plain file"),
                              ((*WORDS, "--count", "2", "--previews", str(tmp_path / "x.jpg")), 64, "need a folder"),
                              (("generate", "a lake", "--previews", str(tmp_path)), 64, "--previews goes with --preview-every"),
                              ((*WORDS, "--previews", ""), 64, "previews"), ((*WORDS, "--previews", "x" * 4097), 64, "previews")):
        done = run(*words, broker=broker)
        assert done.returncode == code and said in done.stderr.decode(), (words, done.stderr)
    assert broker.requests == []


def test_a_folder_that_goes_away_costs_the_previews_alone(play, tmp_path):
    place, out = tmp_path / "looks", tmp_path / "out.png"
    place.mkdir()

    def handle(broker, request, answer):
        place.rmdir()
        looks(tmp_path)(broker, request, answer)
    done = run(*WORDS, "--previews", f"{place}/", "-o", str(out), broker=play(handle))
    assert done.returncode == 0 and done.stderr.decode().count("previews are lost") == 1
    assert out.read_bytes() == b"\x89PNG not really"


def test_of_a_fleet(fleet):
    """Real ones: small pictures that become the picture."""
    fleet.broker()
    fleet.worker()
    place = fleet.folder / "looks"
    done = fleet.client("generate", PROMPT, "--id", "seen", "--steps", 900, "--size", "128x128", "--preview-every", 5, "--previews", f"{place}/")
    assert done.returncode == 0, done.stderr
    names = sorted(path.name for path in place.iterdir())
    assert names and all(re.fullmatch(r"seen-0-\d{4}\.jpg", name) for name in names), names
    for name in names:
        seen = Image.open(io.BytesIO((place / name).read_bytes()))
        assert seen.format == "JPEG" and max(seen.size) <= 256
