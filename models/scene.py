"""What a picture shows: scenes as small attribute records, drawn by chance from a stated seed.

A scene is a plain dict (JSON-able). Everything that a caption may state and the judge may measure is
an attribute of its own; what is left (exact heights, shapes, jitter) comes from `seed` when painting.
"""
import random

TIMES = {"dawn": 0.18, "day": 0.27, "sunset": 0.30, "night": 0.25}
SEASONS = {"spring": 0.16, "summer": 0.34, "autumn": 0.20, "winter": 0.30}
HOUSES = ("red", "blue", "yellow")
SIDES = ("left", "center", "right")
SLOTS = 4          # columns of the foreground, 32 base pixels each; one object a slot
KEY_FIELDS = ("time", "season", "weather", "land", "lake", "body", "house", "house_2", "boat", "trees", "tree_kind")


def pick(rng, table):
    """One key of {key: probability}."""
    return rng.choices(list(table), list(table.values()))[0]


def pick_weather(rng, season):
    """Snow falls in winter only and rain never does: each mark then has one meaning."""
    if season == "winter":
        return pick(rng, {"clear": 0.45, "cloudy": 0.13, "snow": 0.30, "fog": 0.12})
    return pick(rng, {"clear": 0.50, "cloudy": 0.17, "rain": 0.20, "fog": 0.13})


def pick_body(rng, time, weather):
    """Sun by day and moon by night; rain and snow clouds hide both."""
    if weather in ("rain", "snow") or rng.random() < (0.45 if weather == "fog" else 0.17):
        return "none"
    return "moon" if time == "night" else "sun"


def tree_places(count, free):
    """The slots where `count` trees stand: from the outside in.

    As with house and boat, the caption then decides where things are. Were it left to chance, a small model would have to learn
    to keep count over every combination of slots, and draw two of a kind in all the places where one may be until it has.
    """
    return sorted([slot for slot in (0, 3, 1, 2) if slot in free][:count])


def boat_place(scene):
    """The inner slot that is farther from the house."""
    return 1 if scene["house_side"] == "right" else 2


def drawable(scene):
    """Whether house, boat and trees of a scene stand where place_objects may put them."""
    return scene["boat_slot"] in (-1, boat_place(scene)) and scene["tree_slots"] == tree_places(scene["trees"], free_slots(scene))


def free_slots(scene):
    """The slots that houses and boat leave free."""
    house = {"left": 0, "right": SLOTS - 1}.get(scene["house_side"]) if scene["house"] != "none" else None
    second = SLOTS - 1 if scene.get("house_2", "none") != "none" else None
    return [slot for slot in range(SLOTS) if slot not in (house, second, scene["boat_slot"])]


def place_objects(rng, scene):
    """Give houses, boat and trees a foreground slot each, so that none hides another. The first of two houses is the left one."""
    scene["house_side"] = rng.choice(("left", "right")) if scene["house"] != "none" else "none"
    if scene["house_2"] != "none":
        scene["house_side"] = "left"
    scene["boat_slot"] = -1
    if scene["boat"]:
        scene["boat_slot"] = boat_place(scene)
    free = free_slots(scene)
    scene["trees"] = min(scene["trees"], len(free))
    scene["tree_slots"] = tree_places(scene["trees"], free)


def draw_scene(rng):
    """A scene by chance. Every field is always present."""
    s = {"time": pick(rng, TIMES), "season": pick(rng, SEASONS)}
    s["weather"] = pick_weather(rng, s["season"])
    s["land"] = "mountains" if rng.random() < 0.8 else "hills"
    s["peaks"] = rng.choices((1, 2, 3), (0.3, 0.35, 0.35))[0] if s["land"] == "mountains" else 0
    s["caps"] = s["peaks"] > 0 and (s["season"] == "winter" or rng.random() < 0.5)
    s["lake"] = rng.random() < 0.66
    s["body"] = pick_body(rng, s["time"], s["weather"])
    s["body_side"] = rng.choice(SIDES) if s["body"] != "none" else "none"
    s["moon_shape"] = rng.choice(("full", "crescent")) if s["body"] == "moon" else "none"
    s["house"] = rng.choice(HOUSES) if rng.random() < 0.42 else "none"
    s["house_2"] = rng.choice([colour for colour in HOUSES if colour != s["house"]]) if s["house"] != "none" and rng.random() < 0.3 else "none"
    s["boat"] = s["lake"] and rng.random() < 0.48
    s["trees"] = rng.choices((0, 1, 2, 3, 4), (0.26, 0.20, 0.22, 0.18, 0.14))[0]
    s["tree_kind"] = "none"
    place_objects(rng, s)
    if s["trees"]:
        s["tree_kind"] = "pine" if s["season"] == "winter" or rng.random() < 0.45 else "round"
    s["seed"] = rng.getrandbits(32)
    return s


def key(scene):
    """The combination of attributes that training and held-out scenes never share."""
    return tuple(scene.get(f, "none") for f in KEY_FIELDS)


def scenes(seed, count, banned=frozenset()):
    """`count` scenes from `seed`, leaving out those whose combination is in `banned`."""
    rng = random.Random(seed)
    made = 0
    while made < count:
        scene = draw_scene(rng)
        if key(scene) in banned:
            continue
        made += 1
        yield scene
