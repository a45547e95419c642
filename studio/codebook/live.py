"""The picture that follows the brush: every edit repaints a patch at once, and an exact decode follows beside it.

Edits shift the statistics that the whole picture is normalised with, and so its colours. Nothing of that is in a
patch; it is predicted (`studio.codebook.shift`) and added to the picture shown. What the prediction leaves grows with
the share of tokens that changed, less where they changed as known ones did. At half of what a model stands
(`Reach.drift`) a thread of its own begins an exact decode; the first edit after its end shows that picture, with the
patches painted meanwhile on top. Each exact decode tells how large the shift really was, and so what this picture
stands of these edits. `settle` makes all exact, which the desk asks for when a stroke ends, and for everything saved.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from studio.codebook.boxes import Box, changed_box
from studio.codebook.local import MAX_DRIFT, TOLERANCE, LocalDecoder
from studio.codebook.recording import Recording
from studio.codebook.shift import ColourShift, Matrix, fit, shifted
from studio.codebook.tokens import TokenMap
from studio.codebook.vqgan import to_picture
from studio.errors import InvalidRequest

MAX_SHARE = 0.7  # of the picture; a larger patch costs as much as all of it
STEP = 0.25  # levels of 255 by which the shift must change before the whole picture is sent again
LIKE = 0.5  # share of a change that must be like known ones, or the prediction tells nothing
TRUSTED = 0.8  # of the error; a shift that was last predicted worse than this is not added
LEAST_LEFT = 0.4  # the share that the measured one is never below: edits differ


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
        self._shift = ColourShift(decoder.vqgan.vectors)
        self._matrix: Matrix = np.zeros((4, 3))  # the shift in the picture shown
        self._left = 1.0  # of the error, where a shift like known ones is predicted; nothing is trusted unmeasured
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
            return self._repainted(tokens, box)
        is_whole = self._take_refresh(wait=self._drift(tokens) > self._limit)
        recording = self._recording.hold()
        if self._drift(tokens) > self._limit or not recording.is_complete:  # none under way, or begun too early
            return self._repainted(tokens, box)
        is_whole |= self._paint(tokens, box, recording)
        if self._refresh is None and self._drift(tokens) > self._limit / 2:
            self._refresh = _Refresh(tokens, self._decoder.record_aside(tokens), [])
        return self._whole() if is_whole else self._patch(box)

    def settle(self) -> Image.Image:
        """Decode the whole map exactly, record it for further edits, and return the picture."""
        self._begin(self._decoded(), self._tokens)
        return self.image

    def _repainted(self, tokens: TokenMap, box: Box) -> Patch:
        """Show the exact decode of `tokens`; no patch was painted of what changed in `box`."""
        self._tokens = tokens
        self._begin(self._decoded(box), tokens)
        return Patch(self.image, 0, 0, exact=True)

    def _begin(self, exact: NDArray[np.uint8], tokens: TokenMap) -> None:
        self._pixels, self._recorded, self._matrix, self.is_exact = exact, tokens, np.zeros((4, 3)), True

    def _decoded(self, *unpainted: Box) -> NDArray[np.uint8]:
        """Return the exact pixels, of an exact decode under way where it is of this map; its recording is in use."""
        refresh, self._refresh = self._refresh, None
        painted = self._recording.hold()
        if refresh is not None and refresh.tokens == self._tokens:
            pixels, self._recording = refresh.result.result()
        else:
            pixels, self._recording = self._decoder.record(self._tokens)
        exact = self._recording.hold()
        if painted.is_complete and exact.is_complete:
            self._learn(painted, exact, self._tokens, unpainted, limits=not unpainted)
        return pixels

    def _drift(self, tokens: TokenMap) -> float:
        """Return the share of tokens that differ from the map whose statistics are in use, less what is predicted."""
        share = float((tokens.codes != self._recorded.codes).mean())
        _, known = self._shift.predict(self._shift.change(self._recorded, tokens))
        return share * (1 - known * (1 - self._left))

    def _take_refresh(self, *, wait: bool) -> bool:
        """Show an exact decode that has ended, under what was painted since; returns whether there was one."""
        refresh = self._refresh
        if refresh is None or not (wait or refresh.result.done()):
            return False
        self._refresh = None
        pixels, recording = refresh.result.result()
        exact, painted = recording.hold(), self._recording.hold()
        if exact.is_complete and painted.is_complete:
            matrix = self._learn(painted, exact, refresh.tokens, refresh.since)
            for box in refresh.since:
                exact.take(box, painted, rows=self._tokens.shape[0], then=lambda patch: shifted(patch, matrix))
            pixels = self._decoder.vqgan.to_uint8(exact.pixels)[0]
        else:  # one of them had to make room
            for box in refresh.since:
                at = box.scaled(self._tokens.factor)
                pixels[at.top : at.bottom, at.left : at.right] = self._pixels[at.top : at.bottom, at.left : at.right]
        self._recording = recording
        self._begin(pixels, refresh.tokens)
        self.is_exact = not refresh.since
        return True

    def _learn(
        self, painted: Recording, exact: Recording, tokens: TokenMap, since: Sequence[Box], *, limits: bool = True
    ) -> Matrix:
        """Set how much may change before the next exact decode by how far the last edits were `painted` off `exact`.

        Pixels painted `since` count for nothing; an edit that was not painted at all sets no `limits`, since the next
        may do more. Returns the shift of the edits up to `tokens`.
        """
        away = np.ones(self._pixels.shape[:2], bool)
        for box in since:
            at = box.scaled(tokens.factor)
            away[at.top : at.bottom, at.left : at.right] = False
        matrix, change = fit(painted.pixels, exact.pixels, away), self._shift.change(self._recorded, tokens)
        predicted, known = self._shift.predict(change)
        before = self._decoder.error(painted.pixels, exact.pixels, away)
        share = float((tokens.codes != self._recorded.codes).mean())
        if share > 0 and away.any():
            if limits:
                self._limit = min(MAX_DRIFT, TOLERANCE * share / max(before, 1e-6))
            left = self._decoder.error(shifted(painted.pixels, predicted), exact.pixels, away) / max(before, 1e-6)
            if known > LIKE:
                self._left = min(1.0, max(LEAST_LEFT, 1 - (1 - left) / known))
            self._shift.learn(change, matrix)
        return matrix

    def _paint(self, tokens: TokenMap, box: Box, recording: Recording) -> bool:
        """Show `tokens`, decoded in `box`; returns whether the rest of the picture changed, too."""
        self._decoder.decode(tokens, box, recording)
        self._tokens, self.is_exact = tokens, False
        if self._refresh is not None:
            self._refresh.since.append(box)
        matrix, _ = self._shift.predict(self._shift.change(self._recorded, tokens))
        if self._left > TRUSTED:
            matrix = np.zeros((4, 3))
        sample = recording.pixels[..., ::8, ::8]
        moved = self._decoder.error(shifted(sample, matrix), shifted(sample, self._matrix))
        at = box.scaled(tokens.factor) if moved < STEP else Box(0, 0, *self._pixels.shape[:2])
        self._matrix = self._matrix if moved < STEP else matrix
        place = slice(at.top, at.bottom), slice(at.left, at.right)
        self._pixels[place] = self._decoder.vqgan.to_uint8(shifted(recording.pixels[..., *place], self._matrix))[0]
        return moved >= STEP

    def _patch(self, box: Box) -> Patch:
        at, (width, height) = box.scaled(self._tokens.factor), self._tokens.size
        pixels = self._pixels[at.top : at.bottom, at.left : at.right]
        shown = to_picture(pixels, (min(at.right, width) - at.left, min(at.bottom, height) - at.top))
        return Patch(shown, at.left, at.top, exact=False)

    def _whole(self) -> Patch:
        return Patch(self.image, 0, 0, exact=False)
