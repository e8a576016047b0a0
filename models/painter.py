"""Paints a scene record as flat art: bold shapes, smooth gradients, few and large details.

The picture is drawn in a base square of 128 units and scaled, so a scene looks the same at any size.
Objects are at least 24 units wide (3 latent cells of an autoencoder with factor 8) and every
attribute leaves a mark that plain pixel statistics can read (judge.py does).
"""
import math
import random

import numpy as np
import skia

from palette import (BASE, CLOUD, CROWN, FOG, HORIZON, OBJECT_TINT, PINE, RAIN_BANK, ROCK, SKY, SNOW_BANK, SUN, TINT, WALL, WATER,
                     ground_colour, mix, sky_colours, tinted)


def rgba(colour, alpha=1.0):
    """skia's integer colour."""
    r, g, b = (int(max(0, min(255, round(c)))) for c in colour)
    return skia.Color(r, g, b, int(round(255 * alpha)))


class Brush:
    """A canvas in base units with the few strokes that the painter needs."""

    def __init__(self, size):
        self.surface = skia.Surface(size, size)
        self.canvas = self.surface.getCanvas()
        self.scale = size / BASE
        self.canvas.scale(self.scale, self.scale)

    def paint(self, colour, alpha=1.0):
        return skia.Paint(AntiAlias=True, Color=rgba(colour, alpha))

    def polygon(self, points, colour, alpha=1.0):
        path = skia.Path()
        path.addPoly([skia.Point(x, y) for x, y in points], True)
        self.canvas.drawPath(path, self.paint(colour, alpha))

    def disc(self, x, y, r, colour, alpha=1.0):
        self.canvas.drawCircle(x, y, r, self.paint(colour, alpha))

    def rect(self, x0, y0, x1, y1, colour, alpha=1.0):
        self.canvas.drawRect(skia.Rect(x0, y0, x1, y1), self.paint(colour, alpha))

    def gradient(self, y0, y1, colours, alphas=None, places=None):
        """Vertical gradient over the full width between two rows."""
        alphas = alphas or [1.0] * len(colours)
        shader = skia.GradientShader.MakeLinear([skia.Point(0, y0), skia.Point(0, y1)],
                                                [rgba(c, a) for c, a in zip(colours, alphas)], places or [])
        self.canvas.drawRect(skia.Rect(0, y0, BASE, y1), skia.Paint(AntiAlias=True, Shader=shader))

    def glow(self, x, y, r, colour, alpha):
        shader = skia.GradientShader.MakeRadial(skia.Point(x, y), r, [rgba(colour, alpha), rgba(colour, 0)])
        self.canvas.drawCircle(x, y, r, skia.Paint(AntiAlias=True, Shader=shader))

    def wave(self, ys, bottom, colour, alpha=1.0):
        """Filled band under a smooth line through evenly spaced heights."""
        path = skia.Path()
        step = BASE / (len(ys) - 1)
        path.moveTo(-1, ys[0])
        for i in range(len(ys) - 1):
            x = i * step
            path.cubicTo(x + step / 2, ys[i], x + step / 2, ys[i + 1], x + step + (i == len(ys) - 2), ys[i + 1])
        path.lineTo(BASE + 1, bottom)
        path.lineTo(-1, bottom)
        path.close()
        self.canvas.drawPath(path, self.paint(colour, alpha))
        return path


def skyline(scene, rng):
    """Mountain triangles as (apex x, apex y, left half-width, right half-width), back to front."""
    n = scene["peaks"]
    if n == 0:
        return []
    centres, width, jitter = {1: ((64,), 52, 16), 2: ((36, 92), 39, 6), 3: ((22, 64, 106), 27, 4)}[n]
    tall = rng.randrange(n)
    peaks = []
    for i, cx in enumerate(centres):
        top = rng.uniform(27, 33) if i == tall else rng.uniform(32, 42)
        peaks.append((cx + rng.uniform(-jitter, jitter), top, width * rng.uniform(0.9, 1.1), width * rng.uniform(0.9, 1.1)))
    return sorted(peaks, key=lambda p: p[1])


def land_top(peaks, x):
    """Height (row) of the land's edge at column x."""
    top = 62.0
    for px, py, left, right in peaks:
        d = (px - x) / left if x < px else (x - px) / right
        if d < 1:
            top = min(top, py + d * (HORIZON - py))
    return top


