"""The painting desk: everything the Codebook tab asks for, behind one object that speaks no torch.

`studio.ui.codebook_service.CodebookService` is the page's side of it. Pictures on the desk belong to a session and
live in memory; the page keeps what rebuilds them (start map and operations), so a full desk or a restart loses
nothing: `reopen` brings a picture back.
"""

from __future__ import annotations

import secrets
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from math import ceil, sqrt
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from studio.codebook import views
from studio.codebook.animation import save_animation
from studio.codebook.answers import AtlasPage, Change, CodebookModel, CodeCard, DocumentGone, Film, Opened, Place
from studio.codebook.choices import Corpus, Order
from studio.codebook.document import Document
from studio.codebook.kits import Kits, fitted
from studio.codebook.meter import measure
from studio.codebook.morph import grow, morph
from studio.codebook.operations import parse_operation, parse_operations
from studio.codebook.orders import arrange
from studio.codebook.palettes import Palette
from studio.codebook.places import examples as best_examples
from studio.codebook.share import share, unshare
from studio.codebook.tokens import TokenMap, check_codes
from studio.codebook.usage import Usage, count_usage
from studio.codebook.vqgan import Vqgan, as_rgb
from studio.errors import InvalidRequest, UnknownName
from studio.requests import EditTokens

MAX_DOCUMENTS = 24
MAX_DOCUMENTS_PER_SESSION = 4
MAX_SIDE = 1024
SUITING_TOKENS = 32  # enough to paint with, few enough to follow the brush on a laptop
MAX_FILM_FRAMES = 120
GALLERY_PICTURES = 60
VIEWS = ("picture", "source", "codes", "error", "margin", "usage")
FILMS = ("smooth", "stepped", "dissolve", "grow")
FORMATS = {"mp4": "video/mp4", "gif": "image/gif", "webp": "image/webp"}


