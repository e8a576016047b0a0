"""What Pillow makes of a file is what we make of it: diffusers' pipelines begin with its pixels."""
import hashlib
import io
import json
from xml.etree import ElementTree

import numpy
import pytest
from PIL import Image, ImageOps

SEED = 11


def noise(width, height, channels=3, smooth=True):
    """A picture with edges, slopes and grain."""
    random = numpy.random.default_rng(SEED + width * 7 + height)
    y, x = numpy.mgrid[0:height, 0:width]
    rows = [numpy.where((x // 5 + y // 3 + c) % 2 == 0, x * 255 // max(width - 1, 1), 255 - y * 3 % 256)
            for c in range(channels)]
    picture = numpy.stack(rows, -1).astype(numpy.int64)
    if smooth:
        picture = picture + random.integers(-20, 20, picture.shape)
    return numpy.clip(picture, 0, 255).astype(numpy.uint8)


def as_rgb(path):
    return numpy.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))


def save(folder, image, name, **words):
    path = folder / name
    image.save(path, **words)
    return path


MODES = {
    "1": lambda: Image.fromarray(noise(23, 17)).convert("1"),
    "L": lambda: Image.fromarray(noise(23, 17)).convert("L"),
    "LA": lambda: Image.fromarray(noise(23, 17, 4), "RGBA").convert("LA"),
    "P": lambda: Image.fromarray(noise(23, 17)).quantize(17),
    "RGB": lambda: Image.fromarray(noise(23, 17)),
    "RGBA": lambda: Image.fromarray(noise(23, 17, 4), "RGBA"),
}


@pytest.mark.parametrize("mode", MODES)
def test_png_of_every_kind(tmp_path, pixels, mode):
    path = save(tmp_path, MODES[mode](), "in.png")
    assert (pixels("decode", path) == as_rgb(path)).all()


def test_png_with_a_transparent_colour(tmp_path, pixels):
    path = save(tmp_path, MODES["P"](), "in.png", transparency=3)
    assert (pixels("decode", path) == as_rgb(path)).all()


@pytest.mark.parametrize("kind, words", [
    ("RGB", {"quality": 92}), ("RGB", {"quality": 60, "progressive": True}), ("RGB", {"quality": 95, "subsampling": 0}),
    ("L", {"quality": 80}), ("CMYK", {"quality": 90})])
def test_jpeg_of_every_kind(tmp_path, pixels, kind, words):
    path = save(tmp_path, Image.fromarray(noise(61, 43)).convert(kind), "in.jpg", **words)
    assert (pixels("decode", path) == as_rgb(path)).all()


@pytest.mark.parametrize("words", [{"quality": 80}, {"lossless": True}])
@pytest.mark.parametrize("channels", [3, 4])
def test_webp_of_every_kind(tmp_path, pixels, words, channels):
    image = Image.fromarray(noise(61, 43, channels), "RGB" if channels == 3 else "RGBA")
    path = save(tmp_path, image, "in.webp", **words)
    assert (pixels("decode", path) == as_rgb(path)).all()


def test_webp_that_moves_is_its_first_picture(tmp_path, pixels):
    frames = [Image.fromarray(noise(30, 20)), Image.fromarray(noise(30, 20)[::-1].copy())]
    path = save(tmp_path, frames[0], "in.webp", save_all=True, append_images=frames[1:], lossless=True)
    assert (pixels("decode", path) == numpy.asarray(frames[0])).all()


