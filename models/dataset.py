"""Renders training pictures: one uint8 memmap, scene records and object boxes beside it.

    python dataset.py --work DIR [--count 80000] [--size 128]

Also writes heldout.jsonl in this folder when it is not there: 60 scenes and captions from a seed of
their own, and the captions of WIDE. Training never draws a scene with the same combination of attributes (scene.key).
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


# What people also say: absence, another order, two houses, a number that the rest of the captions seldom has.
WIDE = (
    ("two pine trees by a lake in the snow at night with a full moon",
     {"trees": 2, "tree_kind": "pine", "lake": True, "season": "winter", "time": "night", "body": "moon", "moon_shape": "full"}),
    ("hills in spring at noon with four trees", {"land": "hills", "season": "spring", "time": "day", "trees": 4}),
    ("a lake with no boat", {"lake": True, "boat": False}),
    ("two houses, red and blue", {"house": "red", "house_2": "blue"}),
    ("a yellow house and a red house by a lake at sunset", {"house": "yellow", "house_2": "red", "lake": True, "time": "sunset"}),
    ("a mountain landscape without trees at night", {"land": "mountains", "trees": 0, "time": "night"}),
    ("three mountains in winter without a house at dawn", {"land": "mountains", "peaks": 3, "season": "winter", "house": "none", "time": "dawn"}),
    ("night, no moon, two mountains, lake", {"time": "night", "body": "none", "land": "mountains", "peaks": 2, "lake": True}),
    ("at night, a red cottage by a lake with a crescent moon", {"time": "night", "house": "red", "lake": True, "body": "moon", "moon_shape": "crescent"}),
    ("a meadow in summer with four round trees", {"season": "summer", "trees": 4, "tree_kind": "round", "lake": False}),
    ("four pine trees in the snow at sunset", {"trees": 4, "tree_kind": "pine", "season": "winter", "time": "sunset"}),
    ("a lake in autumn at dawn with a boat and no trees", {"lake": True, "season": "autumn", "time": "dawn", "boat": True, "trees": 0}),
    ("a blue house and no trees", {"house": "blue", "house_2": "none", "trees": 0}),
    ("two cabins, blue and yellow, in the rain", {"house": "blue", "house_2": "yellow", "weather": "rain"}),
    ("rolling hills at sunset without any houses", {"land": "hills", "time": "sunset", "house": "none"}),
    ("a mountain landscape at noon with the sun on the left", {"land": "mountains", "time": "day", "body": "sun", "body_side": "left"}),
    ("a lake at noon with no sun", {"lake": True, "time": "day", "body": "none"}),
    ("one mountain, no lake, sunset", {"land": "mountains", "peaks": 1, "lake": False, "time": "sunset"}),
    ("snow-capped mountains by a lake at night with a full moon and no boats",
     {"land": "mountains", "caps": True, "lake": True, "time": "night", "body": "moon", "moon_shape": "full", "boat": False}),
    ("a red house on the left and a blue house on the right in winter", {"house": "red", "house_2": "blue", "season": "winter"}),
)


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
        for i, (caption, stated) in enumerate(WIDE):
            f.write(json.dumps({"id": f"w{i:02d}", "caption": caption, "stated": stated}) + "\n")


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
    entries = [json.loads(line) for line in open(HERE / "heldout.jsonl")]
    banned = frozenset(key(entry["scene"]) for entry in entries if "scene" in entry)
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
