"""A picture on the painting desk: its map with undo and redo, and the picture that follows the brush."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from studio.codebook.answers import Change
from studio.codebook.history import Delta, History
from studio.codebook.kits import Kit
from studio.codebook.live import LivePicture, Patch
from studio.codebook.operations import Operation
from studio.codebook.places import pixel_mask
from studio.codebook.share import share
from studio.codebook.tokens import TokenMap, check_codes
from studio.errors import InvalidRequest

NOTHING = np.zeros(0, np.int64), np.zeros(0, np.int32)


class Document:
    """One picture being edited; calls from several threads take turns.

    Args:
        model: What requests call the model.
        source: The original at the picture's size, where there is one.
        source_ref: Content hash of what was opened, for the recipe.
    """

    def __init__(
        self,
        kit: Kit,
        tokens: TokenMap,
        *,
        model: str,
        source: Image.Image | None = None,
        source_ref: str | None = None,
    ) -> None:
        self.kit, self.model, self.source, self.source_ref = kit, model, source, source_ref
        self.start_text = share(tokens)
        self._history = History(tokens, kit.space)
        self._live = LivePicture(kit.decoder, tokens)
        self._turn = threading.Lock()

    @property
    def tokens(self) -> TokenMap:
        """The map with every recorded operation."""
        return self._history.map

    @property
    def start(self) -> TokenMap:
        """The map before the first operation."""
        return self._history.start

    @property
    def operations(self) -> tuple[Operation, ...]:
        """The operations in force."""
        return self._history.operations

    def picture(self) -> Image.Image:
        """Return the exact picture of the recorded map."""
        with self._turn:
            self._live.edit(self._history.map)
            return self._live.image if self._live.is_exact else self._live.settle()

    def dab(self, cells: Sequence[int], codes: Sequence[int]) -> Change:
        """Show `codes` at flat `cells` without recording them: the brush is still down."""
        with self._turn:
            shown = self._live.tokens
            wanted = shown.codes.copy()
            where, what = np.array(cells, np.int64), np.array(codes, np.int32)
            if where.shape != what.shape:
                raise InvalidRequest(f"There are {len(where)} cells but {len(what)} codes to paint.")
            if len(where) and (where.min() < 0 or where.max() >= wanted.size):
                raise InvalidRequest(f"There is no token {int(where.max())} in a picture of {wanted.size} tokens.")
            check_codes(what, shown.codebook_size)
            wanted.ravel()[where] = what
            return self._change(where, what, self._live.edit(shown.with_codes(wanted)))

    def do(self, operation: Operation) -> Change:
        """Apply and record `operation`; what a brush has shown meanwhile gives way to it."""
        with self._turn:
            count = len(self._history.operations)
            delta = self._history.do(operation)
            change = self._show(delta)
            recorded = len(self._history.operations) > count
            return replace(change, operation=operation.model_dump(mode="json") if recorded else None)

    def undo(self) -> Change:
        """Take the last operation back; nothing happens where there is none."""
        with self._turn:
            delta = self._history.undo()
            return self._show(replace(delta, after=delta.before) if delta else None)

    def redo(self) -> Change:
        """Do the last operation that was taken back again."""
        with self._turn:
            return self._show(self._history.redo())

    def settle(self) -> Change:
        """Make the picture shown exactly what the recorded map decodes to, and return all of it."""
        with self._turn:
            before = self._live.tokens
            self._live.edit(self._history.map)
            cells = np.flatnonzero(before.codes != self._history.map.codes)
            image = self._live.image if self._live.is_exact else self._live.settle()
            return self._change(cells, self._history.map.codes.ravel()[cells], Patch(image, 0, 0, exact=True))

    def mask(self, cells: Sequence[int] | None = None, *, ring: int = 1) -> Image.Image:
        """Return a grey mask of the edited tokens (or of `cells`) and `ring` tokens around them; 255 is marked.

        Raises:
            InvalidRequest: Nothing was edited and no cells are given.
        """
        tokens = self.tokens
        marked = tokens.codes != self.start.codes
        if cells is not None:
            marked = np.zeros(tokens.shape, bool)
            marked.ravel()[np.clip(np.array(cells, np.int64), 0, marked.size - 1)] = True
        if not marked.any():
            raise InvalidRequest("No part of the picture is edited or selected.", "Paint or select a part first.")
        side = 2 * ring + 1
        grown = cv2.dilate(marked.astype(np.uint8), np.ones((side, side), np.uint8)).astype(bool)
        return Image.fromarray(pixel_mask(grown, tokens.size, tokens.factor).astype(np.uint8) * 255)

    def _show(self, delta: Delta | None) -> Change:
        cells, codes = (delta.cells, delta.after) if delta else NOTHING
        return self._change(cells, codes, self._live.edit(self._history.map))

    def _change(self, cells: NDArray[np.int64], codes: NDArray[np.int32], patch: Patch | None) -> Change:
        return Change(
            cells=cells,
            codes=codes,
            image=patch.image if patch else None,
            left=patch.left if patch else 0,
            top=patch.top if patch else 0,
            exact=self._live.is_exact,
            can_undo=self._history.can_undo,
            can_redo=self._history.can_redo,
        )
