#!/usr/bin/env python3
"""Judges pictures by plain pixel statistics: does each show what its caption states?

    python3 judge.py --captions heldout.jsonl --images DIR [--json]      # DIR/<id>.png

Needs numpy and PIL only. Colours are compared with the painter's palette (palette.py); nothing is learnt.
Each measure answers with the value of an attribute as in scene.py. `measure(picture)` gives all of them,
`agreement(stated, measured)` the attributes of one caption that are right or wrong.
"""
import argparse
import json
from pathlib import Path

import numpy as np
from PIL import Image

import palette as pal

GROUND_OF = {"spring": "green", "summer": "green", "autumn": "gold", "winter": "snow"}
SLOT_LEFT, SLOT_RIGHT = 38, 90      # columns that bound the outer slots (house) and the inner ones (boat)
REPORTED = ("time", "ground", "weather", "season", "land", "peaks", "caps", "lake", "body", "body_side", "house", "house_side", "house_2",
            "boat", "trees", "tree_kind")


def near(image, colour, reach):
    """Mask of pixels within `reach` (Euclidean) of a colour."""
    d = image.astype(np.float32) - np.asarray(colour, np.float32)
    return (d * d).sum(-1) < reach * reach


def distance(colour, other):
    return float(np.sqrt(((np.asarray(colour, float) - np.asarray(other, float)) ** 2).sum()))


def closest(colour, table):
    """Key of the nearest colour in {key: colour}."""
    return min(table, key=lambda k: distance(colour, table[k]))


def runs(flags, shortest, gap=2):
    """(start, end) of stretches of true values at least `shortest` long; gaps up to `gap` are closed."""
    out, start, last = [], None, None
    for i, f in enumerate(flags):
        if f:
            if start is None:
                start = i
            elif i - last > gap + 1:
                out.append((start, last + 1))
                start = i
            last = i
    if start is not None:
        out.append((start, last + 1))
    return [r for r in out if r[1] - r[0] >= shortest]


def blobs(mask):
    """Connected sets of true pixels, largest first, each as (rows, columns)."""
    todo, found = mask.copy(), []
    height, width = mask.shape
    for y, x in zip(*np.nonzero(mask)):
        if not todo[y, x]:
            continue
        todo[y, x] = False
        stack, ys, xs = [(y, x)], [], []
        while stack:
            cy, cx = stack.pop()
            ys.append(cy)
            xs.append(cx)
            for ny, nx in ((cy - 1, cx), (cy + 1, cx), (cy, cx - 1), (cy, cx + 1)):
                if 0 <= ny < height and 0 <= nx < width and todo[ny, nx]:
                    todo[ny, nx] = False
                    stack.append((ny, nx))
        found.append((np.array(ys), np.array(xs)))
    return sorted(found, key=lambda b: -len(b[0]))


def fake(time, season="summer", weather="clear"):
    """The part of a scene that palette rules need."""
    return {"time": time, "season": season, "weather": weather}


def sky_row(time, weather, row):
    """Expected sky colour of a row."""
    a, b, c = pal.sky_colours(fake(time, weather=weather))
    t = row / (pal.HORIZON + 2)
    colour = pal.mix(a, b, t / 0.55) if t < 0.55 else pal.mix(b, c, (t - 0.55) / 0.45)
    if weather == "fog" and row > 40:
        colour = pal.mix(colour, pal.FOG[time], min(1.0, (row - 40) / 21.6) * 0.82)
    return colour


def measure_time(im):
    """Time of day whose sky (in any weather) most pixels of the upper sky look like."""
    band = im[12:44].astype(np.float32)
    votes = {}
    for time in pal.SKY:
        best = np.full(band.shape[:2], 1e9, np.float32)
        for weather in ("clear", "rain", "snow", "fog"):
            sky = np.stack([sky_row(time, weather, y) for y in range(12, 44)])[:, None]
            best = np.minimum(best, ((band - sky) ** 2).sum(-1))
        votes[time] = np.exp(-best / (2 * 16 ** 2)).sum()
    return max(votes, key=votes.get)