def place_body(scene, peaks, rng):
    """Centre and radius of sun or moon: clear of the land, low at dawn and sunset."""
    if scene["body"] == "none":
        return None
    r = rng.uniform(10, 12) if scene["body"] == "sun" else rng.uniform(9.5, 11)
    x = {"left": 22, "center": 64, "right": 106}[scene["body_side"]] + rng.uniform(-6, 6)
    edge = min(land_top(peaks, x + d) for d in (-r, -r / 2, 0, r / 2, r))
    if scene["time"] in ("dawn", "sunset"):
        y = edge - r * rng.uniform(0.55, 1.1)
    else:
        y = rng.uniform(r + 3, max(r + 3.5, min(34, edge - r - 2)))
    return x, max(r + 2, y), r


def paint_body(b, scene, body, sky):
    """Sun with halo, or a cool full or crescent moon."""
    x, y, r = body
    if scene["body"] == "sun":
        core, halo = SUN[scene["time"]]
        b.glow(x, y, r * 3.4, halo, 0.75)
        b.disc(x, y, r * 1.35, halo, 0.45)
        b.disc(x, y, r, core)
        return
    b.glow(x, y, r * 2.6, (150, 180, 255), 0.45)
    b.disc(x, y, r, (238, 244, 255))
    if scene["moon_shape"] == "crescent":
        shadow = mix(sky[0], sky[1], min(1, y / 40))
        b.disc(x + r * 0.55, y - r * 0.25, r * 0.92, shadow)


def paint_stars(b, body, rng):
    """A few large four-pointed stars on clear nights."""
    for i in range(9):
        x, y = 8 + (i % 5) * 28 + rng.uniform(-8, 8), (10 if i < 5 else 30) + rng.uniform(-6, 8)
        if body and math.hypot(x - body[0], y - body[1]) < body[2] + 7:
            continue
        r = rng.uniform(2.6, 3.8)
        q = r * 0.3
        b.polygon([(x, y - r), (x + q, y - q), (x + r, y), (x + q, y + q), (x, y + r), (x - q, y + q), (x - r, y), (x - q, y - q)],
                  (255, 250, 220))


def paint_cloud(b, x, y, w, colour):
    """Flat-bottomed cloud of three puffs."""
    h = w * 0.30
    b.canvas.drawRoundRect(skia.Rect(x - w / 2, y - h * 0.55, x + w / 2, y + h * 0.35), h * 0.45, h * 0.45, b.paint(colour))
    b.disc(x - w * 0.17, y - h * 0.45, h * 0.62, colour)
    b.disc(x + w * 0.12, y - h * 0.60, h * 0.80, colour)


def paint_clouds(b, scene, body, rng):
    """Three large clouds that keep clear of sun or moon."""
    for cx in (22, 64, 106):
        x, y, w = cx + rng.uniform(-6, 6), rng.uniform(16, 30), rng.uniform(34, 42)
        if body and abs(x - body[0]) < 26:
            y = 10 if body[1] > 30 else min(44, body[1] + body[2] + 12)
            x = body[0] + (18 if body[0] < 64 else -18)
        paint_cloud(b, x, y, w, CLOUD[scene["time"]])


def paint_bank(b, scene, rng):
    """The heavy cloud that hides the top of the sky when it rains or snows."""
    colour = (RAIN_BANK if scene["weather"] == "rain" else SNOW_BANK)[scene["time"]]
    b.rect(-1, -1, BASE + 1, 12, colour)
    x = -6.0
    while x < BASE + 12:
        r = rng.uniform(9, 13)
        b.disc(x, 11 + rng.uniform(-1, 3), r, colour)
        x += r * 1.25
    b.gradient(0, 14, [mix(colour, (0, 0, 0), 0.18), colour], [0.9, 0.0])


