"""The picture that follows the brush: every edit repaints a patch at once, and an exact decode follows beside it.

Edits shift the statistics that the whole picture is normalised with, so what a patch leaves out is a slight change of
everything else. It grows with the share of tokens that changed. At half of what a model stands (`Reach.drift`) a
thread of its own begins an exact decode; the first edit after its end shows that picture, with the patches painted
meanwhile on top. Each exact decode tells how large the change really was, and so what this picture stands of these
edits. `settle` makes all exact, which the desk asks for when a stroke ends, and for everything saved.
"""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from studio.codebook.boxes import Box, changed_box
from studio.codebook.local import MAX_DRIFT, TOLERANCE, LocalDecoder
from studio.codebook.recording import Recording
from studio.codebook.tokens import TokenMap
from studio.codebook.vqgan import to_picture
from studio.errors import InvalidRequest

MAX_SHARE = 0.7  # of the picture; a larger patch costs as much as all of it


@dataclass(frozen=True, slots=True)
class Patch:
    """A piece of picture to put at (left, top); `exact` when it is what a full decode gives."""

    image: Image.Image
    left: int
    top: int
    exact: bool


@dataclass(slots=True)
class _Refresh:
    """An exact decode under way: of which map, and where patches were painted since it began."""

    tokens: TokenMap
    result: Future[tuple[NDArray[np.uint8], Recording]]
    since: list[Box]


class LivePicture:
    """A picture being painted: each edit repaints a patch at once; `settle` makes all of it exact.

    `image` is what the artist sees. It may differ from the exact decode by less than one level of 255 on average,
    over all its pixels, until `settle`; whatever is saved must come from `settle` or `Vqgan.decode`.
    """

    def __init__(self, decoder: LocalDecoder, tokens: TokenMap) -> None:
        self._decoder = decoder
        self._pixels, self._recording = decoder.record(tokens)
        self._tokens = self._recorded = tokens
        self._refresh: _Refresh | None = None
        self._limit = decoder.reach.drift if decoder.reach else 0.0
        self.is_exact = True

    @property
    def tokens(self) -> TokenMap:
        """The map shown."""
        return self._tokens

    @property
    def image(self) -> Image.Image:
        """The picture shown."""
        return to_picture(self._pixels, self._tokens.size)

    def edit(self, tokens: TokenMap) -> Patch | None:
        """Show `tokens` and return what to repaint, or None when nothing changed.

        Raises:
            InvalidRequest: `tokens` has another size or model.
        """
        if tokens.size != self._tokens.size:
            raise InvalidRequest(f"The picture is {self._tokens.size} pixels, the edit {tokens.size}.")
        self._decoder.vqgan.check(tokens)
        box = changed_box(self._tokens, tokens)
        if box is None:
            return None
        reach, shape = self._decoder.reach, tokens.shape
        box = box.grown(reach.paste if reach else 0, shape)
        share = (box.bottom - box.top) * (box.right - box.left) / (shape[0] * shape[1])
        if reach is None or share > MAX_SHARE:
            return self._repainted(tokens)
        is_whole = self._take_refresh(wait=self._drift(tokens) > self._limit)
        recording = self._recording.hold()
        if self._drift(tokens) > self._limit or not recording.is_complete:  # none under way, or begun too early
            return self._repainted(tokens)
        self._paint(tokens, box, recording)
        if self._refresh is None and self._drift(tokens) > self._limit / 2:
            self._refresh = _Refresh(tokens, self._decoder.record_aside(tokens), [])
        return self._whole() if is_whole else self._patch(box)

    def settle(self) -> Image.Image:
        """Decode the whole map exactly, record it for further edits, and return the picture."""
        painted, self._pixels = self._pixels, self._decoded()
        self._learn(painted, self._pixels, self._tokens)
        self._recorded, self.is_exact = self._tokens, True
        return self.image

    def _repainted(self, tokens: TokenMap) -> Patch:
        """Show the exact decode of `tokens`, which no patch was painted of: there is nothing to learn from."""
        self._tokens = self._recorded = tokens
        self._pixels, self.is_exact = self._decoded(), True
        return Patch(self.image, 0, 0, exact=True)

    def _decoded(self) -> NDArray[np.uint8]:
        """Return the exact pixels, of an exact decode under way where it is of this map; its recording is in use."""
        refresh, self._refresh = self._refresh, None
        if refresh is not None and refresh.tokens == self._tokens:
            pixels, self._recording = refresh.result.result()
        else:
            pixels, self._recording = self._decoder.record(self._tokens)
        return pixels

    def _drift(self, tokens: TokenMap) -> float:
        """Return the share of tokens that differ from the map whose statistics are in use."""
        return float((tokens.codes != self._recorded.codes).mean())

    def _take_refresh(self, *, wait: bool) -> bool:
        """Show an exact decode that has ended, under what was painted since; returns whether there was one."""
        refresh = self._refresh
        if refresh is None or not (wait or refresh.result.done()):
            return False
        self._refresh = None
        pixels, recording = refresh.result.result()
        for box in refresh.since:
            at = box.scaled(self._tokens.factor)
            recording.take(box, self._recording, rows=self._tokens.shape[0])
            pixels[at.top : at.bottom, at.left : at.right] = self._pixels[at.top : at.bottom, at.left : at.right]
        self._learn(self._pixels, pixels, refresh.tokens)
        self._pixels, self._recording, self._recorded = pixels, recording, refresh.tokens
        return True

    def _learn(self, painted: NDArray[np.uint8], exact: NDArray[np.uint8], tokens: TokenMap) -> None:
        """Set how much may change before the next exact decode by how far the last edits were `painted` off `exact`."""
        share = self._drift(tokens)
        error = float(np.abs(painted.astype(np.int16) - exact).mean())
        if self._decoder.reach is not None and share > 0:
            self._limit = min(MAX_DRIFT, TOLERANCE * share / max(error, 1e-6))

    def _paint(self, tokens: TokenMap, box: Box, recording: Recording) -> None:
        at = box.scaled(tokens.factor)
        self._pixels[at.top : at.bottom, at.left : at.right] = self._decoder.decode(tokens, box, recording)
        self._tokens, self.is_exact = tokens, False
        if self._refresh is not None:
            self._refresh.since.append(box)

    def _patch(self, box: Box) -> Patch:
        at, (width, height) = box.scaled(self._tokens.factor), self._tokens.size
        pixels = self._pixels[at.top : at.bottom, at.left : at.right]
        shown = to_picture(pixels, (min(at.right, width) - at.left, min(at.bottom, height) - at.top))
        return Patch(shown, at.left, at.top, exact=False)

    def _whole(self) -> Patch:
        return Patch(self.image, 0, 0, exact=False)
