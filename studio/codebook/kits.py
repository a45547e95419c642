"""Models ready to paint with: loaded, calibrated, their atlas made, their codes counted; each on first use."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from studio.codebook.atlas import Atlas, open_atlas
from studio.codebook.local import LocalDecoder
from studio.codebook.neighbours import CodeSpace
from studio.codebook.tokens import TokenMap
from studio.codebook.usage import Usage, count_usage
from studio.codebook.vqgan import Vqgan, as_rgb
from studio.errors import InvalidRequest

MAX_KITS = 2
MAX_MAPS = 1000
CORPUS_SIDE = 256


@dataclass(frozen=True, eq=False)
class Kit:
    """One model ready to paint with."""

    vqgan: Vqgan
    decoder: LocalDecoder
    atlas: Atlas
    space: CodeSpace


class Kits:
    """Makes kits and keeps the last MAX_KITS; counts codes over named pictures; all threads may use it.

    Args:
        load: Model id ("" is the default) -> Vqgan.
        corpus: Name -> opener of the pictures that usage is counted over.
        cache_dir: Where atlases and counts are kept.
    """

    def __init__(
        self, load: Callable[[str], Vqgan], *, corpus: Mapping[str, Callable[[], Image.Image]], cache_dir: Path
    ) -> None:
        self._load, self._corpus, self._cache_dir = load, corpus, cache_dir
        self._making = threading.Lock()
        self._kits: OrderedDict[str, Kit] = OrderedDict()
        self._usages: dict[str, Usage | None] = {}
        self._maps: OrderedDict[tuple[str, Hashable], TokenMap] = OrderedDict()

    def kit(self, model: str) -> Kit:
        """Return the kit of `model`; raises ModelError or UnknownName where there is none."""
        with self._making:
            if model not in self._kits:
                vqgan = self._load(model)
                atlas = open_atlas(vqgan, self._cache_dir)
                self._kits[model] = Kit(vqgan, LocalDecoder(vqgan), atlas, atlas.space(vqgan.vectors))
                while len(self._kits) > MAX_KITS:
                    self._kits.popitem(last=False)
            self._kits.move_to_end(model)
            return self._kits[model]

    def usage(self, model: str) -> Usage | None:
        """Return how often each code occurs in the corpus, or None where there is no corpus."""
        kit = self.kit(model)
        checksum = kit.vqgan.checksum
        with self._making:
            if checksum not in self._usages:
                self._usages[checksum] = self._counted(kit) if self._corpus else None
            return self._usages[checksum]

    def maps(self, kit: Kit, pictures: Iterable[tuple[str, Image.Image]]) -> Iterator[tuple[str, TokenMap]]:
        """Yield the token maps of named pictures that never change under their names; kept for the next time."""
        for name, picture in pictures:
            key = (kit.vqgan.checksum, name)
            with self._making:
                known = self._maps.get(key)
            if known is None:
                known = kit.vqgan.encode(fitted(as_rgb(picture), CORPUS_SIDE))
                with self._making:
                    self._maps[key] = known
                    while len(self._maps) > MAX_MAPS:
                        self._maps.popitem(last=False)
            yield name, known

    def _counted(self, kit: Kit) -> Usage:
        path = self._cache_dir / f"usage-{kit.vqgan.checksum[:16]}-{len(self._corpus)}.json"
        try:
            return Usage.load(path)
        except InvalidRequest:  # not counted yet
            maps = (kit.vqgan.encode(fitted(as_rgb(opener()), CORPUS_SIDE)) for opener in self._corpus.values())
            usage = count_usage(maps, corpus="the example pictures")
            usage.save(path)
            return usage


def fitted(picture: Image.Image, side: int) -> Image.Image:
    """Return `picture`, made smaller where its longer side is above `side` pixels; never larger."""
    longest = max(picture.size)
    if longest <= side:
        return picture
    width, height = (max(1, round(length * side / longest)) for length in picture.size)
    return picture.resize((width, height), Image.Resampling.LANCZOS)