def moving_webp(canvas, at, frames):
    """An animation whose frames cover a part of the canvas, put together by hand: Pillow's own always begin in the corner."""
    def chunk(name, body):
        return name + len(body).to_bytes(4, "little") + body + b"\0" * (len(body) % 2)

    def three(*numbers):
        return b"".join(number.to_bytes(3, "little") for number in numbers)

    parts = [chunk(b"VP8X", bytes([0x12, 0, 0, 0]) + three(canvas[0] - 1, canvas[1] - 1)),
             chunk(b"ANIM", b"\x40\x80\xc0\xff" + b"\0\0")]  # a colour of the background, which nobody draws
    for picture in frames:
        still = io.BytesIO()
        picture.save(still, "WEBP", lossless=True, exact=True)
        head = three(at[0] // 2, at[1] // 2, picture.width - 1, picture.height - 1, 100) + b"\0"
        parts.append(chunk(b"ANMF", head + still.getvalue()[12:] if still.getvalue()[12:16] != b"VP8X" else head + b"".join(
            chunk(name, body) for name, body in chunks_of(still.getvalue()) if name in (b"ALPH", b"VP8 ", b"VP8L"))))
    body = b"WEBP" + b"".join(parts)
    return b"RIFF" + len(body).to_bytes(4, "little") + body


def chunks_of(file):
    at = 12
    while at < len(file):
        size = int.from_bytes(file[at + 4:at + 8], "little")
        yield file[at:at + 4], file[at + 8:at + 8 + size]
        at += 8 + size + size % 2


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("at", [(0, 0), (6, 4), (14, 10)])
def test_webp_whose_first_picture_is_smaller_than_its_canvas(tmp_path, pixels, channels, at):
    mode = "RGB" if channels == 3 else "RGBA"
    frames = [Image.fromarray(noise(26, 18, channels)[::way].copy(), mode) for way in (1, -1)]
    path = tmp_path / "in.webp"
    path.write_bytes(moving_webp((40, 28), at, frames))
    wanted = as_rgb(path)
    assert wanted.shape == (28, 40, 3) and wanted.any()
    assert (pixels("decode", path) == wanted).all()


def test_webp_whose_picture_leaves_its_canvas_is_refused(tmp_path, picture):
    for canvas, at in (((26, 18), (2, 0)), ((27, 18), (2, 0)), ((26, 20), (0, 4)), ((20, 18), (0, 0))):
        (tmp_path / "in.webp").write_bytes(moving_webp(canvas, at, [Image.fromarray(noise(26, 18))]))
        code, _, said = picture("decode", tmp_path / "in.webp")
        assert code == 1 and "webp: the file is damaged" in said


@pytest.mark.parametrize("hidden", [False, True], ids=["first-shown", "first-hidden"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_png_that_moves_is_its_first_picture(tmp_path, pixels, mode, hidden):
    frames = [Image.fromarray(noise(30, 20, 4 if mode == "RGBA" else 3)[::way].copy()) for way in (1, -1)]
    frames = [frame.quantize(17) if mode == "P" else frame for frame in frames]
    path = save(tmp_path, frames[0], "in.png", save_all=True, append_images=frames[1:], default_image=hidden, blend=1)
    assert Image.open(path).n_frames == 2 or hidden
    assert (pixels("decode", path) == as_rgb(path)).all()


def test_jpeg_of_several_pictures_is_its_first(tmp_path, pixels):
    frames = [Image.fromarray(noise(61, 43)), Image.fromarray(noise(40, 30))]
    path = save(tmp_path, frames[0], "in.mpo", save_all=True, append_images=frames[1:], quality=92)
    opened = Image.open(path)
    assert opened.format == "MPO" and opened.n_frames == 2
    assert (pixels("decode", path) == as_rgb(path)).all()


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "png", "webp"])
def test_upright_as_the_camera_was_held(tmp_path, pixels, turn, ending):
    exif = Image.Exif()
    exif[0x0112] = turn
    words = {"lossless": True} if ending == "webp" else {}
    path = save(tmp_path, Image.fromarray(noise(19, 11)), f"in.{ending}", exif=exif.tobytes(), **words)
    found = pixels("decode", path)
    assert found.shape == as_rgb(path).shape
    assert (found == as_rgb(path)).all()


SIZES = [(64, 48, 64, 48), (64, 48, 32, 24), (64, 48, 128, 96), (61, 47, 64, 64), (300, 200, 8, 8), (7, 9, 512, 64),
         (1, 1, 16, 16), (500, 3, 48, 40), (64, 48, 64, 20), (64, 48, 20, 48)]


@pytest.mark.parametrize("width, height, to_width, to_height", SIZES)
@pytest.mark.parametrize("name, filter", [("lanczos", Image.LANCZOS), ("nearest", Image.NEAREST)])
def test_resized_to_the_bit(tmp_path, pixels, width, height, to_width, to_height, name, filter):
    image = Image.fromarray(noise(width, height))
    path = save(tmp_path, image, "in.png")
    wanted = numpy.asarray(image.resize((to_width, to_height), filter))
    assert (pixels("resize", path, to_width, to_height, name) == wanted).all()


def test_grey_to_the_bit(tmp_path, pixels):
    colours = numpy.stack(numpy.meshgrid(*[numpy.arange(0, 256, 5)] * 3), -1).reshape(52, -1, 3).astype(numpy.uint8)
    path = save(tmp_path, Image.fromarray(colours), "in.png")
    assert (pixels("grey", path)[..., 0] == numpy.asarray(Image.open(path).convert("L"))).all()


def test_padding_draws_out_the_edge(tmp_path, pixels):
    picture = noise(8, 6)
    path = save(tmp_path, Image.fromarray(picture), "in.png")
    wanted = numpy.pad(picture, ((2, 4), (3, 5), (0, 0)), "edge")
    assert (pixels("place", path, 16, 12, 3, 2) == wanted).all()


INFOTEXT = "a l\u00e4ke \U0001f305, <b> & c\nSteps: 20, Sampler: Euler a"
JSON = json.dumps({"prompt": "a <b> & c \u00e4"}, ensure_ascii=False)


def comment_of(exif):
    return exif.get_ifd(0x8769)[0x9286]


@pytest.mark.parametrize("ending, quality", [("jpg", 95), ("jpg", 60), ("webp", 90)])
def test_lossy_files_say_how_they_were_made(tmp_path, picture, ending, quality):
    path = save(tmp_path, Image.fromarray(noise(64, 48, smooth=False)), "in.png")
    code, written, said = picture("encode", path, ending, quality, INFOTEXT, JSON)
    assert code == 0, said
    image = Image.open(io.BytesIO(written))
    assert image.size == (64, 48)
    comment = comment_of(image.getexif())
    assert comment[:8] == b"UNICODE\0"
    assert comment[8:].decode("utf-16-be") == INFOTEXT
    packet, = [image.info["xmp"]] if ending == "webp" else [
        body for name, body in image.applist if body.startswith(b"http://ns.adobe.com/xap/1.0/\0")]
    found = packet.decode().split("<darkroom:parameters>")[1].split("</darkroom")[0]
    assert json.loads(found.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")) == json.loads(JSON)


def xmp_of(image):
    """All of a JPEG's XMP: what is beyond a segment comes in pieces (XMP part 3, 1.1.3.1)."""
    bodies = [body for name, body in image.applist if name == "APP1"]
    packet, = [body for body in bodies if body.startswith(b"http://ns.adobe.com/xap/1.0/\0")]
    guid = packet.split(b'HasExtendedXMP="')[1][:32]
    head = b"http://ns.adobe.com/xmp/extension/\0" + guid
    pieces = [body[len(head):] for body in bodies if body.startswith(head)]
    whole = bytearray(int.from_bytes(pieces[0][:4], "big"))
    for piece in pieces:
        at = int.from_bytes(piece[4:8], "big")
        whole[at:at + len(piece) - 8] = piece[8:]
    assert hashlib.md5(whole).hexdigest().upper().encode() == guid
    return ElementTree.fromstring(whole.decode())


@pytest.mark.parametrize("letters", [65000, 65536, 100000, 131000])
@pytest.mark.parametrize("ending", ["png", "jpg", "webp"])
def test_long_texts_are_all_there(tmp_path, picture, ending, letters):
    """The longest prompts make more than a JPEG's segment holds; the infotext is where every reader looks."""
    path = save(tmp_path, Image.fromarray(noise(16, 16)), "in.png")
    infotext = "a lake " * 4500
    text = "".join(chr(97 + i % 26) for i in range(letters))
    code, written, said = picture("encode", path, ending, 90, infotext, text)
    assert code == 0, said
    image = Image.open(io.BytesIO(written))
    if ending == "png":
        assert (image.text["parameters"], image.text["darkroom"]) == (infotext, text)
        return
    assert comment_of(image.getexif())[8:].decode("utf-16-be") == infotext
    long = ending == "jpg" and letters > 65000
    tree = xmp_of(image) if long else ElementTree.fromstring(
        image.info["xmp"] if ending == "webp" else image.applist[-1][1].split(b"\0", 1)[1])
    assert tree.find(".//{urn:darkroom:1}parameters").text == text


def test_infotext_that_no_jpeg_can_hold_is_refused(tmp_path, picture):
    path = save(tmp_path, Image.fromarray(noise(16, 16)), "in.png")
    code, _, said = picture("encode", path, "jpg", 90, "a" * 32738, "")
    assert code == 1 and "EXIF of 65534 bytes, at most 65533" in said, said
    assert picture("encode", path, "jpg", 90, "a" * 32737, "")[0] == 0


def test_quality_is_worth_its_bytes(tmp_path, picture):
    path = save(tmp_path, Image.fromarray(noise(128, 96)), "in.png")
    for ending in "jpg", "webp":
        sizes = [len(picture("encode", path, ending, quality, "", "")[1]) for quality in (20, 60, 95)]
        assert sizes == sorted(sizes) and sizes[0] * 2 < sizes[2]


def test_cut_and_damaged_files_are_refused(tmp_path, picture):
    for ending in "png", "jpg", "webp":
        whole = save(tmp_path, Image.fromarray(noise(64, 48)), f"in.{ending}").read_bytes()
        for part in (0, 3, 12, 40, len(whole) // 2, len(whole) - 30):
            (tmp_path / "cut").write_bytes(whole[:part])
            code, _, said = picture("decode", tmp_path / "cut")
            assert code == 1 and said.strip(), (ending, part)


def test_what_is_too_large_is_not_decoded(tmp_path, picture):
    for width, height in ((4097, 4097), (16385, 1)):
        path = save(tmp_path, Image.new("L", (width, height)), "in.png")
        code, _, said = picture("decode", path)
        assert code == 1 and f"{width}x{height}" in said and "16777216 pixels at most" in said, said


def test_other_kinds_are_refused(tmp_path, picture):
    path = save(tmp_path, Image.fromarray(noise(64, 48)), "in.gif")
    code, _, said = picture("decode", path)
    assert code == 1 and "not a PNG, JPEG or WebP" in said
