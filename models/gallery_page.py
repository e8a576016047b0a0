"""What stands on the gallery's page, and in which order.

A section is (title, sentence, rows); a row is (text, name, words of `darkroom generate`) or (text, name of a file that is there).
{name} in the words is the file of an earlier row, or one that gallery.py draws.
"""

LAKE = "'a mountain landscape with a lake at sunset'"
HOUSE = "'a red house by a lake in autumn'"
WINTER = "'three mountains with a lake in winter at night'"

SECTIONS = [
    ("Prompts", "What is named is there, as often as it is said; what is denied is not.", [
        ("a mountain landscape", "lake", f"{LAKE} --seed 4"),
        ("one moon, two pines", "moon", "'two pine trees by a lake in the snow at night with a full moon' --seed 23"),
        ("four trees", "trees", "'hills in spring at noon with four trees' --seed 2"),
        ("two houses", "houses", "'two houses, red and blue' --seed 3"),
        ("no boat", "no-boat", "'a lake with no boat' --seed 5"),
        ("a boat", "boat", "'a lake' --seed 105"),
        ("--negative 'a boat'", "negative", "'a lake' --negative 'a boat' --seed 105"),
        ("guidance 1", "unguided", f"{LAKE} --guidance 1 --seed 4"),
    ]),
    ("Prompt weights", "`--prompt-mode weighted` reads `(words:1.3)`, and takes long prompts in chunks.", [
        ("plain", "weight-1", "'a landscape with fog and pine trees' --seed 6"),
        ("(fog:1.5)", "weight-2", "'a landscape with (fog:1.5) and pine trees' --prompt-mode weighted --seed 6"),
        ("(fog:0.4)", "weight-3", "'a landscape with (fog:0.4) and pine trees' --prompt-mode weighted --seed 6"),
    ]),
    ("Samplers", "Thirteen, with spacings and schedules ([samplers.md](samplers.md)); jobs of different ones share a call.", [
        ("Euler, 20 steps", "euler", f"{HOUSE} --sampler euler --steps 20 --seed 8"),
        ("DPM++ 2M Karras, 12", "dpmpp-2m-karras", f"{HOUSE} --sampler dpmpp_2m_karras --steps 12 --seed 8"),
        ("UniPC, 8", "unipc", f"{HOUSE} --sampler unipc --steps 8 --seed 8"),
        ("Euler ancestral, 20", "euler-a", f"{HOUSE} --sampler euler_a --steps 20 --seed 8"),
    ]),
    ("Image to image", "The picture is kept as far as the strength lets it.", [
        ("the picture", "lake"),
        ("strength 0.4", "winter-4", f"{WINTER} --image {{lake}} --strength 0.4 --seed 9"),
        ("strength 0.6", "winter-6", f"{WINTER} --image {{lake}} --strength 0.6 --seed 9"),
        ("strength 0.9", "winter-9", f"{WINTER} --image {{lake}} --strength 0.9 --seed 9"),
    ]),
    ("Inpainting", "Only what the mask shows is drawn: by a model of nine channels, which is shown the mask, or by any.", [
        ("the picture", "lake"),
        ("the mask", "middle"),
        ("nine channels", "inpaint", "'a mountain landscape with a lake and a boat at sunset' --model demo-inpaint --image {lake} --mask {middle} --seed 10"),
        ("any model", "blend", "'a mountain landscape with a lake and a boat at sunset' --image {lake} --mask {middle} --seed 11"),
    ]),
    ("Outpainting", "Pixels around the picture: left, top, right, bottom.", [
        ("the picture", "lake"),
        ("192 wide, any model", "outpaint-left", f"{LAKE} --image {{lake}} --pad 64,0,0,0 --size 192x128 --seed 12"),
        ("256 wide, nine channels", "outpaint", f"{LAKE} --model demo-inpaint --image {{lake}} --pad 64,0,64,0 --size 256x128 --seed 12"),
    ]),
    ("Control net", "Lines say where things are, words what they are.", [
        ("lines", "high"),
        ("by day", "sketch-day", "'two mountains with a lake at noon in summer' --control demo-sketch={high} --seed 13"),
        ("by night", "sketch-night", "'two mountains with a lake in winter at night' --control demo-sketch={high} --seed 16"),
        ("scale 0", "sketch-off", "'two mountains with a lake at noon in summer' --control demo-sketch={high}:0 --seed 13"),
        ("lines", "low"),
        ("by day", "low-day", "'two mountains with a lake at noon in summer' --control demo-sketch={low} --seed 13"),
        ("by night", "low-night", "'two mountains with a lake in winter at night' --control demo-sketch={low} --seed 15"),
        ("at sunset", "low-sunset", "'two mountains with a lake at sunset' --control demo-sketch={low} --seed 13"),
    ]),
    ("Textual inversion", "A word that was never in the vocabulary: a red house between pines on a winter night.", [
        ("seed 14", "word-14", "'a landscape, <homecoming>' --embedding '<homecoming>=demo-homecoming' --seed 14"),
        ("seed 15", "word-15", "'a landscape, <homecoming>' --embedding '<homecoming>=demo-homecoming' --seed 15"),
        ("without the word", "no-word", "'a landscape' --seed 14"),
    ]),
    ("Upscale pass", "Made small, made larger, drawn on; one job. The second pass is 128x128 here, which is what this model knows.", [
        ("96x96", "before-upscale", "'three mountains with a lake at dawn' --size 96x96 --seed 15"),
        ("latents made larger", "upscale-latent", "'three mountains with a lake at dawn' --size 96x96 --upscale 128x128 --upscale-strength 0.6 --seed 15"),
        ("pixels made larger", "upscale-pixel",
         "'three mountains with a lake at dawn' --size 96x96 --upscale 128x128 --upscale-kind pixel --upscale-strength 0.5 --seed 15"),
    ]),
    ("Tiny decoder and formats", "For pictures that should be there at once; PNG, JPEG and WebP carry how they were made.", [
        ("the model's decoder", "lake"),
        ("the tiny one", "tiny", f"{LAKE} --tiny-decoder --seed 4"),
        ("WebP", "webp", "'a yellow house and two orange trees in autumn at noon' --format webp --quality 80 --seed 16"),
    ]),
]

PREVIEWS = ("Previews", "Small pictures of the way come with a job's events, here by a fit of latents to colours, then by the tiny decoder.", [
    ("fit", f"{LAKE} --steps 200 --seed 4 --preview-every 10"),
    ("tiny", f"{LAKE} --steps 200 --seed 4 --preview-every 10 --preview-tiny")])
