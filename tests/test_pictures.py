"""Pictures from outside: what is taken, what is changed and said, what is refused and in which words."""

from __future__ import annotations

import hashlib
import io
import random
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin

from studio.errors import InvalidPicture, StudioError
from studio.pictures import PictureStore, canonical, opaque, open_picture, picture_hash
from tests.promises import count

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def noise(mode: str = "RGB", size: tuple[int, int] = (20, 12), seed: int = 0) -> Image.Image:
    depth = len(Image.new(mode, (1, 1)).getbands())
    return Image.frombytes(mode, size, random.Random(seed).randbytes(size[0] * size[1] * depth))


def encoded(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def png_header(width: int, height: int, depth: int = 8) -> bytes:
    """A PNG file that claims a size and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 999)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("format", ["PNG", "WEBP"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_lossless_pictures_keep_every_pixel(format: str, mode: str) -> None:
    image = noise(mode)
    opened = open_picture(encoded(image, format, lossless=True, exact=True))
    assert (opened.image.mode, opened.image.tobytes(), opened.notes) == (mode, image.tobytes(), ())


def test_grey_palette_and_bilevel_pictures_become_rgb() -> None:
    for mode in ("L", "P", "1"):
        opened = open_picture(encoded(noise("RGB").convert(mode)))
        assert opened.image.mode == "RGB"
        assert opened.image.tobytes() == noise("RGB").convert(mode).convert("RGB").tobytes()


def test_palette_with_transparency_and_grey_with_alpha_become_rgba() -> None:
    palette = noise("RGB").convert("P")
    assert open_picture(encoded(palette, transparency=0)).image.mode == "RGBA"
    assert open_picture(encoded(noise("LA"))).image.mode == "RGBA"
    assert open_picture(encoded(noise("L"), transparency=0)).image.mode == "RGBA"


def test_sixteen_bits_become_eight_and_it_is_said() -> None:
    wide = Image.frombytes("I;16", (4, 1), struct.pack("<4H", 0, 255, 32768, 65535))
    opened = open_picture(encoded(wide))
    assert [opened.image.getpixel((x, 0))[0] for x in range(4)] == [0, 0, 128, 255]
    assert opened.notes == ("16-bit colours were reduced to 8-bit.",)


def test_print_colours_become_screen_colours_and_it_is_said() -> None:
    opened = open_picture(encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=100))
    red, green, blue = opened.image.getpixel((4, 4))
    assert red > 200 and green < 60 and blue < 60
    assert opened.notes == ("Print colours (CMYK) were turned into screen colours.",)


def test_sideways_photographs_are_turned_upright() -> None:
    image = noise(size=(20, 12))
    exif = Image.Exif()
    exif[0x0112] = 6
    opened = open_picture(encoded(image, exif=exif))
    assert opened.image.tobytes() == image.transpose(Image.Transpose.ROTATE_270).tobytes()
    assert opened.notes == ("The picture was turned upright.",)


def test_colour_profiles_are_converted_to_srgb() -> None:
    same = open_picture(encoded(noise(), icc_profile=PROFILE))
    assert same.notes == ()
    broken = open_picture(encoded(noise(), icc_profile=b"x" * 200))
    assert broken.notes == ("The colour profile could not be read; colours may look slightly different.",)
    assert broken.image.tobytes() == noise().tobytes()


def test_animations_give_their_first_frame() -> None:
    frames = [noise(seed=n) for n in range(3)]
    opened = open_picture(encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True))
    assert opened.notes == ("Only the first frame of the animation was taken.",)


def test_nothing_but_pixels_survives() -> None:
    """GPS, serial numbers, comments and thumbnails of an upload reach no file that is made of it."""
    exif = Image.Exif()
    exif[0x010F] = "SECRET maker"
    exif.get_ifd(0x8825)[1] = "N"
    exif.get_ifd(0x8769)[0xA431] = "SECRET serial"
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "SECRET comment")
    for data in (
        encoded(noise(), "JPEG", exif=exif, xmp=b"<x>SECRET</x>", comment=b"SECRET"),
        encoded(noise(), "PNG", exif=exif, pnginfo=text),
        encoded(noise(), "WEBP", exif=exif, xmp=b"<x>SECRET</x>"),
    ):
        assert b"SECRET" in data
        image = open_picture(data).image
        assert image.info == {}
        assert not image.getexif()
        assert b"SECRET" not in encoded(image) + encoded(image, "JPEG") + encoded(image, "WEBP")


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
REFUSED = {
    "empty": (b"", r'"x\.png" is not a PNG, JPEG or WebP image\.'),
    "text": (b"hello there", r'"x\.png" is not a PNG, JPEG or WebP image\.'),
    "html": (b"<!doctype html><html><body>", r'"x\.png" is not a PNG, JPEG or WebP image\.'),
    "truncated PNG": (encoded(noise(size=(99, 99)))[:3000], r'"x\.png" is damaged or incomplete\.'),
    "truncated JPEG": (encoded(noise(size=(99, 99)), "JPEG")[:3000], r'"x\.png" is damaged or incomplete\.'),
    "truncated WebP": (encoded(noise(size=(99, 99)), "WEBP")[:900], r'"x\.png" is damaged or incomplete\.'),
    "bare signature": (b"\x89PNG\r\n\x1a\n", r'"x\.png" is damaged or incomplete\.'),
    "210 megapixels": (png_header(15000, 14000), r"Image is 210 megapixels; the limit is 32\."),
    "100 megapixels": (png_header(10000, 10000), r"Image is 100 megapixels; the limit is 32\."),
    "33 megapixels": (png_header(6600, 5000), r"Image is 33 megapixels; the limit is 32\."),
    "a billion megapixels": (png_header(2**30, 2**20), r"Image is 1125899907 megapixels; the limit is 32\."),
    "SVG": (b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>", r"SVG is not supported\."),
    "bare SVG": (b"\n <svg onload='alert(1)'/>", r"SVG is not supported\."),
    "GIF": (encoded(noise(), "GIF"), r"GIF is not supported\. Save it as PNG, JPEG or WebP"),
    "TIFF": (encoded(noise(), "TIFF"), r"TIFF is not supported\."),
    "BMP": (encoded(noise(), "BMP"), r"BMP is not supported\."),
    "PSD": (b"8BPS\0\1" + bytes(40), r"PSD is not supported\."),
    "HEIC": (HEIC, r"HEIC is not supported\."),
    "AVIF": (HEIC.replace(b"heic", b"avif", 1), r"AVIF is not supported\."),
    "PDF": (b"%PDF-1.7", r"PDF is not supported\."),
}


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_opened_is_refused_in_plain_words(name: str) -> None:
    data, pattern = REFUSED[name]
    with pytest.raises(InvalidPicture, match=pattern):
        open_picture(data, name="/home/somebody/x.png")


def test_messages_name_the_file_and_never_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "notes.png"
    path.write_text("not a picture")
    with pytest.raises(InvalidPicture) as caught:
        open_picture(path)
    assert (
        str(caught.value) == '"notes.png" is not a PNG, JPEG or WebP image. Save it as PNG, JPEG or WebP and open that.'
    )
    with pytest.raises(InvalidPicture, match=r'"gone\.png" cannot be read'):
        open_picture(tmp_path / "gone.png")
    with pytest.raises(InvalidPicture, match=r'"notes\.png" is larger than'):
        open_picture(path, limit_bytes=5)


def test_limit_is_a_parameter() -> None:
    with pytest.raises(InvalidPicture, match=r"the limit is 0\.0001"):
        open_picture(encoded(noise()), limit_megapixels=0.0001)


def with_right_checksums(png: bytes) -> bytes:
    """Mend the CRCs of a mutated PNG as far as its chunks can be followed, so that mutations reach the decoder."""
    place, parts = 8, [png[:8]]
    while place + 12 <= len(png):
        length = int.from_bytes(png[place : place + 4])
        body = png[place + 4 : place + 8 + length]
        parts.append(png[place : place + 4] + body + struct.pack(">I", zlib.crc32(body)))
        place += 12 + length
    return b"".join(parts) + png[place:]


def mutated(whole: bytes, generator: random.Random) -> bytes:
    data = bytearray(whole)
    for _ in range(generator.randint(1, 6)):
        data[generator.randrange(len(data))] = generator.randrange(256)
    if generator.random() < 0.3:
        del data[generator.randrange(len(data)) :]
    if generator.random() < 0.2:
        place = generator.randrange(len(data) + 1)
        data[place:place] = generator.randbytes(generator.randint(1, 30))
    mend = whole.startswith(b"\x89PNG") and generator.random() < 0.7
    return with_right_checksums(bytes(data)) if mend else bytes(data)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning", "ignore:.*:UserWarning")
def test_damaged_pictures_are_opened_or_refused_and_never_crash(format: str, figure: Callable[..., None]) -> None:
    """Promise R9: any other exception, a crash or a hang fails this. 10,000 of each format in the full run."""
    exif = Image.Exif()
    exif[0x0112] = 3
    options: dict[str, object] = {"exif": exif, "icc_profile": PROFILE}
    if format == "PNG":
        text = PngImagePlugin.PngInfo()
        text.add_itxt("parameters", "a" * 60, zip=True)
        options["pnginfo"] = text
    whole = encoded(noise(), format, **options)
    generator = random.Random(9)
    outcomes = {"opened": 0, "refused": 0}
    for _ in range(count(1000, 10_000)):
        try:
            open_picture(mutated(whole, generator), limit_megapixels=1)
            outcomes["opened"] += 1
        except InvalidPicture:
            outcomes["refused"] += 1
    figure(format=format, damaged=sum(outcomes.values()), refused=outcomes["refused"], crashes=0)
    assert min(outcomes.values()) > 20, outcomes


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_a_picture_or_a_clear_refusal(data: bytes) -> None:
    with pytest.raises(InvalidPicture):
        open_picture(data)


def test_hash_depends_on_pixels_alone() -> None:
    image = noise()
    assert picture_hash(Image.open(io.BytesIO(encoded(image, compress_level=9)))) == picture_hash(image)
    assert picture_hash(image.convert("RGBA")) == picture_hash(image)
    assert picture_hash(noise(seed=1)) != picture_hash(image)
    assert picture_hash(noise(size=(12, 20))) != picture_hash(image)
    assert canonical(noise("1")).mode == "L"


def test_hash_is_that_of_a_pam_file() -> None:
    """Anybody can check a recipe's reference with netpbm and sha256sum; the value must never change."""
    image = Image.new("RGB", (2, 1), (1, 2, 3))
    pam = b"P7\nWIDTH 2\nHEIGHT 1\nDEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\n" + bytes([1, 2, 3] * 2)
    assert picture_hash(image) == hashlib.sha256(pam).hexdigest()


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_stored_inputs_come_back_exactly(tmp_path: Path, mode: str) -> None:
    store = PictureStore(tmp_path / "inputs")
    image = noise(mode)
    ref = store.put(image)
    assert (store.get(ref).mode, store.get(ref).tobytes()) == (mode, image.tobytes())
    assert store.put(image) == ref
    assert list(store) == [ref]
    assert ref in store and "0" * 64 not in store and "../x" not in store


def test_store_refuses_names_missing_and_changed_inputs(tmp_path: Path) -> None:
    store = PictureStore(tmp_path / "inputs")
    ref = store.put(noise())
    (path,) = tmp_path.glob("inputs/??/*.png")
    path.write_bytes(encoded(noise(seed=5)))
    for bad in (ref, "0" * 64, "../../etc/passwd", "A" * 64):
        with pytest.raises(StudioError):
            store.get(bad)
    path.write_bytes(b"torn")
    with pytest.raises(InvalidPicture, match="is damaged"):
        store.get(ref)


def test_store_forgets_only_what_nobody_names(tmp_path: Path) -> None:
    store = PictureStore(tmp_path / "inputs")
    kept, gone = store.put(noise(seed=1)), store.put(noise(seed=2))
    assert store.sweep({kept}) == []
    assert store.sweep({kept}, min_age_seconds=0) == [gone]
    assert list(store) == [kept]


@pytest.mark.parametrize(("ground", "expected"), [("white", (255, 127, 127)), ("black", (128, 0, 0))])
def test_what_is_transparent_is_laid_over_a_ground(ground: str, expected: tuple[int, int, int]) -> None:
    half = Image.new("RGBA", (2, 1), (255, 0, 0, 128))
    assert opaque(half, ground).getpixel((1, 0)) == expected
    assert opaque(Image.new("L", (1, 1), 7), ground).getpixel((0, 0)) == (7, 7, 7)
    grey = Image.new("LA", (1, 1), (9, 0))
    assert opaque(grey, ground) == Image.new("RGB", (1, 1), ground)
