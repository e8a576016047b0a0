"""A worker that dies while it fetches a job's files: nothing was started, so nothing was lost."""
import io

from PIL import Image

from fleet import until
from places import Place


def test_a_worker_killed_while_fetching_costs_no_attempt(fleet):
    fleet.broker()
    bucket = Place()
    try:
        content = io.BytesIO()
        Image.new("RGB", (16, 16)).save(content, "PNG")
        bucket.put("/inputs/in.png", content.getvalue())
        bucket.trouble["/inputs/in.png"] = 300
        settings = {"environment": bucket.environment(), "fetch_places": "s3://inputs"}
        first = fleet.worker(name="first", **settings)
        job = fleet.submit(steps=2, size="64x64", image="s3://inputs/in.png")
        bucket.wait_for("/inputs/in.png")
        first.kill()
        del bucket.trouble["/inputs/in.png"]
        second = fleet.worker(name="second", **settings)
        until(lambda: f"inputs_fetched job={job}" in second.log(), 60, "the second worker's fetch")
        record = fleet.get(job)
        assert record.get("losses", 0) == 0 and record.get("crashes", 0) == 0, record
    finally:
        bucket.stop()
