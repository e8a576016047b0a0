"""Captions of scenes in plain, varied English.

`caption(scene, rng)` leaves attributes out by chance, as people do; what is left out is free.
`caption_full` states nearly everything. Both also return what the caption states, for judge.py.
"""

TIME = {
    "dawn": ("at dawn", "at sunrise", "in the early morning", "at first light"),
    "day": ("at noon", "during the day", "on a bright day", "in daylight", "at midday"),
    "sunset": ("at sunset", "at sunset", "at dusk", "in the evening", "in the evening glow"),
    "night": ("at night", "at night", "by night", "under the night sky", "in the dark of night"),
}
TIME_WORD = {"dawn": ("dawn", "sunrise", "early morning"), "day": ("day", "noon", "daylight"),
             "sunset": ("sunset", "dusk", "evening"), "night": ("night", "nighttime")}
SEASON = {"spring": ("in spring", "in springtime"), "summer": ("in summer", "in summertime"),
          "autumn": ("in autumn", "in fall"), "winter": ("in winter", "in wintertime", "in the snow")}
WEATHER = {"clear": ("under a clear sky", "in clear weather"),
           "cloudy": ("under a cloudy sky", "with clouds in the sky", "with drifting clouds"),
           "rain": ("in the rain", "on a rainy day", "while rain is falling", "in rainy weather"),
           "snow": ("in falling snow", "while snow is falling", "in a snowfall", "while it snows"),
           "fog": ("in the fog", "in mist", "on a foggy day", "wrapped in fog")}
WEATHER_WORD = {"clear": ("clear sky",), "cloudy": ("clouds", "cloudy"), "rain": ("rain", "rainy"),
                "snow": ("snowfall", "falling snow"), "fog": ("fog", "foggy", "misty")}
FIELD = {"spring": ("a flowering meadow", "a meadow with pink flowers", "a spring meadow"),
         "summer": ("a green meadow", "green grass", "a summer meadow"),
         "autumn": ("golden fields", "a golden meadow", "an autumn field"),
         "winter": ("a snowy field", "snow-covered ground", "a white snowy plain")}
NUMBER = {1: ("a", "one", "a single"), 2: ("two", "two", "a pair of"), 3: ("three",), 4: ("four",)}
USUAL_SIDE = {"house_side": "left", "body_side": "right"}     # what a caption means that names no side
STYLE = ("flat art of ", "an illustration of ", "a picture of ", "a painting of ", "a view of ", "a poster of ")


def chance(rng, p):
    return rng.random() < p


def join(parts):
    """a, b and c"""
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


