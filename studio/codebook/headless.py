"""Files in and out for the command line: pictures and .tokens files, one or a folder of them, with progress."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path

import torch
from PIL import Image

from studio.atomic import write_atomically
from studio.codebook.find import resolve
from studio.codebook.share import SUFFIX, load_share, save_share, unshare
from studio.codebook.tokens import TokenMap
from studio.codebook.vqgan import Vqgan, as_rgb
from studio.errors import InvalidPicture, InvalidRequest
from studio.pictures import PICTURE_SUFFIXES, open_picture
from studio.settings import Settings

Out = Callable[..., None]


class FileDesk:
    """One VQGAN, loaded when first needed, and the files that go through it."""

    def __init__(self, settings: Settings, model: str) -> None:
        self._settings, self._model = settings, model
        self.cache_dir = settings.cache_dir / "codebook"

    @cached_property
    def vqgan(self) -> Vqgan:
        """The model; raises ModelError or UnknownName."""
        settings = self._settings
        folder = resolve(self._model, settings.checkpoint_folders)
        device = settings.device if settings.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
        dtype = torch.float32 if settings.dtype == "auto" else getattr(torch, settings.dtype)
        return Vqgan.load(folder, device=device, dtype=dtype)

    def is_picture(self, source: Path) -> bool:
        """Whether `source` is to be opened as a picture, by its ending."""
        return source.suffix.lower() != SUFFIX

    def picture(self, source: Path) -> Image.Image:
        """Open a picture file; raises InvalidPicture."""
        return open_picture(source).image

    def open(self, source: Path, *, size: tuple[int, int] | None = None, out: Out | None = None) -> TokenMap:
        """Return the token map of a picture or a .tokens file.

        Args:
            size: Resize a picture to this (width, height) first, and say so through `out`.
        """
        if not self.is_picture(source):
            tokens = load_share(source, checksum=self.vqgan.checksum)
            self.vqgan.check(tokens)
            return tokens
        opened = open_picture(source)
        if out:
            for note in opened.notes:
                out(f"{source.name}: {note}")
        picture = as_rgb(opened.image)
        if size and picture.size != size:
            if out:
                out(f"{source.name} was resized from {picture.width} x {picture.height} to {size[0]} x {size[1]}.")
            picture = picture.resize(size, Image.Resampling.LANCZOS)
        return self.vqgan.encode(picture)

    def unshare(self, text: str) -> TokenMap:
        """Return the token map of a share string for this model."""
        tokens = unshare(text, checksum=self.vqgan.checksum)
        self.vqgan.check(tokens)
        return tokens

    def save(self, tokens: TokenMap, target: Path) -> None:
        """Write a .tokens file, or the decoded picture, by the ending of `target`."""
        if target.suffix.lower() == SUFFIX:
            save_share(tokens, target)
        else:
            self.save_picture(self.vqgan.decode(tokens), target)

    def save_picture(self, picture: Image.Image, target: Path) -> None:
        """Write a PNG, whole or not at all."""
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        write_atomically(target, buffer.getvalue())

    def progress(self, out: Out, what: str) -> Callable[[float], None]:
        """Return a function that prints a line at every tenth."""
        said = [0]

        def tell(fraction: float) -> None:
            if int(fraction * 10) > said[0]:
                said[0] = int(fraction * 10)
                out(f"{what} {said[0] * 10} %")

        return tell

    def counted(self, pictures: Iterator[Image.Image], total: int, out: Out) -> Iterator[Image.Image]:
        """Pass pictures on and print progress."""
        tell = self.progress(out, "frames")
        for index, picture in enumerate(pictures, 1):
            yield picture
            tell(index / total)


class Batch:
    """Sources (files, and the pictures and maps inside folders) and where each result goes.

    Args:
        given: Files and folders.
        out: A file for one source, a folder for several; None when nothing is written.
        suffixes: The endings a result may have, the first by default.

    Raises:
        InvalidRequest: A file that is missing, a folder without pictures, or an `out` that does not fit.
    """

    def __init__(
        self, given: Sequence[Path], out: Path | None = None, *, suffixes: tuple[str, ...] = (".png",)
    ) -> None:
        self.sources = [file for path in given for file in _files(path)]
        self.targets = self._targets(out, suffixes) if out else self.sources
        self._writes = out is not None

    def run(self, work: Callable[[Path, Path], None], out: Out) -> int:
        """Call `work(source, target)` for each, with a line each; return 1 when some of several failed.

        A single file's error is raised as it is; among several, a file that fails is named and the rest goes on.
        """
        total, failed = len(self.sources), 0
        for index, (source, target) in enumerate(zip(self.sources, self.targets, strict=True), 1):
            try:
                work(source, target)
            except (InvalidPicture, InvalidRequest) as error:
                if total == 1:
                    raise
                failed += 1
                out(f"[{index}/{total}] {source.name}: {error}")
                continue
            out(f"[{index}/{total}] {source.name}" + (f" -> {target}" if self._writes else ""))
        if failed == total:
            raise InvalidRequest(f"None of the {failed} files could be used.", "The lines above say why.")
        return 1 if failed else 0

    def _targets(self, out: Path, suffixes: tuple[str, ...]) -> list[Path]:
        if len(self.sources) == 1 and out.suffix.lower() in suffixes:
            return [out]
        if out.suffix and not out.is_dir():
            raise InvalidRequest(
                f'"{out.name}" cannot be written: for one picture name a {" or ".join(suffixes)} file, '
                "for several a folder.",
                "Choose another --out.",
            )
        targets: list[Path] = []
        for source in self.sources:
            target, number = out / f"{source.stem}{suffixes[0]}", 2
            while target in targets:  # a.png and a.jpg must not overwrite each other
                target, number = out / f"{source.stem}-{number}{suffixes[0]}", number + 1
            targets.append(target)
        return targets


def _files(path: Path) -> list[Path]:
    if not path.exists():
        raise InvalidRequest(f'There is no "{path}".', "Give a file or a folder.")
    if not path.is_dir():
        return [path]
    inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in (*PICTURE_SUFFIXES, SUFFIX) and p.is_file())
    if not inside:
        raise InvalidRequest(f'The folder "{path.name}" has no pictures.', "Choose another one.")
    return inside
