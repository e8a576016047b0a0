"""Several models in one worker, each where the table pins it."""
import hashlib

import fleet as fleets

MODELS_MAX = 64  # base/limits.h


def two_models(fleet, *more):
    rows = [fleets.model_row(fleets.tiny_model(name)) for name in ("tiny-eps", "tiny-v")]
    fleet.models.write_text("".join(row + line for row, line in zip(rows, more)))


def test_two_models_on_one_device(fleet):
    two_models(fleet, "default = yes\n", "")
    fleet.broker()
    fleet.worker()
    answer = fleet.ask("models")
    assert {model["id"] for model in answer["model"]} == {"tiny-eps", "tiny-v"}
    assert answer["default_model"] == "tiny-eps"
    pictures = [fleet.picture(fleet.wait(fleet.submit(steps=3, seed=1, model=model))["images"][0])
                for model in ("tiny-eps", "tiny-v")]
    assert pictures[0] != pictures[1]
    assert fleet.picture(fleet.wait(fleet.submit(steps=3, seed=1))["images"][0]) == pictures[0]


def under_way(fleet):
    return [job for job in fleet.ask("list", "--limit", "100")["job"] if job["state"] in ("assigned", "running")]


def test_credits_are_shared_by_models_of_one_device(fleet):
    two_models(fleet, "default = yes\n", "")
    fleet.broker()
    fleet.worker(slots=2, name="first").stop()  # so that the fleet knows the models
    jobs = [fleet.submit(steps=900, seed=seed, size="256x256", model=("tiny-eps", "tiny-v")[seed % 2])
            for seed in range(8)]
    fleet.worker(slots=2, name="second")
    fleets.until(lambda: sum(job["step"] > 3 for job in under_way(fleet)) >= 2, what="two jobs on their way")
    # one whose steps are done has left its slot while its picture is made and stored
    held = [job for job in under_way(fleet) if job["step"] < job["steps"]]
    assert len(held) <= 2, "two slots are two jobs, whatever the number of models"
    for job in jobs:
        fleet.client("cancel", job)


def test_a_worker_with_as_many_models_as_a_table_may_have(fleet):
    """The table, HELLO and CLAIM have one limit: all of them are offered and get work."""
    row = fleets.model_row(fleets.tiny_model("tiny-eps"))
    names = ["tiny-eps"] + [f"other-{number}" for number in range(MODELS_MAX - 1)]
    fleet.models.write_text("".join(row.replace("[tiny-eps]", f"[{name}]") for name in names))
    fleet.broker()
    fleet.worker(memory=4000)
    assert {model["id"] for model in fleet.ask("models")["model"]} == set(names)
    for name in (names[0], names[20], names[-1]):
        assert fleet.wait(fleet.submit(steps=2, seed=1, model=name))["state"] == "succeeded"


def test_a_model_is_where_the_table_pins_it(fleet):
    other = "ref" if fleet.device == "cpu" else "cpu"
    two_models(fleet, f"devices = {fleet.device}\ndefault = yes\n", f"devices = {other}\n")
    fleet.broker()
    worker = fleet.worker()
    assert [model["id"] for model in fleet.ask("models")["model"]] == ["tiny-eps"]
    refused = fleet.client("submit", "a lake", "--model", "tiny-v")
    assert refused.returncode == 64 and "tiny-v" in refused.stderr
    assert "models=1" in worker.log()


def test_a_picture_too_large_for_the_worker_is_refused_at_once(fleet):
    fleet.broker()
    fleet.worker(max_side=64)
    refused = fleet.client("submit", "a lake", "--size", "128x64")
    assert refused.returncode == 64 and "64" in refused.stderr
    fleet.wait(fleet.submit(steps=2, seed=1, size="64x64"))


def test_what_a_worker_has_beside_models_is_shown_and_asked_for(fleet):
    lora = next(fleets.FIXTURES.joinpath("lora").rglob("*.safetensors"))
    digest = hashlib.sha256(lora.read_bytes()).hexdigest()
    with fleet.models.open("a") as table:
        table.write(f"\n[ink]\nkind = lora\npath = {lora}\nsha256 {lora.name} = {digest}\n")
    fleet.broker()
    fleet.worker()
    shown, = fleet.ask("models")["extra"]
    assert (shown["kind"], shown["id"], shown["workers"]) == ("adapter", "ink", 1)
    assert "ink" in fleet.client("models").stdout
    done = fleet.client("submit", "a lake", "--lora", "moss:0.5")
    assert done.returncode != 0 and "moss" in done.stderr, done.stderr