class Phrases:
    """The phrases of one caption, and a record of what they state."""

    def __init__(self, scene, rng, keep):
        self.s, self.rng, self.keep, self.stated = scene, rng, keep, {}

    def say(self, p):
        """Whether to state something that is usually stated with probability p."""
        return self.keep >= 1.0 and p > 0 or chance(self.rng, p * self.keep)

    def state(self, *fields):
        for f in fields:
            self.stated[f] = self.s[f]

    def one(self, table, field):
        self.state(field)
        return self.rng.choice(table[self.s[field]])

    def side(self, field):
        """' on the left' and the like: seldom for the usual side, always for another.

        Were the side a free choice wherever it is not named, a small model would draw both.
        """
        side = self.s[field]
        if side == USUAL_SIDE[field] and not chance(self.rng, 0.25):
            return ""
        self.state(field)
        return self.rng.choice((" in the middle", " in the center") if side == "center" else (f" on the {side}", f" on the {side} side"))

    def mountains(self):
        """Mountains with or without their number and snow caps."""
        s, rng = self.s, self.rng
        self.state("land")
        noun = rng.choice(("mountain", "mountain", "peak", "mountain peak"))
        cap = ""
        if s["caps"] and self.say(0.55):
            self.state("caps")
            cap = rng.choice(("snow-capped ", "snowy ", "snow-covered "))
        if s["peaks"] == 1 or self.say(0.75):
            self.state("peaks")
            return f"{rng.choice(NUMBER[s['peaks']])} {cap}{noun}{'s' * (s['peaks'] > 1)}"
        return f"{cap}{noun}s"

    def land(self):
        if self.s["land"] == "mountains":
            return self.mountains()
        self.state("land")
        return self.rng.choice(("hills", "rolling hills", "soft hills"))

    def house(self):
        s, noun = self.s, self.rng.choice(("house", "house", "cottage", "cabin"))
        if s["house_2"] != "none":
            return self.two_houses(noun)
        self.state("house")
        if self.say(0.5):
            self.state("house_2")  # "a house" is one
        return f"a {s['house']} {noun}{self.side('house_side')}"

    def two_houses(self, noun):
        """The left one is named first."""
        self.state("house", "house_2")
        first, second = self.s["house"], self.s["house_2"]
        return self.rng.choice((f"two {noun}s, {first} and {second}", f"a {first} {noun} and a {second} {noun}", f"two {noun}s, {first} and {second}",
                                f"a {first} {noun} on the left and a {second} {noun} on the right", f"{first} and {second} {noun}s"))

    def boat(self):
        self.state("boat")
        return self.rng.choice(("a sailboat", "a boat", "a sailing boat", "a boat with white sails"))

    def trees(self):
        s, rng = self.s, self.rng
        self.state("tree_kind")
        n = s["trees"]
        if s["tree_kind"] == "pine":
            noun = rng.choice(("pine tree", "pine", "fir tree", "pine tree"))
        else:
            extra = {"spring": ("blossoming", "pink"), "summer": ("leafy", "green"), "autumn": ("orange", "autumn")}[s["season"]]
            noun = rng.choice(("round tree", f"{rng.choice(extra)} tree", f"{rng.choice(extra)} tree"))
        if n > 1 and not self.say(0.85):
            self.stated["some_trees"] = True
            return noun + "s"
        self.state("trees")
        text = f"{rng.choice(NUMBER[n])} {noun}{'s' * (n > 1)}"
        return text.replace("a orange", "an orange").replace("a autumn", "an autumn")

    def body(self):
        """Sun or moon, as a thing that one can see."""
        self.state("body")
        if self.s["body"] == "sun":
            return self.rng.choice(("the sun", "a bright sun", "the sun")) + self.side("body_side")
        if self.say(0.6):
            self.state("moon_shape")
            return self.rng.choice((f"a {self.s['moon_shape']} moon", f"the {self.s['moon_shape']} moon")) + self.side("body_side")
        return self.rng.choice(("the moon", "a moon")) + self.side("body_side")

    def lake(self):
        self.state("lake")
        return self.rng.choice(("a lake", "a lake", "a calm lake", "a still lake", "a quiet lake"))

    def field(self):
        self.state("lake", "season")
        return self.rng.choice(FIELD[self.s["season"]])

    def objects(self):
        """Noun phrases of what stands in the picture, in the order that people name it."""
        s, out = self.s, []
        if s["lake"] and self.say(0.92):
            out.append(self.lake())
        elif not s["lake"] and self.say(0.45):
            out.append(self.field())
        if s["house"] != "none" and self.say(0.9):
            out.append(self.house())
        if s["boat"] and self.say(0.9):
            out.append(self.boat())
        if s["trees"] and self.say(0.88):
            out.append(self.trees())
        if s["body"] != "none" and self.say(0.6):
            out.append(self.body())
        if s["time"] == "night" and s["weather"] == "clear" and self.say(0.3):
            out.append(self.rng.choice(("stars", "bright stars")))
            self.state("weather")
        if self.rng.random() < 0.3 and len(out) > 2:
            self.rng.shuffle(out)
        return out

    def setting(self):
        """Time, season and weather phrases that are stated."""
        s, out = self.s, []
        if s["weather"] != "clear" and self.say(0.97) or s["weather"] == "clear" and chance(self.rng, 0.15):
            out.append(self.one(WEATHER, "weather"))
        if self.say(0.85 if s["season"] in ("winter", "autumn") else 0.55) and "season" not in self.stated:
            out.append(self.one(SEASON, "season"))
        if self.say(0.93):
            out.append(self.one(TIME, "time"))
        return out