def paint_mountains(b, scene, peaks, body, sky, rng):
    """Far ridge, then peaks with a lit and a shaded side, a shoulder and perhaps a snow cap."""
    time = scene["time"]
    tint = TINT[time]
    haze = sky[2]
    rock = tinted(rng.choice(ROCK), mix(tint, (1, 1, 1), 0.15))
    b.wave([62 + rng.uniform(-3, 3) for _ in range(6)], HORIZON + 2, mix(rock, haze, 0.55))
    for i, (px, py, left, right) in enumerate(peaks):
        lit_left = body[0] < px if body else i % 2 == 0
        lit = mix(rock, haze, 0.30 if time != "night" else 0.2)
        dark = mix(rock, (12, 14, 40), 0.30)
        foot = HORIZON + 2
        knee = (px + rng.uniform(-5, 5), py + (foot - py) * 0.5)
        base = px + rng.uniform(-6, 6)
        b.polygon([(px, py), (px - left, foot), (px + right, foot)], lit)
        side = [(px, py), knee, (base, foot), (px + right, foot)] if lit_left else [(px, py), knee, (base, foot), (px - left, foot)]
        b.polygon(side, dark)
        if scene["caps"]:
            paint_cap(b, scene, (px, py, left, right), lit_left, knee)


def paint_cap(b, scene, peak, lit_left, knee):
    """Snow on the top third with a zigzag lower edge, bluish on the shaded side."""
    px, py, left, right = peak
    depth = 0.36
    h = (HORIZON - py) * depth
    white = tinted((250, 252, 255), mix(TINT[scene["time"]], (1, 1, 1), 0.45))
    shade = mix(white, (70, 84, 150), 0.32)
    mid = (px + (knee[0] - px) * depth * 2, py + h * 1.05)
    lhs = [(px, py), (px - left * depth, py + h), (px - left * depth * 0.55, py + h * 0.72), (px - left * depth * 0.3, py + h * 1.08), mid]
    rhs = [(px, py), (px + right * depth, py + h), (px + right * depth * 0.55, py + h * 0.72), (px + right * depth * 0.3, py + h * 1.08), mid]
    b.polygon(lhs, white if lit_left else shade)
    b.polygon(rhs, shade if lit_left else white)


def paint_hills(b, scene, sky, rng):
    """Rolling hills where there are no mountains."""
    ground = ground_colour(scene)
    for y, t in ((56, 0.55), (65, 0.3)):
        far = mix(ground, (70, 90, 150) if scene["season"] == "winter" else (30, 60, 90), 0.2)
        b.wave([y + rng.uniform(-7, 7) for _ in range(4)], HORIZON + 2, mix(far, sky[2], t * 0.7))


def paint_lake(b, scene, body, rng):
    """Water that mirrors what stands above it, with the path of light of sun or moon."""
    far, near = HORIZON, 103
    image = b.surface.makeImageSnapshot()
    water = WATER[scene["time"]]
    b.canvas.save()
    b.canvas.clipRect(skia.Rect(0, far, BASE, near + 8))
    b.canvas.save()
    b.canvas.translate(0, 2 * far)
    b.canvas.scale(1, -1)
    b.canvas.drawImageRect(image, skia.Rect(0, 0, BASE, BASE), skia.SamplingOptions(skia.FilterMode.kLinear))
    b.canvas.restore()
    b.gradient(far, near + 8, [water, mix(water, (0, 10, 40), 0.22)], [0.50, 0.86])
    light = mix(water, (255, 255, 255), 0.45)
    for i in range(3):
        y, x, w = far + 7 + i * 9 + rng.uniform(-2, 2), rng.uniform(10, 100), rng.uniform(18, 30)
        b.canvas.drawRoundRect(skia.Rect(x, y, x + w, y + 1.8), 0.9, 0.9, b.paint(light, 0.55))
    if body:
        glint = SUN[scene["time"]][0] if scene["body"] == "sun" else (220, 232, 255)
        for i in range(4):
            y, w = far + 3 + i * 7, 20 - 2.5 * i + rng.uniform(-2, 2)
            b.canvas.drawRoundRect(skia.Rect(body[0] - w / 2, y, body[0] + w / 2, y + 2.6), 1.3, 1.3, b.paint(glint, 0.8))
    b.canvas.restore()


