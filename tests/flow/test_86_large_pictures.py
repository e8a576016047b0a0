"""A picture too large to be decoded at once in the memory that there is: decoded in turns of tiles, with the same bytes."""
import re


def peak_mib(worker):
    """What its engine has held at most so far."""
    status = open(f"/proc/{worker.engines()[-1]}/status").read()
    return int(re.search(r"VmHWM:\s+(\d+)", status).group(1)) // 1024


def test_a_large_picture_is_the_same_in_less_memory(fleet):
    fleet.broker()
    pictures, peaks = [], []
    for name, settings in (("roomy", {}), ("narrow", {"memory": 220})):
        worker = fleet.worker(name=name, **settings)
        large = fleet.submit(steps=1, size="896x896", seed=5)
        small = [fleet.submit(steps=4, seed=seed) for seed in range(3)]
        records = [fleet.wait(job) for job in [large, *small]]
        assert {record["worker"] for record in records} == {name}
        pictures.append([fleet.picture(record["images"][0]) for record in records])
        peaks.append(peak_mib(worker))
        assert worker.stop() == 0
    print(f"peak of the engine: {peaks[0]} MiB, in turns {peaks[1]} MiB")
    assert pictures[0] == pictures[1]
    assert peaks[1] < peaks[0]
