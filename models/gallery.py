#!/usr/bin/env python3
"""Makes docs/gallery.md: each feature's command and the picture that it made, by a real fleet with the demo model's family.

    make gallery

Pictures are 128x128 and shown at twice the size. Every command stands as a user would type it; files that a command reads are
pictures of this page, drawn lines, or masks made here.
"""
import argparse
import pathlib
import shlex
import sys

from PIL import Image, ImageDraw

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests" / "flow"), str(ROOT / "models")]
import fleet as fleets  # noqa: E402

FOLDER = ROOT / "docs" / "gallery"
SIZE = 128

# (title, sentence, [(name, words)]); a name ends as OUT.png, {x} is the file x of this page
SECTIONS = [
    ("Prompts", "What is named is there; what is denied is not.", [
        ("lake", "'a mountain landscape with a lake at sunset' --seed 4"),
        ("moon", "'two pine trees by a lake in the snow at night with a full moon' --seed 23"),
        ("houses", "'two houses, red and blue' --seed 3"),
        ("no-boat", "'a lake with no boat' --seed 5"),
        ("weights", "'a lake with (a boat:1.3) and (trees:0.6) at dawn' --prompt-mode weighted --seed 6"),
    ]),
    ("Samplers", "Thirteen of them, with spacings and schedules (samplers.md); in one batch, if it comes to that.", [
        ("euler", "'a red house by a lake in autumn' --sampler euler --steps 20 --seed 8"),
        ("dpmpp-2m-karras", "'a red house by a lake in autumn' --sampler dpmpp_2m_karras --steps 12 --seed 8"),
        ("unipc", "'a red house by a lake in autumn' --sampler unipc --steps 10 --seed 8"),
        ("euler-a", "'a red house by a lake in autumn' --sampler euler_a --steps 20 --seed 8"),
    ]),
    ("Image to image", "The picture is kept as far as the strength lets it.", [
        ("winter-3", "'a mountain landscape with a lake in winter at night' --image {lake} --strength 0.5 --seed 9"),
        ("winter-7", "'a mountain landscape with a lake in winter at night' --image {lake} --strength 0.8 --seed 9"),
    ]),
    ("Inpainting and outpainting", "Only what the mask shows changes. The first by a model of nine channels, the second by any.", [
        ("inpaint", "'a lake with a boat at sunset' --model demo-inpaint --image {lake} --mask {mask} --seed 10"),
        ("blend", "'a lake with a boat at sunset' --image {lake} --mask {mask} --strength 1 --seed 11"),
        ("outpaint", "'a mountain landscape with a lake at sunset' --model demo-inpaint --image {lake} --pad 64,0,64,0 --seed 12"),
    ]),
    ("Control net", "Lines say where things are, the prompt what they are.", [
        ("sketch-day", "'mountains with a lake at noon in summer' --control demo-sketch={lines} --seed 13"),
        ("sketch-night", "'mountains with a lake at night in winter' --control demo-sketch={lines} --seed 13"),
    ]),
    ("LoRA", "A style by its weight; each job has its own, all share one call.", [
        ("sepia-half", "'a mountain landscape with a lake at sunset' --lora demo-sepia:0.5 --seed 4"),
        ("sepia", "'a mountain landscape with a lake at sunset' --lora demo-sepia --seed 4"),
        ("blueprint", "'a mountain landscape with a lake at sunset' --lora demo-blueprint --seed 4"),
    ]),
    ("Textual inversion", "A word that was never in the vocabulary.", [
        ("word", "'a landscape, <homecoming>' --embedding '<homecoming>=demo-homecoming' --seed 14"),
    ]),
    ("Upscale pass", "Drawn at its own size, made larger and drawn on.", [
        ("upscale", "'three mountains with a lake at dawn' --size 128x128 --upscale 256x256 --upscale-strength 0.5 --seed 15"),
    ]),
    ("Tiny decoder and formats", "For previews, or when a picture should be there at once.", [
        ("tiny", "'a mountain landscape with a lake at sunset' --tiny-decoder --seed 4"),
        ("webp", "'a yellow house and two orange trees in autumn' --format webp --quality 80 --seed 16"),
    ]),
]


def inputs():
    """Files that commands read and no command makes."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    mask = Image.new("L", (SIZE, SIZE))
    ImageDraw.Draw(mask).rectangle((52, 60, 104, 104), fill=255)
    mask.save(FOLDER / "mask.png")
    lines = Image.new("RGB", (SIZE, SIZE))
    draw = ImageDraw.Draw(lines)
    draw.line([(0, 62), (14, 62), (38, 30), (62, 62), (92, 26), (124, 62), (127, 62)], fill="white")
    draw.line([(0, 66), (127, 66)], fill="white")
    draw.line([(0, 104), (40, 102), (90, 106), (127, 103)], fill="white")
    lines.save(FOLDER / "lines.png")
    return {"mask": "mask.png", "lines": "lines.png"}


def run(fleet, name, words, files):
    """Runs one command in the gallery's folder; gives it as it is shown."""
    kind = "webp" if "--format webp" in words else "png"
    shown = words.format(**files)
    command = ["generate", *shlex.split(shown), "-q", "-o", f"{name}.{kind}"]
    done = fleet.client(*command, seconds=600, inside=["env", "-C", str(FOLDER)])
    if done.returncode != 0:
        raise SystemExit(f"{shlex.join(command)}: {done.stderr}")
    files[name.replace("-", "_")] = files[name] = f"{name}.{kind}"
    return f"darkroom generate {shown} -o {name}.{kind}"


def main():
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    files, page = inputs(), ["# Gallery", "", "Each picture was made by the command beside it, with the demo model's family (`models/models.conf`);",
                             "`make gallery` makes the page again.", ""]
    fleet = fleets.Fleet()
    try:
        fleet.models = ROOT / "models" / "models.conf"
        fleet.broker()
        fleet.worker(threads=0)
        for title, sentence, rows in SECTIONS:
            page += [f"## {title}", "", sentence, ""]
            for name, words in rows:
                shown = run(fleet, name, words, files)
                page += [f'<img src="gallery/{files[name]}" width="256" alt="{name}">', "", "```", shown, "```", ""]
                print(name, flush=True)
    finally:
        fleet.stop()
        fleet.clean()
    page += ["The mask and the lines that these commands read:", "", '<img src="gallery/mask.png" width="128" alt="mask"> '
             '<img src="gallery/lines.png" width="128" alt="lines">', ""]
    (ROOT / "docs" / "gallery.md").write_text("\n".join(page))


if __name__ == "__main__":
    main()