def landscape(p):
    """'a mountain landscape', 'a winter landscape', ... as a head noun; objects follow with 'with'."""
    s, rng = p.s, p.rng
    noun = rng.choice(("landscape", "landscape", "scene", "valley"))
    if s["land"] == "mountains" and chance(rng, 0.7):
        p.state("land")
        return f"a mountain {noun}"
    if s["season"] in ("winter", "autumn") and chance(rng, 0.7):
        p.state("season")
        word = rng.choice(("winter", "snowy") if s["season"] == "winter" else ("autumn",))
        return f"{'an' if word == 'autumn' else 'a'} {word} {noun}"
    return f"a {noun}"


def phrase_style(p):
    """'a mountain landscape with a lake and a house at sunset'"""
    rng = p.rng
    if chance(rng, 0.55):
        head, tail = landscape(p), p.objects()
        if p.s["land"] == "hills" or p.s["peaks"] and p.say(0.45):
            tail.insert(0, p.land())
        link = " with "
    else:
        head, tail = p.land(), p.objects()
        link = rng.choice((" with ", " with ", " and "))
    setting = p.setting()
    if tail and setting and chance(rng, 0.3):       # what stands in the picture, or its last thing, behind the setting
        last = len(tail) - 1 if chance(rng, 0.6) else 0
        front, back = tail[:last], tail[last:]
        return " ".join([head + (link + join(front) if front else ""), *setting]) + rng.choice((" with ", " with ", " and ")) + join(back)
    text = head + (link + join(tail) if tail else "")
    if setting and chance(rng, 0.2):
        return f"{setting[-1]}, {text}" + "".join(f" {x}" for x in setting[:-1])
    return " ".join([text, *setting])


def tag_style(p):
    """'mountains, lake, red house, sunset'"""
    parts = [p.land(), *p.objects()]
    for table, field, q in ((WEATHER_WORD, "weather", 0.15 if p.s["weather"] == "clear" else 0.95), (TIME_WORD, "time", 0.95)):
        if chance(p.rng, q) or p.keep >= 1:
            parts.append(p.one(table, field))
    if "season" not in p.stated and p.say(0.7):
        p.state("season")
        parts.append(p.s["season"])
    if chance(p.rng, denial(p, 0.2)):
        parts += [text for text in (negation(p),) if text]
    parts = [x[2:] if x.startswith("a ") else x[4:] if x.startswith("the ") else x for x in parts]
    if chance(p.rng, 0.5):
        p.rng.shuffle(parts)
    return ", ".join(parts)


def sentence_style(p):
    """'It is night. Two mountains stand behind a lake. There is a red house on the left.'"""
    rng, s = p.rng, p.s
    land, objects, setting = p.land(), p.objects(), p.setting()
    plural = land.endswith("s")
    first = f"{land} {'stand' if plural else 'stands'} {rng.choice(('tall', 'in the distance', 'far away'))}"
    if s["lake"] and objects and objects[0].endswith("lake"):
        first = f"{land} {'rise' if plural else 'rises'} {rng.choice(('behind', 'above', 'over'))} {objects.pop(0)}"
    out = [" ".join([first, *setting])]
    if objects:
        out.append(rng.choice(("there is ", "we see ", "in front there is ")) + join(objects))
    return ". ".join(x[0].upper() + x[1:] for x in out) + "."


