#!/usr/bin/env python3
"""check.py - the rules of the house that a program can hold.

Sizes (file, function, header, parameters, line width), who may include whom, banned calls, `#if` above the devices, and
rows of a table that nobody uses. Prints one line a finding and exits 1 when there is any. Run from the project root.
"""
import pathlib
import re
import sys

from pages import check_pages
from results import result_findings
from samplers import sampler_findings

FILE_LINES, HEADER_LINES, FUNCTION_LINES, PARAMETERS, WIDTH = 500, 150, 70, 6, 100
ROOMS = ("base", "monitoring", "proto", "s3", "images", "store", "kernels", "broker", "cli", "worker")
SKIPPED = ("build", ".work", "fresh-out", ".git", ".train")

# Which rooms a source of this folder may include from; the longest matching folder decides.
MAY_INCLUDE = {
    "base": {"base"},
    "monitoring": {"base", "monitoring"},
    "proto": {"base", "monitoring", "proto"},
    "s3": {"base", "s3"},
    "images": {"base", "images"},
    "store": {"base", "monitoring", "s3", "store"},
    "broker": {"base", "monitoring", "proto", "broker"},
    "cli": {"base", "monitoring", "proto", "s3", "store", "cli"},
    "kernels": {"base", "kernels"},
    "worker/sampler": {"base", "worker/sampler"},
    "worker/model": {"base", "kernels", "worker/model", "worker/sampler"},
    "worker/engine": {"base", "monitoring", "proto", "images", "kernels", "worker/model", "worker/sampler",
                      "worker/engine"},
    "worker/media": {"base", "monitoring", "proto", "s3", "images", "store", "worker/media"},
    "worker": {"base", "monitoring", "proto", "s3", "images", "store", "worker", "worker/media", "worker/engine",
               "worker/model"},
}
# Tables that more than their own room is made from.
TABLES = {"proto/samplers.def": "worker/sampler"}
BANNED = {
    r"\b(strcpy|strcat|sprintf|vsprintf|gets|strtok|atoi|atol|atof|tmpnam|mktemp|rand|srand|system|alloca)\s*\(":
        "banned call",
    r"\bsetlocale\s*\(": "numbers are read and written as C does; banned call",
    r"\bTODO\b|\bFIXME\b|\bXXX\b": "unfinished business",
}
EXIT_FILES = re.compile(r"(^|/)main\.c$")
EXIT_CALL = re.compile(r"(?<![\w.>])(exit|_exit|abort)\s*\(")
FUNCTION_START = re.compile(r"^[A-Za-z_][\w \*]*?\b(\w+)\((.*)")

# Their parameters are a library's choice, not ours.
LIBRARY_CALLBACKS = {"serve"}  # MHD_AccessHandlerCallback

findings = []


def report(path, line, text):
    findings.append(f"{path}:{line}: {text}")


def sources(*endings):
    for room in ROOMS + ("tests",):
        for path in sorted(pathlib.Path(room).rglob("*")):
            if path.suffix in endings and not any(part in SKIPPED for part in path.parts):
                yield path


