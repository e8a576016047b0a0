#!/usr/bin/env python3
"""table.py - what gpu-check and gpu-bench wrote, as tables for people.

    table.py FILE.json...          # to stdout, in Markdown
    table.py --keep FILE.json...   # also into bench/results/gpu/, named by GPU, date and commit
"""
import argparse
import json
import re
import shutil
import sys
from pathlib import Path

KEPT = Path(__file__).resolve().parents[2] / "bench" / "results" / "gpu"
SIDES = (("whole", "darkroom"), ("plain", "without graphs"), ("own", "own kernels alone"), ("eager", "diffusers eager"),
         ("compiled", "diffusers compiled"))
SHARES = ("step-ops", "batch-ops", "decode-ops")
DETAILS_MAX = 12


class Run:
    """The rows of a result file, by part and name."""

    def __init__(self, result):
        self.result, self.rows = result, {}
        for part in result["parts"]:
            for row in part.get("rows", []):
                self.rows[part["name"], row["name"]] = row

    def value(self, part, name):
        return self.rows.get((part, name), {}).get("value")

    def text(self, part, name):
        return self.rows.get((part, name), {}).get("text", "")

    def names(self, part, prefix=""):
        return [name for of, name in self.rows if of == part and name.startswith(prefix)]


def figure(value, digits=3):
    return "" if value is None else f"{value:,.{max(0, digits - len(str(int(abs(value)))))}f}"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows] + [""]


def heading(run):
    result = run.result
    machine = ", ".join(filter(None, (run.text("machine", name) for name in ("gpu", "driver", "runtime"))))
    tiny = "; TINY: tries the program, says nothing of speed" if result["tiny"] else ""
    return [f"## {result['program']}: {machine or result['device']}, {result['date'][:10]}, commit "
            f"{result['commit'] or 'unknown'}{tiny}", ""]


def parts_table(run):
    rows = []
    for part in run.result["parts"]:
        judged = [row for row in part.get("rows", []) if "holds" in row]
        wrong = [row["name"] for row in judged if not row["holds"]]
        skipped = [row["skip"] for row in part.get("rows", []) if "skip" in row]
        note = ", ".join(wrong[:4] + skipped) or part.get("how", "")
        rows.append([part["name"], part["outcome"], figure(part.get("seconds", 0)), f"{len(judged) - len(wrong)} of {len(judged)}",
                     note])
    return table(("part", "outcome", "s", "holds", "what not"), rows)


def numbers_table(run):
    rows = []
    for number in run.result["numbers"]:
        if number["ratio"] is not None:
            rows.append([number["what"], figure(number["ratio"]), f"{'at most' if number['at_most'] else 'at least'} "
                         f"{number['wanted']}", "reached" if number["reached"] else "**not reached**"])
    return table(("what", "ratio", "wanted", ""), rows) if rows else []


def images_table(run, what, unit):
    counts = sorted({int(name.rsplit(".b", 1)[1]) for side, _ in SIDES for name in run.names(side, what + ".b")})
    sides = [(side, title) for side, title in SIDES if run.names(side, what + ".b")]
    if not counts:
        return []
    rows = [[str(count)] + [figure(run.value(side, f"{what}.b{count}")) for side, _ in sides] for count in counts]
    return table([f"images, {what}, {unit}"] + [title for _, title in sides], rows)


def rate_table(run):
    matrix = run.value("ceilings", "matrix.f16")
    rows = []
    for name in run.names("whole", "rate."):
        images = name.rsplit(".b", 1)[1]
        rate = run.value("whole", name)
        if rate is not None:
            rows.append([images, figure(rate), figure(rate / matrix) if matrix else "",
                         figure(run.value("whole", f"pictures.b{images}")), figure(run.value("whole", f"host.b{images}"))])
    return table(("images", "TFLOP/s", "of the matrix rate", "pictures/s", "host, ms a turn"), rows) if rows else []


def values_table(run, part):
    rows = [[name, figure(run.value(part, name)), run.rows[part, name].get("unit", "")] for name in run.names(part)
            if run.value(part, name) is not None]
    return table((part, "", "unit"), rows) if rows else []


def ops_table(run, part):
    rows = [[name.split(".", 1)[1], figure(run.value(part, name)), figure(run.value(part, name.replace("all.", "share."))),
             figure(run.value(part, name.replace("all.", "ceiling.")))] for name in run.names(part, "all.")]
    details = [[name.split(".", 1)[1], figure(run.value(part, name)), run.text(part, name)]
               for name in run.names(part, "op.")[:DETAILS_MAX]]
    if not rows:
        return []
    sum_row = [["sum", figure(run.value(part, "sum")), "", ""]]
    return table((part, "ms", "share", "of its ceiling"), rows + sum_row) + table(("the longest", "ms", ""), details)


def page(run):
    lines = heading(run) + numbers_table(run) + parts_table(run)
    if run.result["program"] == "gpu-bench":
        lines += images_table(run, "step", "ms") + images_table(run, "whole", "ms") + rate_table(run)
        for part in ("ceilings", "decode", "strict", "jobs", "arrivals", "bands", "demo"):
            lines += values_table(run, part)
        for part in SHARES:
            lines += ops_table(run, part)
    return "\n".join(lines)


def kept_name(run, gpu):
    result = run.result
    words = [gpu or "no-gpu", result["date"][:10], result["commit"][:10] or "unknown", result["program"]]
    return "-".join(re.sub(r"[^A-Za-z0-9]+", "-", word).strip("-") for word in words)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    runs = [(path, Run(json.loads(path.read_text()))) for path in options.files]
    gpu = next(filter(None, (run.text("machine", "gpu") for _, run in runs)), "")
    for path, run in runs:
        text = page(run)
        print(text)
        if options.keep:
            if run.result["tiny"] or not gpu:
                sys.exit(f"{path}: no result of a GPU, not kept")
            name = kept_name(run, gpu)
            shutil.copyfile(path, KEPT / f"{name}.json")
            (KEPT / f"{name}.md").write_text(text + "\n")


if __name__ == "__main__":
    main()
