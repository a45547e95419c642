"""What the Create tab works with beside the studio itself: styles, word lists, history, past runs, series."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from PIL import Image

from studio.errors import StudioError
from studio.forecast import Forecast, PastRuns
from studio.prompt.history import PromptHistory
from studio.prompt.style_pictures import StylePictures, keep_picture
from studio.prompt.wildcards import SHIPPED as SHIPPED_WORDS
from studio.prompt.wildcards import WordLists
from studio.requests import TextToImage
from studio.series.plan import SeriesFolder
from studio.series.run import SeriesRunner
from studio.stylize.presets import SHIPPED, StylePreset, keep_presets, load_presets, read_presets
from studio.ui.studio import ModelCard, Studio

logger = logging.getLogger(__name__)


@dataclass
class Craft:
    """One page's craft; made while the tab is built, torch-free.

    Args:
        studio: The running studio; `extras["create"]` is its PastRuns.
        cards: The models the tab offers.
    """

    studio: Studio
    cards: Sequence[ModelCard]

    @property
    def is_owners(self) -> bool:
        """Whether the page may change what all pages see (styles), and make series."""
        return not self.studio.for_guests

    @cached_property
    def history(self) -> PromptHistory:
        """The prompts used, by owner."""
        return PromptHistory(self.studio.settings.data_dir / "history.sqlite")

    @cached_property
    def runs(self) -> PastRuns:
        """The runs this machine has made."""
        noted = self.studio.extras.get("create")
        return noted if isinstance(noted, PastRuns) else PastRuns(self.studio.settings.cache_dir / "runs.jsonl")

    @cached_property
    def series(self) -> SeriesRunner:
        """Makes grids and batches."""
        folder = SeriesFolder(self.studio.settings.data_dir / "series")
        return SeriesRunner(self.studio.runner, self.studio.gallery, folder)

    @cached_property
    def word_lists(self) -> WordLists:
        """The lists behind `__name__`."""
        return WordLists((SHIPPED_WORDS, self.studio.settings.data_dir / "wildcards"))

    @property
    def own_styles(self) -> Path:
        """Where imported styles are kept."""
        return self.studio.settings.data_dir / "styles"

    def styles(self) -> dict[str, StylePreset]:
        """Return all styles by name, the shipped ones first; a damaged file of one's own is left out and logged."""
        try:
            return load_presets((SHIPPED, self.own_styles) if self.is_owners else (SHIPPED,))
        except StudioError as error:
            logger.warning("styles: %s", error)
            return load_presets((SHIPPED,))

    def import_styles(self, path: Path) -> list[str]:
        """Take in a file of styles; return their names. Raises InvalidRequest, GalleryError."""
        found = read_presets(path)
        keep_presets(found, self.own_styles)
        return [style.name for style in found]

    def style_picture(self, name: str) -> Path | None:
        """Return the picture of a style, if it has one: the artist's own, else the shipped one."""
        return StylePictures((self.own_styles, SHIPPED) if self.is_owners else (SHIPPED,)).of(name)

    def keep_style_picture(self, name: str, picture: Image.Image) -> None:
        """Make `picture`'s middle the picture of a style; raises GalleryError when it cannot be written."""
        keep_picture(name, picture, self.own_styles)

    def card(self, model_id: str) -> ModelCard:
        """Return the model's card, also of one that came later; the first one for an unknown or empty id."""
        known = next((card for card in self.cards if card.id == model_id), None)
        return known or next((card for card in self.studio.models() if card.id == model_id), self.cards[0])

    def forecast(self, request: TextToImage) -> Forecast:
        """Return what `request` will take on this machine."""
        return self.runs.forecast(request, waiting=self.studio.runner.waiting)
