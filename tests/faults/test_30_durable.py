"""What a disk does to pictures: by the system calls of a worker each is on the disk before it is called so, and a disk that is
full, read-only or broken for a while costs nothing. A preloaded library writes the calls down and lets them fail (ledger.c):
it needs no right to trace, which containers seldom give."""
import errno
import hashlib
import os
import re
import subprocess

import fleet as fleets
import pytest
from fleet import until

LIBRARY = fleets.BUILD / "tests" / "faults" / "ledger.so"
SOURCE = fleets.ROOT / "tests" / "faults" / "ledger.c"


@pytest.fixture
def start(fleet):
    if "asan" in fleets.BUILD.name or "tsan" in fleets.BUILD.name:
        pytest.skip("a sanitizer wants to be loaded first")
    verb = re.search(r"VERB\(COMPLETE, (\d+)", (fleets.ROOT / "proto" / "verbs.def").read_text()).group(1)
    LIBRARY.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-D_GNU_SOURCE", f"-DLEDGER_COMPLETE_VERB={verb}", "-o", LIBRARY, SOURCE],
                   check=True)
    fleet.ledger, fleet.faults = fleet.folder / "ledger", fleet.folder / "faults"
    fleet.faults.write_text("")
    fleet.broker()
    return lambda **settings: fleet.worker(environment={"LD_PRELOAD": str(LIBRARY), "LEDGER": str(fleet.ledger),
                                                        "LEDGER_FAULT": str(fleet.faults)}, **settings)


def let_fail(fleet, *rows):
    """rows: (call, errno, part of a path)."""
    fresh = fleet.folder / "faults.new"
    fresh.write_text("".join(f"{call} {error} {part}\n" for call, error, part in rows))
    fresh.rename(fleet.faults)


def read(fleet):
    return [line.split() for line in fleet.ledger.read_text().splitlines()]


def indices(calls, *wanted):
    return [at for at, call in enumerate(calls) if call[:len(wanted)] == list(wanted)]


def assert_durable(calls, final, before):
    """The file came to its place whole and synced, its folder was synced after that, all before that call; gives when it was."""
    at = [at for at, call in enumerate(calls) if call[0] == "rename" and call[2] == final][0]
    temporary = calls[at][1]
    wrote, synced = indices(calls, "write", temporary), indices(calls, "fsync", temporary)
    assert wrote and synced and wrote[-1] < synced[-1] < at, f"{final}: renamed before it was synced"
    folder = [sync for sync in indices(calls, "fsync", os.path.dirname(final)) if sync > at]
    assert folder and folder[0] < before, f"{final}: its folder was not synced before it was relied on"
    return folder[0]


def made_durably(calls, folder, top, before):
    """Each folder above a file was synced into the one above it."""
    while folder != top:
        made = indices(calls, "mkdir", folder)
        if made:
            assert any(made[-1] < sync < before for sync in indices(calls, "fsync", os.path.dirname(folder))), folder
        folder = os.path.dirname(folder)


def test_a_picture_is_on_the_disk_before_it_is_called_so(fleet, start):
    worker = start()
    record = fleet.wait(fleet.submit(steps=2, seed=1, count=2))
    worker.wait_for("event=job_completed")
    calls = read(fleet)
    spool = f"{fleet.folder}/spool-{worker.name}"
    attempt = f"{spool}/{record['id']}.{record['fence']}"
    seal, = [at for at, call in enumerate(calls) if call[0] == "rename" and call[2] == f"{attempt}/complete"]
    complete = indices(calls, "complete")[0]
    for index in range(2):
        stored = record["images"][index]["url"].removeprefix("file://")
        assert_durable(calls, f"{attempt}/assign", seal)
        spooled = assert_durable(calls, f"{attempt}/{index}.png", seal)
        begun = [at for at, call in enumerate(calls) if call[0] == "write" and call[1].startswith(f"{stored}.")][0]
        assert spooled < begun, "it was sent to the store before the spool had it"
        for final in (stored, stored.replace(".png", ".json")):
            assert_durable(calls, final, complete)
            made_durably(calls, os.path.dirname(final), str(fleet.folder), complete)
    made_durably(calls, attempt, spool, seal)
    assert_durable(calls, f"{attempt}/complete", len(calls))


