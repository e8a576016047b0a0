#!/usr/bin/env python3
"""samplers.py - writes what is made from the rows of proto/samplers.def, and holds that they are the only place.

usage: samplers.py [--check]

Written are the two enums of proto/darkroom.proto and the tables of docs/samplers.md, each between two marks. A new sampler is a
row and its fill function: no other source may know one by its name or its number. `make docs` writes, check.py checks.
"""
import pathlib
import re
import sys

TABLE = pathlib.Path("proto/samplers.def")
CONTRACT, PAGE = pathlib.Path("proto/darkroom.proto"), pathlib.Path("docs/samplers.md")
CONTRACT_MARKS = ("// samplers.def: these two enums are written from its rows by `make docs`\n", "// samplers.def: end\n")
PAGE_MARKS = ("<!-- rows of proto/samplers.def, written by `make docs` -->\n", "<!-- end -->\n")
# The default is named once, beside the rows' names.
STANDARD = re.compile(r"#define JOB_SAMPLER_STANDARD ")
# They draw a picture of their own, by a sampler of their choice.
USERS = {"worker/engine/self_test_parts.c", "worker/engine/warmup.c"}
NOISE = {"NO_NOISE": "none", "FRESH_NOISE": "each step", "ETA_NOISE": "with eta"}
SCHEDULES = {"ANY_SCHEDULE": "any", "MODEL_SCHEDULE": "the model's", "OWN_TIMESTEPS": "its own timesteps"}


def rows(macro):
    """The rows of one macro: a list of their words, texts without quotes."""
    found = re.findall(rf"^{macro}\((.*)\)$", TABLE.read_text(), flags=re.M)
    return [[text if text or not word else word for text, word in
             re.findall(r'\s*(?:"([^"]*)"|([^",]+))\s*(?:,|$)', row)] for row in found]


def enums():
    text = "enum Sampler {\n"
    text += "".join(f"  SAMPLER_{row[0]} = {row[1]};\n" for row in rows("SAMPLER"))
    text += "}\n\nenum NoiseSchedule {\n"
    lines = [(f"  NOISE_SCHEDULE_{row[0]} = {row[1]};", row[5]) for row in rows("NOISE_SCHEDULE")]
    width = max(len(line) for line, _ in lines)
    return text + "".join(f"{line.ljust(width)}  // {source}\n" for line, source in lines) + "}\n"


def tables():
    text = "| `--sampler` | good for | steps | looks a step | fresh noise | schedules | agrees with |\n|---|---|---|---|---|---|---|\n"
    for _, _, name, _, schedules, eta, noise, looks, steps, purpose, source in rows("SAMPLER"):
        kinds = SCHEDULES[schedules] + ("; takes eta" if eta == "USES_ETA" else "")
        text += f"| `{name}` | {purpose} | {steps} | {looks} | {NOISE[noise]} | {kinds} | {source} |\n"
    text += "\n| behind a sampler's name | noise levels |\n|---|---|\n"
    for _, _, _, _, behind, source in rows("NOISE_SCHEDULE"):
        text += f"| {f'`{behind}`' if behind else 'nothing'} | {source} |\n"
    return text


def between(path, marks, text):
    """The file with this text between its marks."""
    head, rest = path.read_text().split(marks[0])
    return head + marks[0] + text + marks[1] + rest.split(marks[1])[1]


def written():
    return {CONTRACT: between(CONTRACT, CONTRACT_MARKS, enums()), PAGE: between(PAGE, PAGE_MARKS, tables())}


def other_places(sources):
    """Lines of the product that know a sampler by its name or its number."""
    names = "|".join(row[2] for row in rows("SAMPLER"))
    known = "|".join(row[0] for row in rows("SAMPLER"))
    pattern = re.compile(rf'"({names})(?:_[a-z]+)?"|(?<!NOISE_SCHEDULE_)\bDARKROOM__V1__SAMPLER__SAMPLER_({known})\b')
    for path in sources:
        if str(path) in USERS:
            continue
        code = re.sub(r"/\*.*?\*/", lambda comment: re.sub(r"[^\n]", " ", comment.group(0)), path.read_text(), flags=re.S)
        for number, line in enumerate(code.split("\n"), 1):
            if pattern.search(line) and not STANDARD.match(line):
                yield f"{path}:{number}: knows a sampler that only proto/samplers.def should name"


def sampler_findings(sources):
    for path, text in written().items():
        if path.read_text() != text:
            yield f"{path}:1: is not what proto/samplers.def says: run `make docs`"
    yield from other_places(sources)


def main():
    if "--check" in sys.argv:
        sys.exit("\n".join(sampler_findings([])) or None)
    for path, text in written().items():
        path.write_text(text)


if __name__ == "__main__":
    main()
