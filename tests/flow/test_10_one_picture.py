"""The main path: one prompt in, one picture out."""
import hashlib
import io
import json

from PIL import Image

from fleet import PROMPT


def test_one_prompt_in_one_picture_out(fleet):
    fleet.broker()
    fleet.worker()
    target = fleet.folder / "out.png"
    done = fleet.client("generate", PROMPT, "--steps", 3, "--seed", 7, "-o", target)
    assert done.returncode == 0, done.stderr
    picture = Image.open(target)
    assert picture.format == "PNG" and picture.mode == "RGB"
    assert picture.size[0] == picture.size[1] and picture.size[0] % 8 == 0


def test_the_record_names_the_stored_picture(fleet):
    fleet.broker()
    fleet.worker()
    job = fleet.submit(steps=2, seed=5, size="64x32")
    record = fleet.wait(job)
    image, = record["images"]
    content = fleet.picture(image)
    assert hashlib.sha256(content).hexdigest() == image["sha256"]
    assert len(content) == image["bytes"]
    assert image["url"].endswith(f"/default/{job}/{record['fence']}/0.png")
    assert (image["width"], image["height"], image["seed"]) == (64, 32, 5)
    assert Image.open(io.BytesIO(content)).size == (64, 32)
    timings = record["timings"]
    assert timings["denoise_steps"] == 2 and timings["denoise_us"] > 0 and timings["store_us"] > 0


def test_the_picture_says_how_it_was_made(fleet):
    fleet.broker()
    fleet.worker(name="maker")
    prompt = "un château sous la lune \u2603"
    job = fleet.submit(prompt, steps=2, seed=11, negative="rain", sampler="euler_karras", guidance=3.5)
    record = fleet.wait(job)
    text = Image.open(io.BytesIO(fleet.picture(record["images"][0]))).text
    lines = text["parameters"].split("\n")
    assert lines[0] == prompt and lines[1] == "Negative prompt: rain"
    assert lines[2].startswith("Steps: 2, Sampler: Euler, Schedule type: Karras, CFG scale: 3.5, Seed: 11, Size: 64x64, "
                               "Model hash: ")
    inside = json.loads(text["darkroom"])
    assert inside["parameters"]["prompt"] == prompt and inside["parameters"]["sampler"] == "euler_karras"
    assert job not in text["darkroom"] + text["parameters"]
    assert not {"id", "tenant", "metadata", "priority", "images"} & set(inside["parameters"]), "it tells nothing of its owner"
    sidecar = json.loads(fleet.picture({"url": record["images"][0]["url"].replace(".png", ".json")}))
    assert sidecar["job"]["id"] == job and sidecar["worker"] == "maker" and sidecar["fence"] == record["fence"]
    assert sidecar["image"]["sha256"] == record["images"][0]["sha256"]
    assert len(sidecar["model_sha256"]) == 64


def test_the_same_seed_gives_the_same_bytes(fleet):
    fleet.broker()
    fleet.worker()
    jobs = [fleet.submit(steps=3, seed=seed) for seed in (42, 42, 43)]
    first, again, other = (fleet.picture(fleet.wait(job)["images"][0]) for job in jobs)
    assert first == again
    assert first != other


def test_image_k_of_a_job_is_the_image_of_seed_plus_k(fleet):
    fleet.broker()
    fleet.worker()
    many = fleet.wait(fleet.submit(steps=2, seed=100, count=3))
    assert [image["index"] for image in many["images"]] == [0, 1, 2]
    for image in many["images"]:
        alone = fleet.wait(fleet.submit(steps=2, seed=100 + image["index"]))
        assert fleet.picture(alone["images"][0]) == fleet.picture(image)


def test_nothing_is_left_in_the_spool(fleet):
    fleet.broker()
    worker = fleet.worker(name="tidy")
    fleet.wait(fleet.submit(steps=2, seed=1))
    worker.wait_for("event=job_completed")
    assert worker.stop() == 0
    assert {path.name for path in (fleet.folder / "spool-tidy").iterdir()} == \
        {"identity", "lock", "self-test", "self-test.lock"}
