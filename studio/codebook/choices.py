"""What can be chosen by name in codebook exploration: for flags, menus and messages. Importing this loads nothing."""

from __future__ import annotations

from typing import Literal, get_args

Order = Literal["similarity", "hue", "lightness", "texture", "usage", "index"]
ORDERS: tuple[Order, ...] = get_args(Order)

Style = Literal["smooth", "stepped", "dissolve"]
STYLES: tuple[Style, ...] = get_args(Style)
MAX_FRAMES = 600

Corpus = Literal["examples", "gallery"]
CORPORA: tuple[Corpus, ...] = get_args(Corpus)
