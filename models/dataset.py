"""Renders training pictures: one uint8 memmap, scene records and object boxes beside it.

    python dataset.py --work DIR [--count 80000] [--size 128]

Also writes heldout.jsonl in this folder when it is not there: 60 scenes and captions from a seed of
their own. Training never draws a scene with the same combination of attributes (scene.key).
"""
import argparse
import json
import os
import random
from multiprocessing import Pool
from pathlib import Path

import numpy as np

from captions import caption_full
from painter import paint
from scene import key, scenes

HERE = Path(__file__).resolve().parent
HELDOUT_SEED, TRAIN_SEED = 20261, 7
BOXES = 6


def heldout_scenes(count=60):
    """Held-out scenes, all of different combinations."""
    seen, kept = set(), []
    for scene in scenes(HELDOUT_SEED, 10 * count):
        if key(scene) not in seen and len(kept) < count:
            seen.add(key(scene))
            kept.append(scene)
    return kept


def write_heldout(path):
    """heldout.jsonl: id, caption, and the attributes that the caption states."""
    with open(path, "w") as f:
        for i, scene in enumerate(heldout_scenes()):
            caption, stated = caption_full(scene, random.Random(HELDOUT_SEED + i))
            f.write(json.dumps({"id": f"h{i:02d}", "caption": caption, "stated": stated, "scene": scene}) + "\n")


def render(job):
    """One picture for the pool: index, scene, size -> index, picture, boxes."""
    index, scene, size = job
    picture, boxes = paint(scene, size)
    table = np.zeros((BOXES, 4), np.float32)
    for row, box in zip(table, boxes):
        row[:] = box
    return index, picture, table


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--work", default=".work/train")
    args.add_argument("--count", type=int, default=80000)
    args.add_argument("--size", type=int, default=128)
    args.add_argument("--procs", type=int, default=os.cpu_count())
    a = args.parse_args()
    if not (HERE / "heldout.jsonl").exists():
        write_heldout(HERE / "heldout.jsonl")
    work = Path(a.work)
    work.mkdir(parents=True, exist_ok=True)
    banned = frozenset(key(json.loads(line)["scene"]) for line in open(HERE / "heldout.jsonl"))
    pixels = np.lib.format.open_memmap(work / "pixels.npy.part", "w+", np.uint8, (a.count, a.size, a.size, 3))
    boxes = np.zeros((a.count, BOXES, 4), np.float32)
    with open(work / "scenes.jsonl", "w") as f, Pool(a.procs) as pool:
        todo = []
        for i, scene in enumerate(scenes(TRAIN_SEED, a.count, banned)):
            f.write(json.dumps(scene) + "\n")
            todo.append((i, scene, a.size))
        for i, picture, table in pool.imap_unordered(render, todo, 64):
            pixels[i], boxes[i] = picture, table
    pixels.flush()
    np.save(work / "boxes.npy", boxes)
    os.replace(work / "pixels.npy.part", work / "pixels.npy")
    print(f"{a.count} pictures of {a.size}x{a.size} in {work}")


if __name__ == "__main__":
    main()