def paint_ground(b, scene, rng):
    """Foreground bands; all of the lower half where there is no lake."""
    ground = ground_colour(scene)
    deep = mix(ground, (20, 50, 110) if scene["season"] == "winter" else (10, 40, 40), 0.20)
    if not scene["lake"]:
        b.rect(-1, HORIZON - 1, BASE + 1, BASE + 1, mix(ground, (255, 255, 255), 0.10))
        b.wave([HORIZON + 11 + rng.uniform(-4, 4) for _ in range(4)], BASE + 1, mix(ground, deep, 0.35))
        b.wave([HORIZON + 22 + rng.uniform(-4, 4) for _ in range(4)], BASE + 1, ground)
    b.wave([103 + rng.uniform(-3, 3) for _ in range(5)], BASE + 1, ground)
    b.wave([119 + rng.uniform(-3, 3) for _ in range(4)], BASE + 1, deep)
    if scene["season"] == "spring":
        petal = tinted((255, 120, 190), OBJECT_TINT[scene["time"]])
        for i in range(7):
            b.disc(10 + i * 18 + rng.uniform(-4, 4), 121 + (i % 2) * 3 + rng.uniform(-2, 1), 2.7, petal)


def slot_x(slot, rng):
    """Column of a foreground slot."""
    return 17 + slot * 31.4 + rng.uniform(-2, 2)


def paint_pine(b, scene, x, foot, h, w):
    """Three tiers on a trunk, with snow on the tips in winter."""
    tint = OBJECT_TINT[scene["time"]]
    green = tinted(PINE[scene["season"]], tint)
    dark = mix(green, (0, 0, 20), 0.35)
    b.rect(x - 2.2, foot - 7, x + 2.2, foot, tinted((96, 62, 40), tint))
    tiers = ((0.0, 0.42, 0.56), (0.22, 0.70, 0.80), (0.46, 1.0, 1.0))
    top, span = foot - h, h - 5
    for a, z, k in reversed(tiers):
        b.polygon([(x, top + a * span), (x - w / 2 * k, top + z * span), (x + w / 2 * k, top + z * span)], green)
        b.polygon([(x, top + a * span), (x, top + z * span), (x + w / 2 * k, top + z * span)], dark)
    if scene["season"] == "winter":
        white = tinted((246, 250, 255), mix(tint, (1, 1, 1), 0.3))
        k = tiers[0][1] * 0.62
        b.polygon([(x, top), (x - w / 2 * 0.36, top + k * span), (x, top + k * span * 0.8), (x + w / 2 * 0.36, top + k * span)], white)


def paint_round_tree(b, scene, x, foot, h, w):
    """A ball of leaves or blossom, lighter where the light falls."""
    tint = OBJECT_TINT[scene["time"]]
    leaf = tinted(CROWN[scene["season"]], tint)
    b.rect(x - 2.4, foot - h * 0.45, x + 2.4, foot, tinted((104, 66, 42), tint))
    r = w / 2
    b.disc(x, foot - h + r, r, mix(leaf, (20, 0, 30), 0.22))
    b.disc(x - r * 0.12, foot - h + r * 0.9, r * 0.86, leaf)
    b.disc(x - r * 0.3, foot - h + r * 0.7, r * 0.42, mix(leaf, (255, 255, 220), 0.22))


def paint_house(b, scene, colour, x, foot):
    """Coloured walls, dark (or snowed) roof, door and two windows that are lit at night."""
    time = scene["time"]
    tint = OBJECT_TINT[time]
    wall = tinted(WALL[colour], mix(tint, (1, 1, 1), 0.4))
    roof = tinted((240, 246, 255), mix(tint, (1, 1, 1), 0.2)) if scene["season"] == "winter" else tinted((72, 48, 52), tint)
    w, h = 26, 17
    b.rect(x - w / 2, foot - h, x + w / 2, foot, wall)
    b.rect(x + w * 0.22, foot - h, x + w / 2, foot, mix(wall, (0, 0, 30), 0.28))
    b.polygon([(x - w / 2 - 3, foot - h + 0.5), (x, foot - h - 13), (x + w / 2 + 3, foot - h + 0.5)], roof)
    pane = (255, 236, 130) if time == "night" else mix((210, 235, 250), wall, 0.1)
    for wx in (-9.5, 2.5):
        b.rect(x + wx, foot - 13, x + wx + 6, foot - 6.5, pane)
    b.rect(x - 2.6, foot - 9, x + 1.6, foot, mix(wall, (30, 16, 10), 0.72))


