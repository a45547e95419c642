"""The one decoder for pictures from outside, the content hash, and the store of pictures that requests refer to.

Nothing else in the studio opens a file that a person or a website made. Only PNG, JPEG and WebP are decoded,
the size in the header is checked before any pixel is, and what comes out is plain sRGB without metadata.
"""

from __future__ import annotations

import hashlib
import io
import re
import struct
import time
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps

from studio.atomic import write_atomically
from studio.errors import InvalidPicture

LIMIT_MEGAPIXELS = 32
LIMIT_BYTES = 256 * 2**20
FORMATS = ("PNG", "JPEG", "WEBP")
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")  # of files in FORMATS

_ADVICE = "Save it as PNG, JPEG or WebP and open that."
_DECODER_ERRORS = (
    OSError,  # truncated data; includes UnidentifiedImageError
    SyntaxError,  # a broken PNG chunk
    ValueError,  # text chunks that unpack to more than Pillow allows
    struct.error,
    EOFError,
    KeyError,
    IndexError,
    TypeError,
    OverflowError,
    ZeroDivisionError,
    RecursionError,
)
_OWN_MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
_FOREIGN_MAGIC = (
    (b"GIF8", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"8BPS", "PSD"),
    (b"BM", "BMP"),
    (b"\0\0\1\0", "ICO"),
    (b"%PDF", "PDF"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"v/1\x01", "OpenEXR"),
    (b"SIMPLE  =", "FITS"),
    (b"gimp xcf", "XCF"),
)
_ISO_BRANDS = {b"avif": "AVIF", b"avis": "AVIF", b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIC", b"hevc": "HEIC"}
_HASH_MODES = ("L", "RGB", "RGBA")


@dataclass(frozen=True, slots=True)
class Opened:
    """A picture from outside, RGB or RGBA, sRGB, upright, without metadata; `notes` says what was changed."""

    image: Image.Image
    notes: tuple[str, ...] = ()


def open_picture(
    source: bytes | Path, *, name: str = "", limit_megapixels: float = LIMIT_MEGAPIXELS, limit_bytes: int = LIMIT_BYTES
) -> Opened:
    """Decode an untrusted PNG, JPEG or WebP file into a plain sRGB picture.

    Args:
        source: The file's bytes, or its path.
        name: What to call the file in messages; by default the path's last part.
        limit_megapixels: Larger pictures are refused from their header, before a pixel is decoded.
        limit_bytes: Larger files are refused unread.

    Raises:
        InvalidPicture: Not a picture, another format, damaged, or too large; says which.
    """
    label = _label(name or (source.name if isinstance(source, Path) else "The file"))
    data = _read(source, label, limit_bytes)
    _check_kind(data, label)
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
            _check_size(opened.width * opened.height, limit_megapixels)
            notes = _notes_on_file(opened, data)
            opened.load()
            return _plain(opened, notes)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        pixels = re.search(r"\d+", str(error))
        _check_size(int(pixels.group()) if pixels else 2**40, limit_megapixels)
        raise InvalidPicture(f'"{label}" is too large.', f"The limit is {limit_megapixels:g} megapixels.") from error
    except MemoryError as error:
        raise InvalidPicture(f'"{label}" needs more memory than is free.', "Make it smaller and open that.") from error
    except _DECODER_ERRORS as error:
        raise InvalidPicture(
            f'"{label}" is damaged or incomplete.', "Export or download it again, then open that."
        ) from error


def canonical(image: Image.Image) -> Image.Image:
    """Return `image` as L, RGB or RGBA; RGBA that is opaque everywhere becomes RGB, so that equal looks are equal."""
    if image.mode == "1":
        return image.convert("L")
    if image.mode not in _HASH_MODES:
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    if image.mode == "RGBA" and image.getchannel("A").getextrema() == (255, 255):
        return image.convert("RGB")
    return image


def opaque(image: Image.Image, ground: str = "white") -> Image.Image:
    """Return `image` as RGB, what is transparent laid over a plain `ground` (a colour's name)."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    rgba = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, ground), rgba).convert("RGB")


def picture_hash(image: Image.Image) -> str:
    """Return the SHA-256 (hex) of the canonical picture as an uncompressed PAM file.

    PAM (netpbm, "P7") is a header and the raw pixels, so the hash depends on the pixels alone; PNG bytes would
    change with every version of the compressor. L and RGB with equal pixels have different hashes.
    """
    image = canonical(image)
    depth, kind = {"L": (1, "GRAYSCALE"), "RGB": (3, "RGB"), "RGBA": (4, "RGB_ALPHA")}[image.mode]
    header = f"P7\nWIDTH {image.width}\nHEIGHT {image.height}\nDEPTH {depth}\nMAXVAL 255\nTUPLTYPE {kind}\nENDHDR\n"
    digest = hashlib.sha256(header.encode())
    digest.update(image.tobytes())
    return digest.hexdigest()


class PictureStore:
    """Pictures that requests refer to (sources, masks, references), each under the hash of its pixels.

    Args:
        folder: Where they live, by convention `settings.data_dir / "pictures"`; made when the first picture comes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, image: Image.Image) -> str:
        """Store `image` (once, however often it comes) and return its `picture_hash`.

        Raises:
            GalleryError: The disk is full or the folder cannot be written.
        """
        image = canonical(image)
        ref = picture_hash(image)
        path = self._path(ref)
        if path.exists():
            path.touch()  # young again, so that a sweep leaves it to the request that is about to name it
            return ref
        buffer = io.BytesIO()
        Image.frombytes(image.mode, image.size, image.tobytes()).save(buffer, "PNG", compress_level=4)
        write_atomically(path, buffer.getvalue())
        return ref

    def get(self, ref: str) -> Image.Image:
        """Return the picture with hash `ref`, L, RGB or RGBA.

        Raises:
            InvalidPicture: There is no such picture, or its file was changed since.
        """
        path = self._path(ref)
        try:
            with Image.open(path, formats=("PNG",)) as stored:
                image = stored.copy()
        except FileNotFoundError as error:
            raise InvalidPicture("The picture this needs is not here any more.", "Choose it again.") from error
        except _DECODER_ERRORS as error:
            raise InvalidPicture(f"A stored input ({ref[:12]}) is damaged.", "Choose the picture again.") from error
        if picture_hash(image) != ref:
            raise InvalidPicture(f"A stored input ({ref[:12]}) was changed.", "Choose the picture again.")
        return image

    def __contains__(self, ref: object) -> bool:
        return isinstance(ref, str) and _is_ref(ref) and self._path(ref).exists()

    def __iter__(self) -> Iterator[str]:
        return (path.stem for path in self.folder.glob("??/*.png") if _is_ref(path.stem))

    def sweep(self, keep: Container[str], *, min_age_seconds: float = 30 * 86400) -> list[str]:
        """Delete what is not in `keep` and was not put for `min_age_seconds`; return the deleted hashes."""
        now, gone = time.time(), []
        for ref in list(self):
            path = self._path(ref)
            if ref not in keep and now - path.stat().st_mtime >= min_age_seconds:
                path.unlink(missing_ok=True)
                gone.append(ref)
        return gone

    def _path(self, ref: str) -> Path:
        if not _is_ref(ref):
            raise InvalidPicture("That does not name a picture.", "Choose the picture again.")
        return self.folder / ref[:2] / f"{ref}.png"


