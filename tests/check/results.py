"""results.py - a parameter called `out` is a result: it is written only when the function succeeds.

What a caller keeps in it must be after a failure as it was before: a handle that was closed inside, or half of a struct, is
found by nobody until it is used. So every public function that returns enum status writes *out behind everything that can
fail, and so does every private one whose result is a pointer. (A private function may fill a struct piece by piece: its
public caller holds the pieces back.) What is appended to, a buffer or a stream, is no result.
"""
import re

DEFINITION = re.compile(r"^(static )?enum status (\w+)\(([^{;]*)\) \{\n(.*?)^\}", re.S | re.M)
OUT = re.compile(r"([^,]*?)([*\s])out(\[\w*\])?\s*(,|$)")
APPENDED = re.compile(r"struct bytes|FILE|struct points")
WRITE = re.compile(r"(?<![\w>.])(\*out|out->[\w.\[\]>-]+|out\[[^\]]*\])\s*[-+|]?=(?!=)")
HANDED = re.compile(r"\bTRY\(.*[(,]\s*out\s*[,)]|\bTRY\(.*[(,]\s*&out->[\w.\[\]>-]+\s*[,)]")
FAILURE = re.compile(r"\bTRY\(|\bfail(_field)?\(|\bREFUSE\(|\breturn (?!OK\b)")


def statements(body):
    """Joins what the formatter has broken into lines: (line offset, text up to ';', '{' or '}')."""
    text, start = "", 0
    for number, line in enumerate(body.split("\n")):
        if not text.strip():
            start = number
        text += " " + line.strip()
        if re.search(r"[;{}:]\s*$", line):
            yield start, text.strip()
            text = ""


def may_fail_after(body):
    """(line offset, text) of the first write of the result that something fallible follows, or None."""
    steps = list(statements(body))
    for at, (line, text) in enumerate(steps):
        leaves = at + 1 < len(steps) and steps[at + 1][1].startswith("return OK")
        later = not leaves and any(FAILURE.search(other) for _, other in steps[at + 1:])
        if (WRITE.search(text) or HANDED.search(text)) and later:
            return line, text
    return None


def result_findings(code):
    """(line, text) for each function of a source without comments that may fail after it has written its result."""
    for match in DEFINITION.finditer(code):
        private, name, parameters, body = match.groups()
        out = OUT.search(parameters)
        if not out or APPENDED.search(out.group(1)):
            continue
        if private and "**" not in out.group(1) + out.group(2):
            continue
        found = may_fail_after(body)
        if found:
            line = code.count("\n", 0, match.start(4)) + 1 + found[0]
            yield line, f"{name} writes its result before something that may fail: {found[1][:60]}"