class Desk:
    """The service behind the Codebook tab; all threads may use it.

    Args:
        load: Model id ("" is the default) -> Vqgan; asked once per model.
        models: Lists the VQGANs there are.
        examples: Name -> opener of the shipped example pictures; usage is counted over them.
        gallery: Session -> (record id, picture) of the pictures it may see, newest first.
        cache_dir: Where atlases and counts are kept.
    """

    def __init__(
        self,
        load: Callable[[str], Vqgan],
        *,
        models: Callable[[], Sequence[CodebookModel]],
        examples: Mapping[str, Callable[[], Image.Image]],
        gallery: Callable[[str], Iterator[tuple[str, Image.Image]]] = lambda session: iter(()),
        cache_dir: Path,
    ) -> None:
        self._kits = Kits(load, corpus=examples, cache_dir=cache_dir)
        self._kit = self._kits.kit
        self._models, self._examples, self._gallery = models, examples, gallery
        self._documents: OrderedDict[str, tuple[str, Document]] = OrderedDict()
        self._table = threading.Lock()

    # -- what there is -----------------------------------------------------------------------------------------

    def models(self) -> Sequence[CodebookModel]:
        """Return the VQGANs there are, the default first."""
        return self._models()

    def examples(self) -> Sequence[str]:
        """Return the names of the example pictures."""
        return tuple(self._examples)

    def example(self, name: str) -> Image.Image:
        """Return an example picture; raises UnknownName."""
        if name not in self._examples:
            raise UnknownName("example", name, self._examples)
        return self._examples[name]()

    # -- opening -----------------------------------------------------------------------------------------------

    def open_picture(
        self, session: str, picture: Image.Image, *, model: str = "", side: int = 0, ref: str | None = None
    ) -> Opened:
        """Put `picture` on the desk, made smaller where its longer side is above `side` pixels (0: 32 tokens).

        Args:
            ref: Content hash of the picture, for the recipe.
        """
        kit = self._kit(model)
        source, notes = _shrunk(as_rgb(picture), min(side or SUITING_TOKENS * kit.vqgan.factor, MAX_SIDE))
        document = Document(kit, kit.vqgan.encode(source), model=model, source=source, source_ref=ref)
        return self._opened(self._lay(session, document), document, notes)

    def open_text(self, session: str, text: str, *, model: str = "") -> Opened:
        """Put a shared picture on the desk; raises InvalidRequest for a damaged string or another model's."""
        kit = self._kit(model)
        tokens = unshare(text, checksum=kit.vqgan.checksum)
        kit.vqgan.check(tokens)
        document = Document(kit, tokens, model=model)
        return self._opened(self._lay(session, document), document, ())

    def reopen(
        self,
        session: str,
        start: str,
        operations: Sequence[dict[str, Any]],
        *,
        model: str = "",
        source: Image.Image | None = None,
        ref: str | None = None,
    ) -> Opened:
        """Rebuild a picture from its start map and operations; with its source it can be compared again."""
        kit = self._kit(model)
        tokens = unshare(start, checksum=kit.vqgan.checksum)
        kit.vqgan.check(tokens)
        if source is not None:
            source = as_rgb(source)
            source = source if source.size == tokens.size else source.resize(tokens.size, Image.Resampling.LANCZOS)
            measured = kit.vqgan.encode(source)
            tokens = measured.with_codes(tokens.codes)
        document = Document(kit, tokens, model=model, source=source, source_ref=ref)
        for operation in parse_operations(operations):
            document.do(operation)
        return self._opened(self._lay(session, document), document, ())

    def close(self, session: str, document: str) -> None:
        """Take a picture off the desk."""
        with self._table:
            if document in self._documents and self._documents[document][0] == session:
                del self._documents[document]

    # -- editing -----------------------------------------------------------------------------------------------

    def dab(self, session: str, document: str, cells: Sequence[int], *, codes: Sequence[int]) -> Change:
        """Show a brush's codes at once; nothing is recorded yet."""
        return self._document(session, document).dab(cells, codes)

    def do(self, session: str, document: str, operation: dict[str, Any]) -> Change:
        """Apply and record an operation (see `operations`)."""
        return self._document(session, document).do(parse_operation(operation))

    def undo(self, session: str, document: str) -> Change:
        """Take the last operation back."""
        return self._document(session, document).undo()

    def redo(self, session: str, document: str) -> Change:
        """Do again what was taken back."""
        return self._document(session, document).redo()

    def settle(self, session: str, document: str) -> Change:
        """Return the exact picture of what is recorded; an unfinished stroke is dropped."""
        return self._document(session, document).settle()

    # -- looking -----------------------------------------------------------------------------------------------

    def view(self, session: str, document: str, name: str) -> Image.Image:
        """Return a view of the picture: one of VIEWS; raises InvalidRequest where there is nothing to show."""
        shown = self._document(session, document)
        tokens = shown.tokens
        if name == "picture":
            return shown.picture()
        if name == "source":
            if shown.source is None:
                raise InvalidRequest("This picture came as codes: there is no original.", "Open a picture to compare.")
            return shown.source
        if name == "codes":
            return views.codes_view(tokens, shown.kit.atlas)
        if name == "error":
            return views.error_view(tokens)
        if name == "margin":
            return views.margin_view(tokens)
        if name == "usage":
            return views.usage_view(tokens, self._kits.usage(shown.model))
        raise UnknownName("view", name, VIEWS)

    def sprite(self, model: str) -> Image.Image:
        """Return every code's swatch in order of index, `AtlasPage.sprite_columns` a row."""
        atlas = self._kit(model).atlas
        columns = ceil(sqrt(len(atlas)))
        cells = np.full(columns * ceil(len(atlas) / columns), -1)
        cells[: len(atlas)] = np.arange(len(atlas))
        return atlas.sheet(cells.reshape(-1, columns))

    def atlas(
        self,
        model: str,
        *,
        order: Order = "similarity",
        dead: bool = False,
        columns: int = 0,
        corpus: Corpus = "examples",
        session: str = "",
    ) -> AtlasPage:
        """Return the codes arranged; `dead` shows codes, too, that `corpus` (the gallery: of `session`) never uses."""
        kit, usage = self._kit(model), self._counted(model, corpus, session)
        cells = arrange(kit.space, order, usage=usage, include_dead=dead, columns=columns or None)
        return AtlasPage(
            cells=cells,
            sprite_columns=ceil(sqrt(len(kit.atlas))),
            cell=kit.atlas.cell,
            rgb=kit.atlas.rgb,
            counts=None if usage is None else usage.counts,
            said="" if usage is None else usage.describe(),
        )

    def near_colour(self, model: str, rgb: tuple[int, int, int], *, count: int = 32) -> list[int]:
        """Return the codes nearest in colour, nearest first."""
        return [near.code for near in self._kit(model).space.search_colour(rgb, count)]

    def card(self, session: str, model: str, code: int, *, document: str = "", count: int = 8) -> CodeCard:
        """Return what there is to know about a code, and how often it is in the picture on the desk."""
        kit, usage = self._kit(model), self._kits.usage(model)
        check_codes(np.array([code]), len(kit.space))
        here = int(self._document(session, document).tokens.counts[code]) if document else 0
        return CodeCard(
            code=code,
            rgb=tuple(int(v) for v in kit.atlas.rgb[code]),  # type: ignore[arg-type]
            count=here,
            used=None if usage is None else int(usage.counts[code]),
            similar=tuple(near.code for near in kit.space.neighbours(code, count, by="colour")),
            interchangeable=tuple(near.code for near in kit.space.neighbours(code, count, by="embedding")),
        )

    def places(self, session: str, model: str, code: int) -> list[Place]:
        """Return the gallery pictures that use `code` most, among the newest GALLERY_PICTURES."""
        kit = self._kit(model)
        check_codes(np.array([code]), len(kit.space))
        newest = islice(self._gallery(session), GALLERY_PICTURES)
        found = best_examples(self._kits.maps(kit, newest), code, limit=8)
        return [Place(str(example.key), example.tokens, example.share) for example in found]

    # -- taking along ------------------------------------------------------------------------------------------

    def palette(self, session: str, document: str, *, name: str = "") -> dict[str, Any]:
        """Return the codes of the picture with their weights, as a palette file's content."""
        return Palette.of(self._document(session, document).tokens, name=name).model_dump(mode="json")

    def palette_of(self, picture: Image.Image, *, model: str, name: str = "") -> dict[str, Any]:
        """Return the palette of another picture."""
        return Palette.of(self._kit(model).vqgan.encode(fitted(as_rgb(picture), 512)), name=name).model_dump(
            mode="json"
        )

    def share(self, session: str, document: str) -> str:
        """Return the picture as a text."""
        return share(self._document(session, document).tokens)

    def meter(self, session: str, document: str) -> dict[str, Any]:
        """Return what the codes cost and keep, beside JPEG and WebP; needs the original."""
        shown = self._document(session, document)
        if shown.source is None:
            raise InvalidRequest("This picture came as codes: there is no original.", "Open a picture to compare.")
        return asdict(measure(shown.source, shown.tokens, shown.picture()))

    def film(
        self,
        session: str,
        document: str,
        *,
        kind: str,
        frames: int,
        file: str,
        other: Image.Image | None = None,
    ) -> Film:
        """Return an animation from the picture to `other` (or from its start to what it is now), or its growth."""
        if kind not in FILMS:
            raise UnknownName("kind of film", kind, FILMS)
        if file not in FORMATS:
            raise UnknownName("kind of file", file, FORMATS)
        if not 2 <= frames <= MAX_FILM_FRAMES:
            raise InvalidRequest(f"A film has 2 to {MAX_FILM_FRAMES} frames, not {frames}.")
        shown = self._document(session, document)
        first, second = self._ends(shown, other, kind)
        pictures = (
            grow(shown.kit.vqgan, first, frames=frames)
            if kind == "grow"
            else morph(shown.kit.vqgan, first, second, style=kind, frames=frames)  # type: ignore[arg-type]
        )
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"film.{file}"
            save_animation(pictures, path, fps=12, bounce=kind != "grow")
            return Film(path.read_bytes(), FORMATS[file], f"tessera-{kind}.{file}")

    def mask(
        self, session: str, document: str, *, cells: Sequence[int] | None = None, ring: int = 1
    ) -> tuple[Image.Image, Image.Image]:
        """Return the exact picture and a mask of its edited tokens (or of `cells`) with a ring around them."""
        shown = self._document(session, document)
        return shown.picture(), shown.mask(cells, ring=ring)

    def request(self, session: str, document: str) -> EditTokens:
        """Return the request that makes this picture: its recipe."""
        shown = self._document(session, document)
        return EditTokens(
            model=shown.model,
            source=shown.source_ref,
            tokens=shown.start_text,
            operations=tuple(operation.model_dump(mode="json") for operation in shown.operations),
        )

    def _counted(self, model: str, corpus: Corpus, session: str) -> Usage | None:
        """Return how often each code occurs in the examples, or in the newest pictures of the gallery."""
        if corpus == "examples":
            return self._kits.usage(model)
        newest = islice(self._gallery(session), GALLERY_PICTURES)
        maps = (tokens for _, tokens in self._kits.maps(self._kit(model), newest))
        return count_usage(maps, corpus="the newest of your gallery")

    # -- the desk itself ------------------------------------------------------------------------------------------

    def _ends(self, shown: Document, other: Image.Image | None, kind: str) -> tuple[TokenMap, TokenMap]:
        if kind == "grow":
            return shown.tokens, shown.tokens
        if other is None:
            if shown.start == shown.tokens:
                raise InvalidRequest(
                    "There is nothing to morph to.", "Choose a second picture, or edit this one first."
                )
            return shown.start, shown.tokens
        fitted = ImageOps.fit(as_rgb(other), shown.tokens.size, Image.Resampling.LANCZOS)
        return shown.tokens, shown.kit.vqgan.encode(fitted)

    def _lay(self, session: str, document: Document) -> str:
        name = secrets.token_hex(8)
        with self._table:
            mine = [key for key, (owner, _) in self._documents.items() if owner == session]
            for key in mine[: max(0, len(mine) + 1 - MAX_DOCUMENTS_PER_SESSION)]:
                del self._documents[key]
            self._documents[name] = (session, document)
            while len(self._documents) > MAX_DOCUMENTS:
                self._documents.popitem(last=False)
        return name

    def _document(self, session: str, name: str) -> Document:
        with self._table:
            owner, document = self._documents.get(name, ("", None))
            if document is None or owner != session:
                raise DocumentGone("This picture is no longer open.", "Open it again.")
            self._documents.move_to_end(name)
            return document

    def _opened(self, name: str, document: Document, notes: tuple[str, ...]) -> Opened:
        tokens = document.tokens
        return Opened(
            document=name,
            model=document.model,
            checksum=tokens.checksum,
            codes=tokens.codes,
            size=tokens.size,
            factor=tokens.factor,
            codebook_size=tokens.codebook_size,
            start=document.start_text,
            has_source=document.source is not None,
            is_live=document.kit.decoder.is_local,
            can_undo=bool(document.operations),
            notes=notes,
        )


def _shrunk(picture: Image.Image, side: int) -> tuple[Image.Image, tuple[str, ...]]:
    smaller = fitted(picture, side)
    if smaller is picture:
        return picture, ()
    said = f"The picture is {picture.width} × {picture.height}; you paint at {smaller.width} × {smaller.height}."
    return smaller, (said,)
