#!/usr/bin/env python3
"""Makes docs/gallery.md: each feature's commands and the pictures that they made, by a real fleet with the demo model's family.

    make gallery

Every command stands as a user would type it in docs/gallery; the files that commands read are pictures of that page, or the
lines and masks that are drawn here.
"""
import argparse
import pathlib
import shlex
import shutil
import sys

from PIL import Image, ImageDraw

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests" / "flow"), str(ROOT / "models")]
import fleet as fleets  # noqa: E402
from gallery_page import PREVIEWS, SECTIONS  # noqa: E402

FOLDER = ROOT / "docs" / "gallery"
SIDE, COLUMNS, SHOWN = 128, 4, 208
HEAD = """# Gallery

Every picture was made by the command under it, with the demo model and its family (`models/models.conf`, `models/README.md`): small
models that know flat-art landscapes of 128x128 pixels, trained in some hours of two cores. `make gallery` makes the page again: the
same to the byte on the same processor, but for the steps whose previews are heard in time. What else can be asked for: [pictures.md](pictures.md).
"""


def drawn_lines(horizon):
    """Two mountains, a shore and a near one, as one draws them with a mouse."""
    lines = Image.new("RGB", (SIDE, SIDE))
    draw = ImageDraw.Draw(lines)
    draw.line([(0, horizon), (SIDE - 1, horizon)], fill="white")
    draw.line([(2, horizon), (38, horizon - 40), (64, horizon - 12), (92, horizon - 34), (126, horizon)], fill="white", joint="curve")
    draw.line([(0, 110), (40, 107), (90, 112), (SIDE - 1, 109)], fill="white")
    return lines


def box(*edges):
    mask = Image.new("L", (SIDE, SIDE))
    ImageDraw.Draw(mask).rectangle(edges, fill=255)
    return mask


def inputs():
    """Files that commands read and no command makes."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    made = {"high": drawn_lines(56), "low": drawn_lines(88), "right": box(78, 62, 127, 120), "middle": box(44, 62, 96, 104)}
    for name, picture in made.items():
        picture.save(FOLDER / f"{name}.png", optimize=True)
    return {name: f"{name}.png" for name in made}


def tile(file, text):
    return f'<img src="gallery/{file}" width="{SHOWN}" alt="{text}">'


def table(cells):
    """[(text, file)] as rows of pictures under their texts."""
    out = []
    for at in range(0, len(cells), COLUMNS):
        part = cells[at:at + COLUMNS]
        out += ["| " + " | ".join(text for text, _ in part) + " |", "|" + "---|" * len(part),
                "| " + " | ".join(tile(file, text) for text, file in part) + " |", ""]
    return out


def generate(fleet, name, words):
    """Runs one command in the gallery's folder; gives it as it is shown, and its file."""
    file = f"{name}.webp" if "--format webp" in words else f"{name}.png"
    done = fleet.client("generate", *shlex.split(words), "-q", "-o", file, seconds=600, inside=["env", "-C", str(FOLDER)])
    if done.returncode != 0:
        raise SystemExit(f"{words}: {done.stderr}")
    return f"darkroom generate {words} -o {file}", file


def section(fleet, title, sentence, rows, files):
    """A heading, the pictures, the commands. A row is a file to show, or (text, name, words of the client)."""
    cells, commands = [], []
    for row in rows:
        text, name, words = row if len(row) == 3 else (*row, None)
        if words:
            command, files[name] = generate(fleet, name, words.format(**files))
            commands.append(command)
        cells.append((text, files[name]))
    print(title, flush=True)
    return [f"## {title}", "", sentence, "", *table(cells), "```sh", *commands, "```", ""]


def previews_section(fleet):
    """Of the previews that were heard, a few on the way are kept."""
    title, sentence, rows = PREVIEWS
    page = [f"## {title}", "", sentence, ""]
    for kind, words in rows:
        place = FOLDER / f"way-{kind}"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        command, _ = generate(fleet, f"after-{kind}", f"{words} --previews way-{kind}/")
        heard = sorted(place.iterdir(), key=lambda file: int(file.stem.rsplit("-", 1)[1]))
        cells = []
        for i in range(COLUMNS):
            file = heard[i * (len(heard) - 1) // (COLUMNS - 1)]
            step = int(file.stem.rsplit("-", 1)[1])
            kept = FOLDER / f"way-{kind}-{i + 1}.jpg"
            shutil.copyfile(file, kept)
            cells.append((f"step {step}", kept.name))
        shutil.rmtree(place)
        (FOLDER / f"after-{kind}.png").unlink()
        page += [*table(cells), "```sh", command, "```", ""]
    return page


def main():
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    files, page = inputs(), [HEAD]
    fleet = fleets.Fleet()
    try:
        fleet.models = ROOT / "models" / "models.conf"
        fleet.broker()
        fleet.worker(threads=0)
        for title, sentence, rows in SECTIONS:
            page += section(fleet, title, sentence, rows, files)
        page += previews_section(fleet)
    finally:
        fleet.stop()
        fleet.clean()
    (ROOT / "docs" / "gallery.md").write_text("\n".join(page).rstrip() + "\n")


if __name__ == "__main__":
    main()
