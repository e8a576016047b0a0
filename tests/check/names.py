#!/usr/bin/env python3
"""names.py BUILD: global names that nobody outside their own file uses, found by the symbol tables.

A name of a room that no other object needs, of a program, a test or a fuzz target, should be static, or is built for nobody.
One that only tests need is a door for them; such doors are listed here, so that a function which loses its last user in the
product shows. The list is exact: a door that the product uses, or that is gone, is taken off it. `make names` calls it, when
everything is built. Prints one line a finding and exits 1 when there is any.
"""
import collections
import pathlib
import re
import subprocess
import sys

# file: names that only tests need, because ...
DOORS = {
    "base/clock.c": "clock_hold clock_let_go clock_move",  # time stands still in tests
    "base/progress.c": "progress_counted",  # engines are heard of through the shared counter itself
    "cli/complaint.c": "exit_code_of",
    "kernels/cpu/library.c": "library_cut_at",  # bands of a small image
    "kernels/device.c": "device_calm_threads device_memory_peak device_threads",  # what benches report; tests without a main of ours
    "kernels/random.c": "random_bits",  # against torch, value by value
    "monitoring/metrics.c": "metric_value",
    "proto/job_samplers.c": "job_sampler_offered",
    "proto/wire.c": "wire_header_decode wire_header_encode",  # vectors and the fuzzer, without a socket
    "s3/sigv4.c": "sigv4_canonical sigv4_query",  # published vectors have the steps
    "worker/children.c": "child_look",
    "worker/engine/admission.c": "engine_free_slots",
    "store/store.c": "store_scheme",
    "worker/engine/handover.c": "grid_resize",  # against torch's, number by number
    "worker/engine/record.c": "sample_state_bytes sample_state_write",  # nothing stores a state yet; that it ends alike is proved
    "worker/model/adaptation.c": "adaptation_changes adaptation_digest adaptation_open_as",  # both ways of one adaptation are compared
    "worker/model/adapter_names.c": "adapter_names_of",
    "worker/model/control.c": "control_bytes control_skips",
    "worker/model/embeddings.c": "embeddings_digest",
    "worker/model/families.c": "families",  # fake models have rows of it
    "worker/model/modules.c": "modules_find",
    "worker/model/shards.c": "shards_parse",  # the fuzzer
    "worker/model/tiny_vae.c": "tiny_vae_bytes",
    "worker/model/tokenizer.c": "tokenizer_encode",  # ids against both of transformers' classes
    "worker/model/weights.c": "weights_check weights_name weights_open",  # the header alone, for vectors and the fuzzer
    "worker/placement.c": "placement_free_slots",
}
DEFINED = "TDBRCV"
# Names of the C library that we put our own in place of: a library calls them.
INTERPOSED = {"main", "accept4"}


def sources(build):
    """(source, object) of everything built here: the rooms, the programs, the tests."""
    for path in sorted(build.rglob("*.o")):
        source = path.relative_to(build).with_suffix(".c")
        if source.exists():
            yield str(source), path


def symbols(path):
    for line in subprocess.run(["nm", path], check=True, capture_output=True, text=True).stdout.splitlines():
        yield line.split()[-2:]


def read(build):
    """{name: file that defines it}, {name: files that need it}"""
    home, users = {}, collections.defaultdict(set)
    for source, path in sources(build):
        for kind, name in symbols(path):
            if kind == "U":
                users[name].add(source)
            elif kind in DEFINED and not source.startswith("tests/"):
                home[name] = source
    for fuzz in pathlib.Path("tests/fuzz").glob("*.c"):  # built by another compiler
        for name in re.findall(r"\w+", fuzz.read_text()):
            users[name].add(str(fuzz))
    return home, users


def findings(home, users):
    for name, source in sorted(home.items(), key=lambda pair: (pair[1], pair[0])):
        elsewhere = users[name] - {source}
        door = name in DOORS.get(source, "").split()
        if name in INTERPOSED:
            continue
        if not elsewhere:
            yield f"{source}: nobody else uses {name}: static, or out"
        elif all(user.startswith("tests/") for user in elsewhere) != door:
            yield (f"{source}: {name} is no door for tests any more: take it off the list of tests/check/names.py" if door else
                   f"{source}: only tests use {name}: {', '.join(sorted(elsewhere))}")
    for source, names in DOORS.items():
        for name in names.split():
            if home.get(name) != source:
                yield f"{source}: there is no {name} any more: take it off the list of tests/check/names.py"


def main():
    found = list(findings(*read(pathlib.Path(sys.argv[1]))))
    print("\n".join(found) if found else f"names: none idle")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