def measure_weather(im, time):
    """Cloud bank along the whole top (rain, snow), fog at the horizon, or single clouds."""
    top = im[4:9]
    median = np.median(top.reshape(-1, 3), 0)
    for weather, table in (("rain", pal.RAIN_BANK), ("snow", pal.SNOW_BANK)):
        bank = pal.mix(table[time], (0, 0, 0), 0.09)
        if near(top, bank, 36).mean() > 0.7 and distance(median, bank) < min(distance(median, sky_row(time, w, 6)) for w in ("clear", "fog")):
            return weather
    fog = near(im[66:73], pal.FOG[time], 25 if time == "sunset" else 34).mean(1)
    steps = np.abs(im[46:66].astype(int) - im[44:64]).sum(-1).max(0)
    # hills in snow have fog's colour, but an edge: of 12,000 painted pictures fog has at most 147 there, hills at least 185
    if np.median(fog) > 0.36 and np.median(steps) < 165:
        return "fog"
    high = im[4:46].astype(np.float32)
    sky = np.stack([sky_row(time, "clear", y) for y in range(4, 46)])[:, None]
    cloud = near(high, pal.CLOUD[time], 26) & (np.sqrt(((high - sky) ** 2).sum(-1)) > 22)
    place = measure_body(im, time, "clear")[1]
    if place:
        y, x = np.mgrid[4:46, 0:pal.BASE]
        cloud &= np.hypot(x - place[0], y - place[1]) > 1.7 * place[2]
    area = sum(len(ys) for ys, xs in blobs(cloud)[:4] if len(ys) > 90 and np.ptp(xs) >= 21)
    return "cloudy" if area > 380 else "clear"


def measure_season(im, time):
    """Season by the colour of the nearest ground."""
    ground = np.median(im[118:127].reshape(-1, 3), 0)
    table = {}
    for season in pal.GROUND:
        g = pal.ground_colour(fake(time, season))
        table[season] = pal.mix(g, (20, 50, 110) if season == "winter" else (10, 40, 40), 0.20)
    return closest(ground, table)


def measure_lake(im, time, season, weather):
    """Water or ground in front of the horizon: the larger share of pixels that look like either."""
    band = im[90:100].reshape(-1, 3)
    ground = pal.ground_colour(fake(time, season))
    deep = pal.mix(ground, (20, 50, 110) if season == "winter" else (10, 40, 40), 0.20)
    water = pal.WATER[time]
    dark = pal.mix(water, (0, 10, 40), 0.22)
    sky = pal.sky_colours(fake(time, weather=weather))
    land = [ground, deep, pal.mix(ground, deep, 0.35 / 0.2 * 0.2)]
    wet = [pal.mix(s, dark, 0.75) for s in (sky[1], sky[2], (60, 60, 80))] + [dark]
    if weather == "fog":
        land += [pal.mix(c, pal.FOG[time], 0.2) for c in land]
        wet += [pal.mix(c, pal.FOG[time], 0.2) for c in wet]
    d = [np.min([np.sqrt(((band - np.asarray(c)) ** 2).sum(1)) for c in group], 0) for group in (wet, land)]
    known = np.minimum(*d) < 45
    return bool(((d[0] < d[1]) & known).sum() > 0.5 * known.sum())


def is_body(ys, xs):
    """Whether a blob is as compact as a sun or moon."""
    height, width = np.ptp(ys) + 1, np.ptp(xs) + 1
    return len(ys) >= 70 and 8 <= width <= 34 and height <= 30


