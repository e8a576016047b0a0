"""Files that jobs bring: in the job, from the store, from a bucket, over https:; and all that can be wrong with them."""
import hashlib
import io
import re

import pytest
import zmq
from PIL import Image

from fleet import FIXTURES, PROMPT, model_row, pb, until
from house import Client
from places import Place


def png(width=48, height=40, colour=(200, 40, 90)):
    data = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(data, "PNG")
    return data.getvalue()


def grain(width, height):
    """A picture that no format makes small."""
    data = io.BytesIO()
    Image.effect_noise((width, height), 90).convert("RGB").save(data, "PNG", compress_level=1)
    return data.getvalue()


@pytest.fixture
def bucket():
    place = Place()
    yield place
    place.stop()


@pytest.fixture
def image(fleet):
    path = fleet.folder / "in.png"
    path.write_bytes(png())
    return path


def fetching_worker(fleet, bucket, **settings):
    return fleet.worker(environment=bucket.environment(), fetch_places="s3://inputs", **settings)


def submit(fleet, **settings):
    return fleet.submit(steps=2, size="64x64", **settings)


def went_to_its_engine(fleet, worker, job):
    """The files came, and the engine has had the job with them."""
    record = fleet.wait(job, "succeeded")
    fetched = re.search(rf"event=inputs_fetched job={job} inputs=(\d+) bytes=(\d+)", worker.log())
    assert fetched, worker.log()
    assert record["timings"]["fetch_us"] > 0
    return int(fetched.group(1)), int(fetched.group(2))


def refused(fleet, job, field, *words):
    """It failed for good at once, and says which field was wrong."""
    record = fleet.wait(job, "failed")
    assert record["error"]["code"] == "input" and record["error"]["field"] == field, record
    assert all(word in record["error"]["message"] for word in words), record
    assert record["fails"] == 1


def test_a_small_file_travels_in_the_job(fleet, image):
    fleet.broker()
    worker = fleet.worker()
    job = submit(fleet, image=image, strength=0.5)
    inputs, size = went_to_its_engine(fleet, worker, job)
    assert (inputs, size) == (1, 64 * 64 * 3), "RGB of the job's size"
    blob = fleet.get(job)["job"]["image"]
    assert "inline" not in blob and blob["bytes"] == image.stat().st_size
    assert blob["sha256"] == hashlib.sha256(image.read_bytes()).hexdigest()


def test_a_large_file_goes_through_the_store(fleet):
    fleet.broker()
    worker = fleet.worker()
    path = fleet.folder / "large.png"
    path.write_bytes(grain(400, 300))
    assert path.stat().st_size > 160 * 1024
    job = submit(fleet, image=path, store=fleet.store)
    assert went_to_its_engine(fleet, worker, job)[0] == 1
    kept, = [name for name in fleet.stored() if name.startswith("inputs/")]
    assert kept == "inputs/" + hashlib.sha256(path.read_bytes()).hexdigest()
    assert fleet.get(job)["job"]["image"]["url"].endswith(kept)


def test_a_file_of_a_bucket(fleet, bucket):
    fleet.broker()
    worker = fetching_worker(fleet, bucket)
    content = png()
    digest = bucket.put("/inputs/a/in.png", content)
    job = submit(fleet, image=f"s3://inputs/a/in.png#sha256={digest}")
    went_to_its_engine(fleet, worker, job)
    assert worker.metric("input_bytes_total") == len(content)
    again = submit(fleet, image=f"s3://inputs/a/in.png#sha256={digest}", seed=4)
    went_to_its_engine(fleet, worker, again)
    assert bucket.asked == ["/inputs/a/in.png"], "the second time it was here already"
    assert worker.metric("input_cache_hits_total") == 1


def test_a_host_of_https(fleet):
    fleet.broker()
    place = Place(fleet.folder)
    try:
        worker = fleet.worker(environment={"AWS_CA_BUNDLE": str(place.certificate)}, fetch_hosts=f"localhost:{place.port}")
        place.put("/in.png", png())
        went_to_its_engine(fleet, worker, submit(fleet, image=f"https://localhost:{place.port}/in.png"))
        refused(fleet, submit(fleet, image=f"https://127.0.0.1:{place.port}/in.png"), "image", "--fetch-hosts")
        refused(fleet, submit(fleet, image=f"https://u:p@localhost:{place.port}/in.png"), "image", "--fetch-hosts")
        place.trouble["/moved.png"] = f"https://localhost:{place.port}/in.png"
        refused(fleet, submit(fleet, image=f"https://localhost:{place.port}/moved.png"), "image", "redirects are not followed")
        assert place.asked == ["/in.png", "/moved.png"]
    finally:
        place.stop()


