"""Several models in one worker, each where the table pins it."""
import fleet as fleets


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


def test_credits_are_shared_by_models_of_one_device(fleet):
    two_models(fleet, "default = yes\n", "")
    fleet.broker()
    fleet.worker(slots=2)
    jobs = [fleet.submit(steps=6, seed=seed, model=("tiny-eps", "tiny-v")[seed % 2]) for seed in range(10)]
    for job in jobs:
        record = fleet.wait(job)
        assert record["fails"] == record["crashes"] == 0


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