def strip_comments(text):
    """Blanks comments and string contents, keeping line numbers."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group(0))
    text = re.sub(r"/\*.*?\*/", blank, text, flags=re.S)
    text = re.sub(r"//[^\n]*", blank, text)
    return re.sub(r'"(\\.|[^"\\\n])*"', lambda m: '"' + " " * (len(m.group(0)) - 2) + '"', text)


def check_size(path, lines):
    limit = HEADER_LINES if path.suffix == ".h" else FILE_LINES
    if len(lines) > limit:
        report(path, len(lines), f"{len(lines)} lines, at most {limit}")
    for number, line in enumerate(lines, 1):
        if len(line) > WIDTH and path.suffix != ".def":
            report(path, number, f"{len(line)} columns wide, at most {WIDTH}")


def parameter_count(signature):
    inner = signature[signature.index("(") + 1:signature.rindex(")")].strip()
    if inner in ("", "void"):
        return 0
    depth, count = 0, 1
    for letter in inner:
        depth += letter == "("
        depth -= letter == ")"
        count += letter == "," and depth == 0
    return count


def check_functions(path, code):
    """A definition starts at column 0 and ends with a brace at column 0 (clang-format sees to that)."""
    lines, number = code.split("\n"), 0
    while number < len(lines):
        match = FUNCTION_START.match(lines[number])
        if not match or lines[number].startswith(("typedef", "return", "#", "struct {", "enum {")):
            number += 1
            continue
        start, signature = number, lines[number]
        while not re.search(r"[{;]", signature) and number + 1 < len(lines) and number - start < 12:
            number += 1
            signature += " " + lines[number]
        head = re.split(r"[{;]", signature)[0]
        if ")" not in head:
            number = start + 1
            continue
        count = parameter_count(head)
        if count > PARAMETERS and path.parts[0] != "tests" and match.group(1) not in LIBRARY_CALLBACKS:
            report(path, start + 1, f"{match.group(1)} takes {count} parameters, at most {PARAMETERS}")
        if "{" in signature and not re.search(r"\}\s*$", signature):
            while number < len(lines) and lines[number] != "}":
                number += 1
            if number - start + 1 > FUNCTION_LINES:
                report(path, start + 1,
                       f"{match.group(1)} has {number - start + 1} lines, at most {FUNCTION_LINES}")
        number += 1


def folder_rule(path):
    folder = str(path.parent)
    while folder not in (".", ""):
        if folder in MAY_INCLUDE:
            return folder, MAY_INCLUDE[folder]
        folder = str(pathlib.Path(folder).parent)
    return None, None


def included_room(name):
    folder = str(pathlib.Path(name).parent)
    while folder not in (".", "") and folder not in MAY_INCLUDE:
        folder = str(pathlib.Path(folder).parent)
    return folder


def check_includes(path, lines):
    rule, allowed = folder_rule(path)
    if rule is None:
        return
    for number, line in enumerate(lines, 1):
        match = re.match(r'#include "([^"]+)"', line)
        shared = match and TABLES.get(match.group(1)) == rule
        if match and not shared and included_room(match.group(1)) not in allowed:
            report(path, number, f"{rule} may not include {match.group(1)}")
        if re.match(r"\s*#\s*(if|ifdef|ifndef|elif)\b", line) and "worker/model" in str(path):
            if not re.match(r"#ifndef DARKROOM_\w+_H", line):
                report(path, number, "no #if above the devices")


def check_calls(path, code):
    for number, line in enumerate(code.split("\n"), 1):
        for pattern, why in BANNED.items():
            match = re.search(pattern, line)
            if match:
                report(path, number, f"{why}: {match.group(0).strip('( ')}")
        if EXIT_CALL.search(line) and not EXIT_FILES.search(str(path)) and path.parts[0] != "tests":
            report(path, number, "exit outside main.c")


def check_guard(path, text):
    guard = "DARKROOM_" + re.sub(r"[^A-Z0-9]", "_", str(path).upper())
    if path.parts[0] != "tests" and f"#ifndef {guard}\n#define {guard}\n" not in text:
        report(path, 1, f"include guard should be {guard}")


def all_code():
    return {path: path.read_text() for path in sources(".c", ".h", ".cu", ".cuh")}


def check_rows(name, rows, code, where):
    for row in rows:
        used = any(re.search(rf"\b{row}\b", text) for path, text in code.items()
                   if path.suffix == ".c" and path.parts[0] != "tests")
        if not used:
            report(where, 1, f"{name} row {row} is used by nobody")


def check_tables(code):
    metrics = pathlib.Path("monitoring/metrics.def")
    if metrics.exists():
        rows = re.findall(r"^METRIC\(\s*(\w+)", metrics.read_text(), re.M)
        check_rows("metric", [row if row.startswith("M_") else "M_" + row for row in rows], code, metrics)
        names = set(re.findall(r'"([a-z0-9_]+)", [A-Z_]+, (?:BROKER|WORKER|BOTH)', metrics.read_text()))
        for rules in sorted(pathlib.Path("monitoring").rglob("*.yaml")):
            for name in re.findall(r"\bdarkroom_([a-z0-9_]+)", rules.read_text()):
                if re.sub(r"_(bucket|sum|count)$", "", name) not in names:
                    report(rules, 1, f"no metric darkroom_{name} exists")
    for script in sorted(pathlib.Path("broker/lua").glob("*.lua")):
        head = script.read_text()[:1500]
        if script.stem.startswith("_"):
            continue
        for word in ("ARGV", "eturns"):
            if word not in head:
                report(script, 1, f"the opening comment does not state {word}")
        name = f"SCRIPT_{script.stem.upper()}"
        if not any(name in text for path, text in code.items() if path.parts[0] == "broker"):
            report(script, 1, f"{name} is called by nobody")


def check_readme():
    client = pathlib.Path("deploy/python_client.py").read_text().rstrip()
    if client not in pathlib.Path("README.md").read_text():
        report("README.md", 1, "the Python client is not deploy/python_client.py, which the tests run")


def check_folders():
    folders = {path.parent for path in sources(".c")}
    for folder in sorted(folders):
        if folder.parts[0] == "tests":
            continue
        readme = folder / "README.md"
        if not readme.exists() and folder.name not in ("ref", "cpu", "cuda", "lua"):
            report(folder, 0, "no README.md with the folder's rules")
        elif readme.exists() and len(readme.read_text().splitlines()) > 60 and folder.name != "proto":
            report(readme, 61, "a folder's rules take at most 60 lines")


def main():
    code = all_code()
    for path, text in code.items():
        lines = text.split("\n")
        stripped = strip_comments(text)
        check_size(path, lines[:-1] if lines and lines[-1] == "" else lines)
        check_functions(path, stripped)
        check_includes(path, lines)
        check_calls(path, stripped)
        if path.suffix == ".h":
            check_guard(path, text)
        if path.suffix == ".c" and path.parts[0] != "tests":
            for line, finding in result_findings(stripped):
                report(path, line, finding)
    check_tables(code)
    check_readme()
    check_folders()
    findings.extend(sampler_findings(path for path in code if path.parts[0] != "tests"))
    check_pages(report)
    for line in findings:
        print(line)
    print(f"check: {len(code)} sources, {len(findings)} findings", file=sys.stderr)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