def test_a_job_does_not_look_around_on_its_worker(fleet, bucket, image):
    fleet.broker()
    fetching_worker(fleet, bucket)
    fleet.pictures.mkdir(exist_ok=True)
    (fleet.pictures / "way_out.png").symlink_to(image)
    for url in (f"file://{image}", "file:///etc/passwd", f"file://{fleet.pictures}/way_out.png",
                f"file://{fleet.pictures}/../in.png", f"file://{fleet.pictures}/%2e%2e/in.png"):
        refused(fleet, submit(fleet, image=url), "image")
    for url in ("s3://other/in.png", "s3://inputs-of-others/in.png", "s3://inputs/../other/in.png"):
        refused(fleet, submit(fleet, image=url), "image")
    assert bucket.asked == []


def test_of_the_store_a_job_reads_its_own(fleet):
    """The store's room is everybody's: a job names files by their hash, its tenant's results, and nobody else's."""
    fleet.broker()
    worker = fleet.worker(fetch_places=f"file://{fleet.folder}")  # a place around the store opens nothing of the store
    own = fleet.wait(submit(fleet))["images"][0]["url"]
    assert own.startswith(f"{fleet.store}/default/")
    went_to_its_engine(fleet, worker, submit(fleet, image=own))
    digest = hashlib.sha256(png()).hexdigest()
    for name in ("other/job/1/0.png", "other/job/1/" + digest, "inputs/0.png", "inputs/" + digest, ".darkroom-check-w1",
                 "default-2/0.png"):
        (fleet.pictures / name).parent.mkdir(parents=True, exist_ok=True)
        (fleet.pictures / name).write_bytes(png())
    (fleet.pictures / "default" / "way.png").symlink_to(fleet.pictures / "other/job/1/0.png")
    went_to_its_engine(fleet, worker, submit(fleet, image=f"{fleet.store}/inputs/{digest}"))
    for name in ("other/job/1/0.png", "other/job/1/" + digest + "#sha256=" + digest, "inputs/0.png", ".darkroom-check-w1",
                 "default-2/0.png", "default/way.png", "/other/job/1/0.png", "%6fther/job/1/0.png"):
        refused(fleet, submit(fleet, image=f"{fleet.store}/{name}"), "image", "its tenant's results")
    (fleet.folder / "beside.png").write_bytes(png())
    went_to_its_engine(fleet, worker, submit(fleet, image=f"file://{fleet.folder}/beside.png"))


@pytest.mark.parametrize("name, field, words", [
    ("hash", "image", ["sha256 is"]), ("text", "image", ["not a PNG, JPEG or WebP"]), ("cut", "image", ["png"]),
    ("missing", "image", ["404"]), ("sides", "image", ["20000x1"])])
def test_a_file_that_is_not_what_it_should_be(fleet, bucket, name, field, words):
    fleet.broker()
    fetching_worker(fleet, bucket)
    bucket.put("/inputs/hash", png())
    bucket.put("/inputs/text", b"a lake at sunset, in words")
    bucket.put("/inputs/cut", png()[:60])
    bucket.put("/inputs/sides", png(20000, 1))
    told = "#sha256=" + "0" * 64 if name == "hash" else ""
    refused(fleet, submit(fleet, image=f"s3://inputs/{name}{told}"), field, *words)


def test_a_file_larger_than_it_says(fleet, bucket):
    broker = fleet.broker()
    fetching_worker(fleet, bucket)
    bucket.put("/inputs/in.png", png() + bytes(1000))
    job = pb.Job(id="large", prompt=PROMPT, steps=2, width=64, height=64,
                 image=pb.Blob(url="s3://inputs/in.png", bytes=500))
    with zmq.Context() as context:
        client = Client(context, broker.endpoint)
        client.ask("SUBMIT", pb.Submit(job=job))
        client.close()
    refused(fleet, "large", "image", "more than 500 bytes")


def test_an_adapter_that_is_a_pickle(fleet, bucket):
    fleet.broker()
    fetching_worker(fleet, bucket)
    digest = bucket.put("/inputs/style.safetensors", b"\x80\x02}q\x00." * 20)
    refused(fleet, submit(fleet, lora=f"s3://inputs/style.safetensors#sha256={digest}"), "adapter.blob", "pickle")


