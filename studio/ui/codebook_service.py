"""What the Codebook tab asks of the codebook: the page's side of `studio.codebook.service.Desk`. No torch.

Sessions keep pictures apart: a call names the session and the document that `open_*` returned. Failures are
StudioErrors; one with `status` 404 says that the document is gone and `reopen` brings it back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from PIL import Image

from studio.codebook.answers import AtlasPage, Change, CodebookModel, CodeCard, Film, Opened, Place
from studio.codebook.choices import Corpus, Order
from studio.requests import EditTokens


class CodebookService(Protocol):
    """Open a picture as codes, edit it, look at it, take it along. Called from many threads."""

    def models(self) -> Sequence[CodebookModel]: ...

    def examples(self) -> Sequence[str]: ...

    def example(self, name: str) -> Image.Image: ...

    def open_picture(
        self, session: str, picture: Image.Image, *, model: str = "", side: int = 0, ref: str | None = None
    ) -> Opened: ...

    def open_text(self, session: str, text: str, *, model: str = "") -> Opened: ...

    def reopen(
        self,
        session: str,
        start: str,
        operations: Sequence[dict[str, Any]],
        *,
        model: str = "",
        source: Image.Image | None = None,
        ref: str | None = None,
    ) -> Opened: ...

    def close(self, session: str, document: str) -> None: ...

    def dab(self, session: str, document: str, cells: Sequence[int], *, codes: Sequence[int]) -> Change: ...

    def do(self, session: str, document: str, operation: dict[str, Any]) -> Change: ...

    def undo(self, session: str, document: str) -> Change: ...

    def redo(self, session: str, document: str) -> Change: ...

    def settle(self, session: str, document: str) -> Change: ...

    def view(self, session: str, document: str, name: str) -> Image.Image: ...

    def sprite(self, model: str) -> Image.Image: ...

    def atlas(
        self,
        model: str,
        *,
        order: Order = "similarity",
        dead: bool = False,
        columns: int = 0,
        corpus: Corpus = "examples",
        session: str = "",
    ) -> AtlasPage: ...

    def near_colour(self, model: str, rgb: tuple[int, int, int], *, count: int = 32) -> list[int]: ...

    def card(self, session: str, model: str, code: int, *, document: str = "", count: int = 8) -> CodeCard: ...

    def places(self, session: str, model: str, code: int) -> list[Place]: ...

    def palette(self, session: str, document: str, *, name: str = "") -> dict[str, Any]: ...

    def palette_of(self, picture: Image.Image, *, model: str, name: str = "") -> dict[str, Any]: ...

    def share(self, session: str, document: str) -> str: ...

    def meter(self, session: str, document: str) -> dict[str, Any]: ...

    def film(
        self,
        session: str,
        document: str,
        *,
        kind: str,
        frames: int,
        file: str,
        other: Image.Image | None = None,
    ) -> Film: ...

    def mask(
        self, session: str, document: str, *, cells: Sequence[int] | None = None, ring: int = 1
    ) -> tuple[Image.Image, Image.Image]: ...

    def request(self, session: str, document: str) -> EditTokens: ...