def _is_ref(text: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{64}", text) is not None


def _label(name: str) -> str:
    """The last part of a path, printable and short: never a folder of this machine."""
    last = re.split(r"[/\\]", name)[-1]
    return "".join(c for c in last if c.isprintable())[:80] or "The file"


def _read(source: bytes | Path, label: str, limit_bytes: int) -> bytes:
    try:
        size = len(source) if isinstance(source, bytes) else source.stat().st_size
        if size > limit_bytes:
            raise InvalidPicture(f'"{label}" is larger than {limit_bytes / 2**20:g} MB.', "Make it smaller.")
        return source if isinstance(source, bytes) else source.read_bytes()
    except OSError as error:
        raise InvalidPicture(f'"{label}" cannot be read: {error.strerror}.', "Choose it again.") from error


def _check_kind(data: bytes, label: str) -> None:
    """Raise InvalidPicture, naming the format where it is a known one, unless `data` starts like one of ours."""
    if data.startswith(_OWN_MAGIC) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP"):
        return
    head = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    kind = next((kind for magic, kind in _FOREIGN_MAGIC if data.startswith(magic)), "")
    if data[4:8] == b"ftyp":
        kind = _ISO_BRANDS.get(data[8:12], "This kind of video or picture")
    if head.startswith((b"<svg", b"<?xml", b"<!doctype svg")) and b"<svg" in head:
        kind = "SVG"
    if kind:
        raise InvalidPicture(f"{kind} is not supported.", _ADVICE)
    raise InvalidPicture(f'"{label}" is not a PNG, JPEG or WebP image.', _ADVICE)


def _check_size(pixels: int, limit_megapixels: float) -> None:
    if pixels > limit_megapixels * 1e6:
        raise InvalidPicture(
            f"Image is {pixels / 1e6:.0f} megapixels; the limit is {limit_megapixels:g}.",
            "Make it smaller and open that.",
        )


def _notes_on_file(opened: Image.Image, data: bytes) -> list[str]:
    notes = []
    if getattr(opened, "n_frames", 1) > 1:
        notes.append("Only the first frame of the animation was taken.")
    if opened.mode.startswith("I") or (opened.format == "PNG" and data[24] == 16):
        notes.append("16-bit colours were reduced to 8-bit.")
    if opened.mode == "CMYK":
        notes.append("Print colours (CMYK) were turned into screen colours.")
    return notes


def _plain(opened: Image.Image, notes: list[str]) -> Opened:
    """Upright, 8-bit, sRGB, RGB or RGBA, and a new object that carries nothing but pixels."""
    profile = opened.info.get("icc_profile")
    image = ImageOps.exif_transpose(opened)
    if image.size != opened.size or opened.getexif().get(0x0112, 1) not in (0, 1):
        notes.append("The picture was turned upright.")
    if image.mode.startswith("I"):
        image = _eight_bit(image)
    alpha = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
    colours = image if image.mode in ("CMYK", "L", "RGB") else image.convert("RGB")
    colours = _to_srgb(colours, profile, notes)
    if alpha is not None:
        colours.putalpha(alpha)
    return Opened(Image.frombytes(colours.mode, colours.size, colours.tobytes()), tuple(notes))


def _eight_bit(image: Image.Image) -> Image.Image:
    """I;16 or I (0 to 65535) to L by dropping the low byte; Pillow's own conversion clips at 255."""
    values = np.asarray(image.convert("I")).clip(0, 65535)  # (h, w) int32
    return Image.fromarray((values >> 8).astype(np.uint8))


def _to_srgb(colours: Image.Image, profile: bytes | None, notes: list[str]) -> Image.Image:
    if not profile:
        return colours.convert("RGB")
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "sRGB" in ImageCms.getProfileDescription(source):
            return colours.convert("RGB")
        converted = ImageCms.profileToProfile(colours, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        notes.append("The colour profile could not be read; colours may look slightly different.")
        return colours.convert("RGB")
    assert converted is not None  # None only when converting in place
    notes.append("Colours were converted to sRGB.")
    return converted