def test_a_place_that_is_away_is_asked_again(fleet, bucket):
    fleet.broker()
    worker = fetching_worker(fleet, bucket)
    bucket.put("/inputs/in.png", png())
    bucket.trouble["/inputs/in.png"] = 503
    job = submit(fleet, image="s3://inputs/in.png")
    until(lambda: bucket.asked.count("/inputs/in.png") >= 2, 20, "a second try")
    assert fleet.state(job) == "assigned" and fleet.get(job).get("fails", 0) == 0
    del bucket.trouble["/inputs/in.png"]
    went_to_its_engine(fleet, worker, job)


def test_a_place_that_stays_away_costs_an_attempt(fleet, bucket):
    fleet.broker()
    worker = fetching_worker(fleet, bucket, fetch_seconds=1)
    bucket.trouble["/inputs/in.png"] = 503
    job = submit(fleet, image="s3://inputs/in.png")
    until(lambda: fleet.get(job).get("fails", 0) >= 1, 30, "a failed attempt")
    record = fleet.get(job)
    assert record["state"] in ("delayed", "queued", "assigned") and record["error"]["field"] == "image", record
    bucket.put("/inputs/in.png", png())
    del bucket.trouble["/inputs/in.png"]
    went_to_its_engine(fleet, worker, job)


def test_a_slow_place_keeps_nobody_else_waiting(fleet, bucket, image):
    fleet.broker()
    worker = fetching_worker(fleet, bucket, slots=2, fetch_threads=1)
    bucket.put("/inputs/slow.png", png())
    bucket.trouble["/inputs/slow.png"] = 60
    slow = [submit(fleet, image="s3://inputs/slow.png", seed=seed) for seed in range(2)]
    bucket.wait_for("/inputs/slow.png")
    fleet.wait(submit(fleet))
    went_to_its_engine(fleet, worker, submit(fleet, image=image))  # the only thread that fetches is not needed for this
    assert [fleet.state(job) for job in slow] == ["assigned", "assigned"]
    assert worker.metric("jobs_fetching") == 2
    bucket.stopping.set()
    for job in slow:
        went_to_its_engine(fleet, worker, job)


def test_a_cancelled_job_is_no_longer_fetched_for(fleet, bucket):
    fleet.broker()
    worker = fetching_worker(fleet, bucket, fetch_threads=1)
    bucket.put("/inputs/slow.png", png())
    bucket.put("/inputs/in.png", png())
    bucket.trouble["/inputs/slow.png"] = 60
    slow = submit(fleet, image="s3://inputs/slow.png")
    bucket.wait_for("/inputs/slow.png")
    fleet.client("cancel", slow)
    fleet.wait(slow, "cancelled")
    went_to_its_engine(fleet, worker, submit(fleet, image="s3://inputs/in.png"))  # the only thread is free again, long before the minute is over


def test_a_deadline_is_met_while_fetching(fleet, bucket):
    fleet.broker()
    fetching_worker(fleet, bucket)
    bucket.trouble["/inputs/in.png"] = 503
    fleet.wait(submit(fleet, image="s3://inputs/in.png", deadline_ms=1500), "expired")


def test_a_worker_that_drains_hands_back_what_it_fetches_for(fleet, bucket):
    fleet.broker()
    worker = fetching_worker(fleet, bucket, name="first")
    bucket.put("/inputs/slow.png", png())
    bucket.trouble["/inputs/slow.png"] = 60
    job = submit(fleet, image="s3://inputs/slow.png")
    bucket.wait_for("/inputs/slow.png")
    assert worker.stop(20) == 0
    record = fleet.get(job)
    assert record["state"] == "queued" and record.get("fails", 0) == 0
    del bucket.trouble["/inputs/slow.png"]
    went_to_its_engine(fleet, fetching_worker(fleet, bucket, name="second"), job)


def test_padding_alone_makes_a_mask(fleet, image):
    fleet.broker()
    worker = fleet.worker()
    job = submit(fleet, image=image, pad="16,0,16,0")
    inputs, size = went_to_its_engine(fleet, worker, job)
    assert (inputs, size) == (2, 64 * 64 * 3 + 64 * 64)


def test_contradictions_are_refused_before_any_work(fleet, image):
    fleet.broker()
    fleet.worker()
    for words, said in ((["--mask", image], "mask goes with image"), (["--strength", "0.5"], "strength goes with image"),
                        (["--image", image, "--pad", "64,0,0,0", "--size", "64x64"], "leaves the image no room"),
                        (["--quality", "80"], "quality goes with format"), (["--lora", "ink:20"], "adapter.weight")):
        done = fleet.client("submit", PROMPT, *words)
        assert done.returncode != 0 and said in done.stderr, done.stderr
    assert fleet.client("list").stdout.count("\n") <= 1, "none of them is in the queue"