def measure_body(im, time, weather):
    """((sun, moon, several or none; side; moon's shape), (x, y, radius) or None) by the largest compact blob of its colour in the sky."""
    nothing = ("none", "none", "none"), None
    if weather in ("rain", "snow"):
        return nothing
    sky = im[:64].astype(np.float32)
    if time == "night":
        mask = near(sky, (238, 244, 255), 62)
    elif time == "dawn":
        mask = (sky[..., 1] > 238) & (sky[..., 0] > 242) & (sky[..., 2] > 185) & (sky[..., 2] < 234) & (sky[..., 0] - sky[..., 2] > 18)
    else:
        mask = near(sky, pal.SUN[time][0], 46)
    found = [blob for blob in blobs(mask)[:3] if is_body(*blob)]
    if not found:
        return nothing
    ys, xs = found[0]
    x, width = xs.mean(), max(np.ptp(ys), np.ptp(xs)) + 1
    side = "left" if x < 43 else "right" if x > 85 else "center"
    place = x, ys.mean(), width / 2
    if len(found) > 1:
        return ("several", side, "none"), place
    if time != "night":
        return ("sun", side, "none"), place
    return ("moon", side, "full" if len(ys) > 0.62 * width ** 2 else "crescent"), place


def near_line(image, one, other, reach):
    """Mask of pixels within `reach` of the straight line between two colours."""
    one, other = np.asarray(one, np.float32), np.asarray(other, np.float32)
    d, axis = image.astype(np.float32) - one, other - one
    t = np.clip((d @ axis) / (axis @ axis), 0, 1)[..., None]
    return ((d - t * axis) ** 2).sum(-1) < reach * reach


def cap_mask(band, time):
    """Pixels between the white and the shaded side of a snow cap."""
    white = pal.tinted((250, 252, 255), pal.mix(pal.TINT[time], (1, 1, 1), 0.45))
    return near_line(band, white, pal.mix(white, (70, 84, 150), 0.36), 30)


def sky_band(time, weather, first, last, body):
    """Expected sky of rows first..last, with the glow of sun or moon at (x, y, radius)."""
    sky = np.stack([sky_row(time, weather, y) for y in range(first, last)])[:, None]
    sky = np.repeat(sky, pal.BASE, 1).astype(np.float32)
    if body:
        colour, share, reach = ((150, 180, 255), 0.45, 2.6) if time == "night" else (pal.SUN[time][1], 0.75, 3.4)
        y, x = np.mgrid[first:last, 0:pal.BASE]
        glow = share * np.clip(1 - np.hypot(x - body[0], y - body[1]) / (reach * body[2]), 0, 1)[..., None]
        sky = sky + (np.array(colour) - sky) * glow
    return sky


def rock_columns(im, scene, first, last, caps):
    """Columns that look like rock (or caps, where asked), not like sky or hills, in rows first..last."""
    time, season, weather, body = scene
    band, sky = im[first:last].astype(np.float32), sky_band(time, weather, first, last, body)
    ground = pal.ground_colour(fake(time, season))
    far = pal.mix(ground, (70, 90, 150) if season == "winter" else (30, 60, 90), 0.2)
    far = pal.mix(far, pal.sky_colours(fake(time, weather=weather))[2], 0.385)
    if weather == "fog":
        far = pal.mix(far, pal.FOG[time], min(0.82, max(0, first + 1 - 40) / 21.6 * 0.82))
    hill = near(band, far, 12 if time == "night" else 24)
    away = np.sqrt(((band - sky) ** 2).sum(-1))
    if time == "night":
        return ((away > 11) & ~hill).mean(0) > 0.6
    kept = band.sum(-1) < sky.sum(-1) - 18
    if caps:
        kept |= cap_mask(band, time)
    return ((away > 24) & kept & ~hill).mean(0) > 0.6


def measure_peaks(im, scene):
    """Number of mountains: separate stretches of rock above their feet; 0 if nothing is that high."""
    low = 43 if scene[2] == "fog" else 49
    if not runs(rock_columns(im, scene, low, low + 3, low == 43), 7):
        return 0
    counts = [len(runs(rock_columns(im, scene, y, y + 3, True), 8)) for y in (low - 3, low, low + 3)]
    return min(3, max(1, int(np.median(counts) + 0.5)))


