#!/usr/bin/env python3
"""contact_sheet.py - sixteen prompts developed by darkroom itself with the demo model, on one sheet for the README.

    make && python3 models/contact_sheet.py [--out models/contact-sheet.png] [--seed 7]

Starts a private fleet as the tests do; needs the packages of `deploy/install-packages run check`. The prompts are those of
sample.py, read from its text so that torch is not needed.
"""
import argparse
import ast
import pathlib
import sys

from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "flow"))
import fleet as fleets  # noqa: E402

SIDE, GAP, COLUMNS = 192, 4, 8


def prompts():
    """The tuple PROMPTS of sample.py."""
    for node in ast.parse((ROOT / "models" / "sample.py").read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "PROMPTS":
            return ast.literal_eval(node.value)
    raise SystemExit("sample.py has no PROMPTS")


def develop(texts, seed):
    """A picture for each text, all jobs at once."""
    fleet = fleets.Fleet()
    fleet.models = ROOT / "models" / "models.conf"
    try:
        fleet.broker()
        fleet.worker(threads=0, slots=16, batch_rows=16)
        jobs = [fleet.submit(text, seed=seed + i) for i, text in enumerate(texts)]
        urls = [fleet.wait(job, seconds=600)["images"][0]["url"] for job in jobs]
        return [Image.open(url.removeprefix("file://")).convert("RGB") for url in urls]
    finally:
        fleet.stop()
        fleet.clean()


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--out", default=str(ROOT / "models" / "contact-sheet.png"))
    args.add_argument("--seed", type=int, default=7)
    a = args.parse_args()
    pictures = develop(prompts(), a.seed)
    rows = (len(pictures) + COLUMNS - 1) // COLUMNS
    sheet = Image.new("RGB", (COLUMNS * (SIDE + GAP) - GAP, rows * (SIDE + GAP) - GAP), "white")
    for i, picture in enumerate(pictures):
        place = (i % COLUMNS * (SIDE + GAP), i // COLUMNS * (SIDE + GAP))
        sheet.paste(picture.resize((SIDE, SIDE), Image.LANCZOS), place)
    sheet.save(a.out, optimize=True)
    print(a.out)


if __name__ == "__main__":
    main()
