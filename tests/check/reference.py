#!/usr/bin/env python3
"""reference.py - writes docs/reference.md from the programs' own --help, or checks that it is what they say.

usage: reference.py BUILD [--check]
"""
import pathlib
import subprocess
import sys

TARGET = pathlib.Path("docs/reference.md")
HEAD = """# Reference

What the programs say of themselves (`--help`); written by `make docs`, and `make check` fails when it is out of date.
"""


def help_of(build, *words):
    command = [f"{build}/{words[0]}", *words[1:], "--help"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return f"\n## {' '.join(words)}\n```\n{text.rstrip()}\n```\n"


def verbs(build):
    text = subprocess.run([f"{build}/darkroom", "--help"], check=True, capture_output=True, text=True)
    lines = text.stdout.split("Commands")[1].split("\n\n")[0].split("\n")[1:]
    return [line.split()[0] for line in lines if line.strip()]


def main():
    build = sys.argv[1]
    text = HEAD + help_of(build, "darkroom-broker") + help_of(build, "darkroom-worker")
    text += help_of(build, "darkroom") + "".join(help_of(build, "darkroom", verb) for verb in verbs(build))
    if "--check" not in sys.argv:
        TARGET.parent.mkdir(exist_ok=True)
        TARGET.write_text(text)
    elif not TARGET.exists() or TARGET.read_text() != text:
        sys.exit("docs/reference.md is out of date: run `make docs`")


if __name__ == "__main__":
    main()