def measure_caps(im, scene):
    """Snow caps: a bright patch, no wider than a cap, that stands on a rock high up."""
    time, _, weather, body = scene
    foggy = weather == "fog"
    low, high = 26, 45 if foggy else 53
    band = im[low:high].astype(np.float32)
    sky = sky_band(time, weather, low, high, body)
    snow = cap_mask(band, time) & (np.sqrt(((band - sky) ** 2).sum(-1)) > 20)
    rock = rock_columns(im, scene, 43, 47, True) if foggy else rock_columns(im, scene, 50, 54, False)
    for a, b in runs(~rock, 10, 0):
        snow[:, a:b] = False
    if body:
        y, x = np.mgrid[low:high, 0:pal.BASE]
        snow &= np.hypot(x - body[0], y - body[1]) > 1.6 * body[2]
    if weather == "cloudy" and time != "day":
        snow &= ~near(band, pal.CLOUD[time], 11)
    for ys, xs in blobs(snow)[:5]:
        if len(ys) >= 44 and 7 <= np.ptp(xs) <= 44 and np.ptp(ys) >= 7 and rock[xs.min():xs.max() + 1].mean() > 0.4:
            return True
    return False


def measure_wall(part, time):
    """(area, colour or none) of the walls in some columns above the foreground."""
    tint = pal.mix(pal.OBJECT_TINT[time], (1, 1, 1), 0.4)
    best = (0, "none")
    for colour, wall in pal.WALL.items():
        wall = pal.tinted(wall, tint)
        found = blobs(near(part, wall, 40) | near(part, pal.mix(wall, (0, 0, 30), 0.28), 30))
        area = sum(len(b[0]) for b in found[:3])
        if found and area > best[0] and len(found[0][0]) >= 30:
            best = (area, colour)
    return best if best[0] >= 80 else (0, "none")


def measure_houses(im, time):
    """(colour or none, side, colour of a second one on the right): houses stand in the outer columns."""
    (left_area, left), (right_area, right) = (measure_wall(im[98:115, part], time) for part in (slice(SLOT_LEFT), slice(SLOT_RIGHT, None)))
    if left_area and right_area:
        return left, "left", right
    return (left, "left", "none") if left_area else (right, "right" if right_area else "none", "none")


def measure_boat(im, time):
    """Red hull on the water with white sails above it."""
    tint = pal.mix(pal.OBJECT_TINT[time], (1, 1, 1), 0.5)
    hull = near(im[87:103, 28:100], pal.tinted((196, 30, 44), tint), 52)
    white = pal.tinted((255, 255, 252), tint)
    sail = near(im[66:93], white, 44) | near(im[66:93], pal.mix(white, (120, 140, 190), 0.25), 36)
    for ys, xs in blobs(hull)[:2]:
        if len(ys) >= 36 and np.ptp(xs) >= 11 and np.ptp(xs) > 1.5 * np.ptp(ys):
            x = int(xs.mean()) + 28
            if sail[:, max(0, x - 14):x + 15].sum() >= 70:
                return True
    return False


def crown_mask(im, time, season, kind):
    """Pixels coloured like the crowns of one kind of tree."""
    tint = pal.OBJECT_TINT[time]
    leaf = pal.tinted((pal.PINE if kind == "pine" else pal.CROWN)[season], tint)
    other = pal.mix(leaf, (0, 0, 20), 0.35) if kind == "pine" else pal.mix(leaf, (20, 0, 30), 0.22)
    mask = near(im, leaf, 26) | near(im, other, 20)
    if kind == "round":
        mask |= near(im, pal.mix(leaf, (255, 255, 220), 0.22), 26)
    ground = pal.ground_colour(fake(time, season))
    for c in (ground, pal.mix(ground, (10, 40, 40), 0.07), pal.mix(ground, (10, 40, 40), 0.2)):
        mask &= ~near(im, c, 13)
    return mask


