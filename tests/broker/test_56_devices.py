"""What workers say of their devices: kept, shown, bounded."""
import pytest
from house import Refused, Worker, pb


def devices(*states, **fields):
    """A worker's devices in these states; fields of the last."""
    rows = [pb.DeviceInfo(name=f"cuda:{i}", state=state, model="NVIDIA H100 80GB HBM3", uuid=f"GPU-{i:08d}", driver="580.1",
                          capability=90, memory_total=80 << 30, element="f16", determinism="strict")
            for i, state in enumerate(states)]
    rows[-1].MergeFrom(pb.DeviceInfo(**fields))
    return pb.Devices(device=rows)


def shown(client):
    """The devices of the only worker, as STATUS lists them."""
    return list(client.ask("STATUS").worker[0].device_info)


def test_status_shows_devices_as_they_were_told_last(worker, client):
    assert shown(client) == [], "none has been told of"
    told = devices("ready", "loading")
    worker.beat(devices=told)
    assert shown(client) == list(told.device)
    worker.beat()
    assert shown(client) == list(told.device), "a beat that says nothing of them changes nothing"
    told = devices("ready", "refused", reason="not the sha256 of models.conf")
    worker.beat(devices=told)
    assert shown(client)[1].reason == "not the sha256 of models.conf"
    worker.hello()
    assert shown(client) == [], "a new generation tells of its own"
    worker.beat(devices=told)
    worker.bye()
    assert client.ask("STATUS").worker[0].state == "gone" and shown(client) == []


def test_explain_tells_of_a_device_that_takes_no_jobs(worker, client):
    job = client.submit().id
    words = "1 of them has a device that takes no jobs; worker w1 has cordoned cuda:1: Xid 79: it has fallen off the bus"
    worker.beat(devices=devices("ready", "cordoned", reason="Xid 79: it has fallen off the bus"))
    assert words in client.explain(job)
    worker.beat(devices=devices("ready", "loading"))
    assert not any("cordoned" in line for line in client.explain(job))


@pytest.mark.parametrize("wrong", [
    pb.Devices(), devices(*["ready"] * 17), devices("ready", reason="x" * 257), devices("ready", runtime="x" * 257),
    pb.Devices(device=[pb.DeviceInfo(state="ready")]),
])
def test_what_is_too_much_is_refused(worker, client, wrong):
    with pytest.raises(Refused) as refused:
        worker.beat(devices=wrong)
    assert refused.value.error.field == "devices"
    assert shown(client) == []


def test_a_large_fleet_fits_in_an_answer(broker, client, peers):
    """Who is well goes without his devices before anybody goes without his row, and who is not keeps them longest."""
    full = devices(*["ready"] * 16)
    for number in range(150):
        worker = peers(Worker, broker, f"w{number}")
        worker.beat(devices=full)
    worker.beat(devices=devices(*["ready"] * 15, "cordoned", reason="x" * 200))
    status = client.ask("STATUS")
    assert status.workers == len(status.worker) == 150, "all rows are there"
    with_devices = [info for info in status.worker if info.device_info]
    assert 0 < len(with_devices) < 150
    sick = next(info for info in status.worker if info.id == worker.name)
    assert sick.device_info[15].state == "cordoned"
