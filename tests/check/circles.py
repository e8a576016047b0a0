#!/usr/bin/env python3
"""circles.py BUILD: files of a room that need each other, found by the symbols of their objects.

A header can hide who calls whom; the symbol tables cannot. In each library of BUILD an object depends on the objects that
define what it leaves undefined. Objects that reach each other in a circle cannot be read, tested or replaced one at a
time. The circles that stand are listed below, each by all its files; the list only shrinks: one that is gone, or has
become smaller, must be mended here too. Prints one line a finding and exits 1 when there is any.
"""
import pathlib
import subprocess
import sys

# room: the files of each circle that is left
STANDING = {
    "engine": [{"engine", "known_answer", "turn"}],
    "kernels": [],
}
DEFINED, UNDEFINED = "TDBRCSVWGi", "U"


def symbols(archive):
    """{object: (names it defines, names it needs)}"""
    listing = subprocess.run(["nm", "-A", "-P", str(archive)], check=True, capture_output=True, text=True).stdout
    objects = {}
    for line in listing.splitlines():
        where, name, kind = line.split()[:3]
        member = where[where.index("[") + 1:where.index("]")].removesuffix(".o")
        defined, needed = objects.setdefault(member, (set(), set()))
        if kind in DEFINED:
            defined.add(name)
        elif kind in UNDEFINED:
            needed.add(name)
    return objects


def uses(objects):
    """{object: the other objects of the room it needs}"""
    home = {name: member for member, (defined, _) in objects.items() for name in defined}
    return {member: {home[name] for name in needed if name in home} - {member}
            for member, (_, needed) in objects.items()}


def reach(graph, start):
    seen, todo = set(), [start]
    while todo:
        for other in graph[todo.pop()]:
            if other not in seen:
                seen.add(other)
                todo.append(other)
    return seen


def circles(graph):
    """The groups of objects that all reach each other."""
    reached = {member: reach(graph, member) for member in graph}
    groups = []
    for member in sorted(graph):
        group = {other for other in reached[member] if member in reached[other]} | {member}
        if len(group) > 1 and group not in groups:
            groups.append(group)
    return groups


def compare(room, found, standing):
    for group in found:
        if group not in standing:
            yield f"{room}: a circle between files: {', '.join(sorted(group))}"
    for group in standing:
        if group not in found:
            yield f"{room}: {', '.join(sorted(group))} is no circle any more: take it off the list of tests/check/circles.py"


def main(build):
    findings, rooms = [], sorted(pathlib.Path(build).glob("lib*.a"))
    for archive in rooms:
        room = archive.stem.removeprefix("lib")
        findings += compare(room, circles(uses(symbols(archive))), STANDING.get(room, []))
    for line in findings:
        print(line)
    print(f"circles: {len(rooms)} rooms, {len(findings)} findings", file=sys.stderr)
    return 1 if findings or not rooms else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "build"))