def highlights(im, time, season):
    """Number of round trees by the light spots on their crowns, for crowns as dark as the ground."""
    leaf = pal.tinted(pal.CROWN[season], pal.OBJECT_TINT[time])
    spots = blobs(near(im[64:96], pal.mix(leaf, (255, 255, 220), 0.22), 22))
    return sum(1 for ys, xs in spots if len(ys) >= 25 and np.ptp(xs) <= 16 and np.ptp(ys) <= 16)


def measure_trees(im, time, season):
    """(number, kind) of trees by the columns that crowns fill."""
    best = (0, 0, "none")
    for kind in ("pine", "round"):
        if kind == "round" and season == "winter":
            continue
        rows = slice(74, 108) if kind == "pine" else slice(66, 98)
        mask = crown_mask(im[rows], time, season, kind)
        filled, found = mask.sum(0), []
        for a, b in runs(filled >= 9, 7, gap=1):
            pieces = max(1, int(round((b - a) / 29.0)))
            found += [filled[a:b].sum() / pieces] * pieces
        found = [f for f in found if f > 150]
        if kind == "round" and season == "summer":
            found = [max(found + [300.0])] * highlights(im, time, season)
        if sum(found) > best[0]:
            best = (sum(found), len(found), kind)
    return min(best[1], 4), best[2]


def measure(picture):
    """All attributes of a uint8 RGB picture of any size."""
    im = picture
    if im.shape[:2] != (pal.BASE, pal.BASE):
        im = np.asarray(Image.fromarray(im).resize((pal.BASE, pal.BASE), Image.BOX))
    time = measure_time(im)
    weather = measure_weather(im, time)
    season = measure_season(im, time)
    (body, body_side, moon_shape), place = measure_body(im, time, weather)
    scene = time, season, weather, place
    house, house_side, house_2 = measure_houses(im, time)
    trees, kind = measure_trees(im, time, season)
    peaks = measure_peaks(im, scene)
    return {"time": time, "weather": weather, "season": season, "ground": GROUND_OF[season], "land": "mountains" if peaks else "hills",
            "peaks": peaks, "caps": measure_caps(im, scene), "lake": measure_lake(im, time, season, weather), "body": body,
            "body_side": body_side, "moon_shape": moon_shape, "house": house, "house_side": house_side, "house_2": house_2, "boat": measure_boat(im, time),
            "trees": trees, "tree_kind": kind if trees else "none"}


def agreement(stated, measured):
    """{attribute: right?} for what a caption states."""
    wanted = dict(stated)
    if "season" in wanted:
        wanted["ground"] = GROUND_OF[wanted["season"]]
    if wanted.get("land") == "hills":
        wanted.pop("peaks", None)
    return {k: wanted[k] == measured[k] for k in REPORTED if k in wanted}


def judge(entries, pictures):
    """Agreement per attribute: {attribute: (right, asked)}; pictures are in the order of entries."""
    tally = {}
    for entry, picture in zip(entries, pictures):
        for k, ok in agreement(entry["stated"], measure(picture)).items():
            right, asked = tally.get(k, (0, 0))
            tally[k] = (right + ok, asked + 1)
    return tally


def share(tally):
    """Overall share of right attributes."""
    return sum(r for r, _ in tally.values()) / max(1, sum(n for _, n in tally.values()))


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--captions", default=str(Path(__file__).resolve().parent / "heldout.jsonl"))
    args.add_argument("--images", required=True)
    args.add_argument("--json", action="store_true")
    a = args.parse_args()
    entries = [json.loads(line) for line in open(a.captions)]
    pictures = [np.asarray(Image.open(Path(a.images) / f"{e['id']}.png").convert("RGB")) for e in entries]
    tally = judge(entries, pictures)
    if a.json:
        print(json.dumps({"agreement": share(tally), "attributes": {k: {"right": r, "asked": n} for k, (r, n) in tally.items()}}))
        return
    for k in REPORTED:
        if k in tally:
            print(f"{k:12} {tally[k][0]:4d} of {tally[k][1]:4d}  {tally[k][0] / tally[k][1]:.3f}")
    print(f"{'all':12} {share(tally):.3f}")


if __name__ == "__main__":
    main()
