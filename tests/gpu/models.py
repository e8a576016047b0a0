#!/usr/bin/env python3
"""models.py - makes the models that gpu-check and gpu-bench look at, where they are not there already.

SCRATCH/fixtures: the tiny models of models/fixtures.py. SCRATCH/sd15: SD 1.5 of full size, 2 GB, by tests/full/random_model.py
(not with --tiny). All values follow from a hash, so both sides of a comparison, and any two machines, have the same bytes.
"""
import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MAKERS = {"fixtures": [ROOT / "models" / "fixtures.py"], "sd15": [ROOT / "tests" / "full" / "random_model.py", "sd15"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", required=True)
    parser.add_argument("--scratch", required=True)
    parser.add_argument("--tiny", action="store_true")
    options, _ = parser.parse_known_args()
    for name in ("fixtures",) if options.tiny else ("fixtures", "sd15"):
        folder = Path(options.scratch) / name
        if not folder.exists():
            part = folder.with_name(f"{name}.{os.getpid()}")
            subprocess.run([sys.executable, *MAKERS[name], part], check=True)
            part.rename(folder)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        with open(options.rows, "a", encoding="utf-8") as rows:
            rows.write(json.dumps({"name": name, "value": size, "unit": "bytes"}) + "\n")


if __name__ == "__main__":
    main()
