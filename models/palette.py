"""Colours of the painter, and the few rules that mix them; judge.py reads pictures with the same table.

Colours are RGB in 0..255. Keys are the values of a scene's attributes (scene.py).
"""

BASE = 128          # side of the base square in which pictures are laid out
HORIZON = 74        # row where land meets lake or meadow

# Sky from top to horizon, tint of lit things (multiplier), haze and water colour, cloud colour.
SKY = {
    "dawn": ((134, 150, 214), (240, 178, 200), (255, 226, 190)),
    "day": ((48, 128, 222), (122, 190, 242), (206, 234, 250)),
    "sunset": ((74, 44, 112), (226, 84, 74), (255, 186, 74)),
    "night": ((8, 12, 44), (20, 32, 84), (44, 66, 128)),
}
TINT = {"dawn": (0.98, 0.88, 0.92), "day": (1.0, 1.0, 1.0), "sunset": (0.92, 0.68, 0.62), "night": (0.34, 0.46, 0.62)}
OBJECT_TINT = {"dawn": (1.0, 0.93, 0.95), "day": (1.0, 1.0, 1.0), "sunset": (0.98, 0.82, 0.76), "night": (0.74, 0.76, 0.88)}
SNOW_TINT = {"dawn": (0.99, 0.92, 0.95), "day": (1.0, 1.0, 1.0), "sunset": (1.0, 0.85, 0.82), "night": (0.62, 0.69, 0.86)}
WATER = {"dawn": (150, 160, 205), "day": (52, 128, 196), "sunset": (196, 92, 84), "night": (26, 58, 128)}
CLOUD = {"dawn": (255, 236, 232), "day": (255, 255, 255), "sunset": (255, 150, 110), "night": (84, 98, 148)}
RAIN_BANK = {"dawn": (116, 112, 138), "day": (92, 106, 128), "sunset": (88, 60, 84), "night": (38, 44, 68)}
SNOW_BANK = {"dawn": (226, 206, 218), "day": (214, 224, 234), "sunset": (204, 140, 140), "night": (96, 108, 150)}
FOG = {"dawn": (252, 228, 224), "day": (238, 244, 248), "sunset": (250, 196, 160), "night": (104, 120, 164)}
SUN = {"dawn": ((255, 248, 214), (255, 232, 190)), "day": ((255, 236, 92), (255, 250, 200)),
       "sunset": ((255, 226, 96), (255, 160, 70))}
GROUND = {"spring": (140, 206, 84), "summer": (64, 158, 62), "autumn": (214, 152, 54), "winter": (240, 246, 255)}
CROWN = {"spring": (250, 138, 182), "summer": (32, 112, 44), "autumn": (206, 62, 28), "winter": (30, 92, 74)}
PINE = {"spring": (24, 96, 66), "summer": (16, 84, 58), "autumn": (26, 82, 58), "winter": (20, 80, 70)}
WALL = {"red": (206, 42, 40), "blue": (44, 84, 208), "yellow": (250, 214, 56)}
ROCK = ((92, 104, 150), (118, 96, 140), (112, 112, 124), (84, 116, 140))


def mix(a, b, t):
    """Colour between a (t=0) and b (t=1)."""
    return tuple(x + (y - x) * t for x, y in zip(a, b))


def tinted(colour, tint):
    """Colour under a coloured light."""
    return tuple(c * t for c, t in zip(colour, tint))


def sky_colours(scene):
    """Sky palette of the time of day, greyed by the weather but never past recognition."""
    grey, t = {"clear": ((0, 0, 0), 0), "cloudy": ((0, 0, 0), 0), "rain": ((104, 112, 132), 0.34),
               "snow": ((206, 212, 226), 0.28), "fog": ((226, 230, 236), 0.22)}[scene["weather"]]
    if scene["time"] == "night":
        grey, t = mix(grey, (40, 48, 80), 0.75), t
    return [mix(c, grey, t) for c in SKY[scene["time"]]]


def ground_colour(scene):
    """Season's ground under the light of the time of day."""
    tint = (SNOW_TINT if scene["season"] == "winter" else TINT)[scene["time"]]
    return tinted(GROUND[scene["season"]], tint)