def paint_boat(b, scene, x, water):
    """White sails over a red hull."""
    tint = mix(OBJECT_TINT[scene["time"]], (1, 1, 1), 0.5)
    white = tinted((255, 255, 252), tint)
    b.polygon([(x - 1, water - 25), (x - 1, water - 5), (x - 12, water - 5)], mix(white, (120, 140, 190), 0.25))
    b.polygon([(x + 1, water - 27), (x + 1, water - 5), (x + 14, water - 5)], white)
    b.polygon([(x - 14, water - 4), (x + 15, water - 4), (x + 10, water + 3), (x - 10, water + 3)], tinted((196, 30, 44), tint))
    b.rect(x - 10, water + 3, x + 10, water + 5, mix(WATER[scene["time"]], (0, 0, 30), 0.45), 0.7)


def houses(scene):
    """(colour, slot) of each."""
    first = [(scene["house"], 0 if scene["house_side"] == "left" else 3)] if scene["house"] != "none" else []
    return first + ([(scene["house_2"], 3)] if scene.get("house_2", "none") != "none" else [])


def paint_objects(b, scene, rng):
    """House, boat and trees in their slots; returns their boxes in base units."""
    boxes = []
    if scene["boat"]:
        x, y = slot_x(scene["boat_slot"], rng), rng.uniform(93, 97)
        paint_boat(b, scene, x, y)
        boxes.append((x - 15, y - 27, x + 15, y + 5))
    for colour, slot in houses(scene):
        x, y = slot_x(slot, rng), rng.uniform(110, 115)
        paint_house(b, scene, colour, x, y)
        boxes.append((x - 16, y - 30, x + 16, y))
    for slot in scene["tree_slots"]:
        x, foot = slot_x(slot, rng), rng.uniform(108, 116)
        h, w = rng.uniform(38, 46), rng.uniform(23, 26)
        (paint_pine if scene["tree_kind"] == "pine" else paint_round_tree)(b, scene, x, foot, h, w)
        boxes.append((x - w / 2, foot - h, x + w / 2, foot))
    return boxes


def paint_fall(b, scene, rng):
    """Large flakes, or few thick slanting streaks of rain."""
    snow = scene["weather"] == "snow"
    drop = mix((255, 255, 255), SKY[scene["time"]][1], 0.05 if snow else 0.25)
    for i in range(24):
        x, y = 8 + (i % 6) * 22 + rng.uniform(-8, 8), 32 + (i // 6) * 25 + rng.uniform(-8, 8)
        if snow:
            b.disc(x, y, rng.uniform(2.0, 2.8), drop)
        else:
            b.polygon([(x + 3.2, y - 6), (x + 5.0, y - 6), (x - 3.2, y + 7), (x - 5.0, y + 7)], drop, 0.85)


def paint(scene, size=BASE):
    """Picture of a scene as uint8 RGB [size, size, 3], and boxes of its objects in pixels."""
    rng = random.Random(scene["seed"])
    b = Brush(size)
    sky = sky_colours(scene)
    b.gradient(0, HORIZON + 2, sky, places=[0.0, 0.55, 1.0])
    peaks = skyline(scene, rng)
    body = place_body(scene, peaks, rng)
    if scene["time"] == "night" and scene["weather"] == "clear":
        paint_stars(b, body, rng)
    if body:
        paint_body(b, scene, body, sky)
    if scene["weather"] == "cloudy":
        paint_clouds(b, scene, body, rng)
    if peaks:
        paint_mountains(b, scene, peaks, body, sky, rng)
    else:
        paint_hills(b, scene, sky, rng)
    if scene["weather"] in ("rain", "snow"):
        paint_bank(b, scene, rng)
    if scene["weather"] == "fog":
        fog = FOG[scene["time"]]
        b.gradient(40, HORIZON + 2, [fog, fog, fog], [0.0, 0.82, 0.95], [0.0, 0.6, 1.0])
    if scene["lake"]:
        paint_lake(b, scene, body, rng)
    paint_ground(b, scene, rng)
    if scene["weather"] == "fog":
        b.gradient(HORIZON - 2, 98, [fog, fog], [0.85, 0.0])
    boxes = paint_objects(b, scene, rng)
    if scene["weather"] in ("rain", "snow"):
        paint_fall(b, scene, rng)
    if body:
        boxes.append((body[0] - body[2], body[1] - body[2], body[0] + body[2], body[1] + body[2]))
    rgb = b.surface.toarray(colorType=skia.kRGBA_8888_ColorType)[:, :, :3]
    return np.ascontiguousarray(rgb), [tuple(v * b.scale for v in box) for box in boxes]