# what a disk may say, and what people must be able to read
DISK = {
    "full": ("write", errno.ENOSPC, "No space left on device"),
    "over quota": ("write", errno.EDQUOT, "Disk quota exceeded"),
    "read-only": ("mkdir", errno.EROFS, "Read-only file system"),
    "not ours any more": ("mkdir", errno.EACCES, "Permission denied"),
    "failing": ("fsync", errno.EIO, "Input/output error"),
    "failing, its folders first": ("fsync-folder", errno.EIO, "cannot sync"),
    "gone": ("rename", errno.ESTALE, "Stale file handle"),
}


def test_a_disk_that_refuses_the_store_is_waited_out(fleet, start):
    worker = start()
    for number, (what, (call, error, words)) in enumerate(DISK.items()):
        let_fail(fleet, (call, error, f"{fleet.pictures}/"))
        job = fleet.submit(steps=1, seed=number)
        until(lambda: words in worker.admin("/readyz")[1], 60, f"readyz with {words!r} ({what}): {worker.admin('/readyz')}")
        until(lambda: words in " ".join(fleet.ask("explain", job)["reason"]), 30, f"an explanation ({what})")
        let_fail(fleet)
        record = fleet.wait(job)
        assert (record["fails"], record["crashes"], record["handoffs"]) == (0, 0, 0), what
        assert hashlib.sha256(fleet.picture(record["images"][0])).hexdigest() == record["images"][0]["sha256"], what
        assert worker.metric("images_generated_total") == number + 1, f"{what}: rendered twice"
        until(lambda: worker.admin("/readyz")[0] == 200, 30, f"a worker that is well ({what})")


def test_a_full_spool_keeps_pictures_in_memory_and_takes_no_more(fleet, start):
    worker = start(slots=1)
    spool = f"spool-{worker.name}/"
    let_fail(fleet, ("write", errno.ENOSPC, spool))
    for seed in range(2):
        fleet.wait(fleet.submit(steps=1, seed=seed))  # from memory, one after the other
    let_fail(fleet, ("write", errno.ENOSPC, spool), ("write", errno.EIO, f"{fleet.pictures}/"))
    jobs = [fleet.submit(steps=1, seed=seed) for seed in range(4)]
    words = "the spool takes no pictures: cannot write"
    until(lambda: words in worker.admin("/readyz")[1], 30, "a worker that knows its spool")
    until(lambda: worker.metric("store_away") == 1, 30, "a worker that misses its store")
    until(lambda: sum(fleet.state(job) == "queued" for job in jobs) >= 2, 10, "jobs that are left to others")
    until(lambda: "No space left on device" in " ".join(fleet.ask("explain", jobs[0])["reason"]), 30, "an explanation")
    let_fail(fleet, ("write", errno.EIO, f"{fleet.pictures}/"))
    until(lambda: "the store is away" in worker.admin("/readyz")[1], 60, "a spool that has room again")
    let_fail(fleet)
    for job in jobs:
        record = fleet.wait(job)
        assert (record["fails"], record["crashes"], record["handoffs"]) == (0, 0, 0)
    assert worker.metric("images_generated_total") == 6


def test_folders_that_cannot_be_synced_are_used_all_the_same(fleet, start):
    """Some network and FUSE file systems cannot; their files can."""
    let_fail(fleet, ("fsync-folder", errno.EINVAL, f"{fleet.folder}"))
    worker = start()
    assert fleet.wait(fleet.submit(steps=1, seed=1))["fails"] == 0
    assert worker.log().count("event=folder_not_synced") == 1
    assert worker.admin("/readyz")[0] == 200