@pytest.mark.parametrize("format, ending, magic", [("jpeg", ".jpg", b"\xff\xd8\xff"), ("webp", ".webp", b"RIFF")])
def test_pictures_in_other_formats(fleet, format, ending, magic):
    fleet.broker()
    fleet.worker()
    record = fleet.wait(submit(fleet, format=format, quality=85))
    stored, = record["images"]
    content = fleet.picture(stored)
    assert stored["url"].endswith(ending) and content.startswith(magic) and stored["kind"] == "picture"
    assert hashlib.sha256(content).hexdigest() == stored["sha256"]
    comment = Image.open(io.BytesIO(content)).getexif().get_ifd(0x8769)[0x9286]
    assert comment[8:].decode("utf-16-be").startswith(PROMPT)


def test_a_picture_says_its_strength_and_not_its_place(fleet, bucket):
    fleet.broker()
    fetching_worker(fleet, bucket)
    bucket.put("/inputs/in.png", png())
    record = fleet.wait(submit(fleet, image="s3://inputs/in.png", strength=0.75))
    text = Image.open(io.BytesIO(fleet.picture(record["images"][0]))).text
    assert "Denoising strength: 0.75, " in text["parameters"]
    assert "s3:" not in text["darkroom"] + text["parameters"]


def test_another_image_gives_another_picture(fleet, image):
    fleet.broker()
    fleet.worker()
    other = fleet.folder / "other.png"
    other.write_bytes(png(colour=(10, 220, 30)))
    jobs = [submit(fleet, image=path, strength=0.5, seed=3) for path in (image, other, image)]
    sums = [fleet.wait(job)["images"][0]["sha256"] for job in jobs]
    assert sums[0] == sums[2] != sums[1]


def test_previews_are_heard_while_it_is_made(fleet):
    broker = fleet.broker()
    fleet.worker()
    with zmq.Context() as context:
        client = Client(context, broker.endpoint)
        client.submit(PROMPT, id="looked-at", steps=900, width=64, height=64, preview_every=5, watch=True)
        event = client.event("PREVIEW", "looked-at", 60)
        client.close()
    assert event is not None and event.preview.step % 5 == 0, "it says the step that it shows"
    picture = Image.open(io.BytesIO(event.preview.jpeg))
    assert picture.format == "JPEG" and picture.size == (event.preview.width, event.preview.height)


def tiny_decoder(fleet, *more):
    row = model_row(FIXTURES / "tiny-taesd").replace("kind = tiny", "\n".join(("kind = tiny", *more)))
    fleet.models.write_text(fleet.models.read_text() + row)


def test_a_picture_by_the_tiny_decoder(fleet):
    tiny_decoder(fleet, "family = sd1")
    broker = fleet.broker()
    fleet.worker()
    shown, = fleet.ask("models")["extra"]
    assert (shown["id"], shown["kind"], shown["family"]) == ("tiny-taesd", "tiny", "sd1"), shown
    words = ("submit", PROMPT, "--steps", "3", "--size", "64x64", "--seed", "3")
    jobs = [fleet.ask(*words, *more)["id"] for more in ((), ("--tiny-decoder",), ("--tiny-decoder",))]
    sums = [fleet.wait(job)["images"][0]["sha256"] for job in jobs]
    assert sums[0] != sums[1] == sums[2]
    with zmq.Context() as context:
        client = Client(context, broker.endpoint)
        client.submit(PROMPT, id="looked-at", steps=900, width=320, height=160, preview_every=5, preview_kind=pb.PREVIEW_TINY, watch=True)
        event = client.event("PREVIEW", "looked-at", 60)
        client.close()
    assert event is not None
    picture = Image.open(io.BytesIO(event.preview.jpeg))
    assert picture.format == "JPEG" and picture.size == (event.preview.width, event.preview.height) == (256, 128)


def test_a_tiny_decoder_that_is_not_there(fleet):
    tiny_decoder(fleet, "family = sdxl")
    fleet.broker()
    fleet.worker()
    for words, field in ((["--tiny-decoder"], "tiny_decoder"), (["--preview-every", 5, "--preview-tiny"], "preview_kind")):
        done = fleet.client("submit", PROMPT, *words)
        assert done.returncode == 64 and f"no worker has a tiny decoder for model tiny-eps (unknown_model; field {field}; there are: none)" in done.stderr, done.stderr