def bare_style(p):
    """One thing and nothing of where it is, as people name what a picture shall not show: 'the moon', 'a boat', 'trees'."""
    rng, s = p.rng, p.s
    things = {"body": ((f"the {s['body']}", f"a {s['body']}", s["body"]), s["body"] != "none"), "boat": (("a boat", "a sailboat", "boats"), s["boat"]),
              "house": (("a house", "houses", "a cottage"), s["house"] != "none"), "trees": (("trees", "a tree"), s["trees"] > 0),
              "lake": (("a lake", "water"), s["lake"]), "land": ((s["land"],), True)}
    field = "body" if things["body"][1] and chance(rng, 0.5) else rng.choice([name for name, (_, there) in things.items() if there])
    if field not in ("house", "trees"):     # of which neither colour nor number is said
        p.state(field)
    return rng.choice(things[field][0])


def short_style(p):
    """One to three attributes: 'a lake at night'."""
    rng, s = p.rng, p.s
    things = [p.lake] if s["lake"] else [p.field]
    things += [p.house] * (s["house"] != "none") + [p.boat] * s["boat"] + [p.trees] * (s["trees"] > 0) + [p.land] * 2
    text = rng.choice(things)()
    if s["lake"] and "lake" not in p.stated and chance(rng, 0.4):
        text += rng.choice((" by ", " by ", " at ")) + p.lake()
    if chance(rng, denial(p, 0.35)):
        text += without(p)
    if chance(rng, 0.75):
        text += " " + p.one(TIME, "time")
    if chance(rng, 0.3):
        text += " " + p.one(SEASON, "season")
    return text


def absent(p):
    """Fields of things that are truly not there, with their words."""
    s = p.s
    things = {"trees": ("trees", "a tree"), "house": ("houses", "a house"), "boat": ("boats", "a boat"), "lake": ("lake", "a lake")}
    there = {"trees": s["trees"], "house": s["house"] != "none", "boat": s["boat"] or not s["lake"], "lake": s["lake"]}
    out = {field: words for field, words in things.items() if not there[field] and field not in p.stated}
    if s["body"] == "none" and s["weather"] in ("clear", "cloudy"):
        out["body"] = ("moon", "a moon") if s["time"] == "night" else ("sun", "the sun")
    return out


def denial(p, usual):
    """How often something is denied: more often where sun or moon can be, which are there so often that their lack is seldom seen."""
    return max(usual, 0.6) if "body" in absent(p) else usual


def negation(p):
    """'no boat', 'without trees', or nothing where all that could be denied is there."""
    fields = absent(p)
    if not fields:
        return ""
    field = "body" if "body" in fields and chance(p.rng, 0.75) else p.rng.choice(sorted(fields))
    p.state(field)
    bare, one = fields[field]
    single = bare.removesuffix("s")
    return p.rng.choice((f"no {bare}", f"no {single}", f"without {one}", f"without any {bare}"))


def without(p):
    """The same behind a caption: ' without a boat', ' with no boat', ' and no boat'."""
    text = negation(p)
    if text.startswith("no "):
        text = p.rng.choice(("with ", "and ", "but ")) + text
    return f" {text}" if text else ""


def caption(scene, rng, keep=0.95):
    """(caption, stated attributes); keep < 1 leaves more out, keep = 1 states nearly all."""
    p = Phrases(scene, rng, keep)
    roll = rng.random()
    if keep < 1 and roll < 0.06:
        text = bare_style(p)
    elif keep < 1 and roll < 0.15:
        text = short_style(p)
    elif roll < 0.62:
        text = phrase_style(p)
        if chance(rng, 0.12):
            text = rng.choice(STYLE) + text
        if keep < 1 and chance(rng, denial(p, 0.15)):
            text += without(p)
    elif roll < 0.80:
        text = tag_style(p)
    else:
        text = sentence_style(p)
    if chance(rng, 0.1):
        text = text[0].upper() + text[1:]
    return text, p.stated


def caption_full(scene, rng):
    """A caption that states nearly every attribute: for held-out judging."""
    return caption(scene, rng, keep=1.0)
