#!/usr/bin/env python3
"""circles.py ROOM OBJECT... [-- ROOM OBJECT...]...: files of a room that need each other, found by their symbols.

A header can hide who calls whom; the symbol tables cannot. An object depends on the objects of its room that define what
it leaves undefined. Objects that reach each other in a circle cannot be read, tested or replaced one at a time. The
circles that stand are listed below, each by all its files; the list only shrinks: one that is gone, or has become
smaller, must be mended here too. Prints one line a finding and exits 1 when there is any. `make circles` calls it.
"""
import itertools
import pathlib
import subprocess
import sys

# room: the files of each circle that is left
STANDING = {}
DEFINED, UNDEFINED = "TDBRCSVWGi", "U"


def symbols(paths):
    """{object: (names it defines, names it needs)}; an object is named by its path without build folder and ending."""
    objects = {}
    for path in paths:
        listing = subprocess.run(["nm", "-P", path], check=True, capture_output=True, text=True).stdout
        defined, needed = objects.setdefault(named(path), (set(), set()))
        for line in listing.splitlines():
            name, kind = line.split()[:2]
            if kind in DEFINED:
                defined.add(name)
            elif kind in UNDEFINED:
                needed.add(name)
    return objects


def named(path):
    parts = pathlib.Path(path).with_suffix("").parts
    return "/".join(parts[parts.index("build") + 1:] if "build" in parts else parts)


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


def main(arguments):
    rooms = [list(group) for dashes, group in itertools.groupby(arguments, lambda word: word == "--") if not dashes]
    findings = []
    for room, *paths in rooms:
        findings += compare(room, circles(uses(symbols(paths))), STANDING.get(room, []))
    for line in findings:
        print(line)
    print(f"circles: {len(rooms)} rooms, {len(findings)} findings", file=sys.stderr)
    return 1 if findings or not rooms else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
