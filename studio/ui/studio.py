"""What the page is given: the running studio, as one frozen value, and a model as the page describes it.

Everything here is free of torch: the composition root (`studio.app`) fills it in, tests fill it with less.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from studio.jobs import Queue
from studio.prompt.tokens import TokenCounter
from studio.settings import Settings
from studio.state.drafts import Drafts


@dataclass(frozen=True, slots=True)
class Quality:
    """One of a model's speed-for-finish choices: Draft, Standard or Fine."""

    steps: int
    guidance_scale: float
    scheduler: str


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A model as the page offers it.

    Attributes:
        id: What a request calls it.
        title: What an artist calls it.
        sizes: (width, height) presets in pixels, the model's own size first.
        schedulers: Scheduler id -> name, those that fit the model, the best first.
        qualities: "draft", "standard", "fine" -> settings.
        style_words: Words of the training captions that set a style ("3d style").
        examples: Prompts that show what the model can do.
        count_tokens: Says how long a prompt is to the model; None: nobody knows.
        is_inpainting: It repaints masked parts and makes no picture from words alone.
        draws_tokens: It draws a VQGAN's tokens, in few steps, instead of taking noise away.
        is_stock: A stock pipeline runs it: it makes pictures from prompts and nothing else.
    """

    id: str
    title: str
    sizes: tuple[tuple[int, int], ...]
    schedulers: Mapping[str, str]
    qualities: Mapping[str, Quality]
    style_words: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    count_tokens: TokenCounter | None = None
    is_inpainting: bool = False
    draws_tokens: bool = False
    is_stock: bool = False


@dataclass(frozen=True, slots=True)
class Status:
    """What the engine is doing: `busy_with` ("loading tessera-256"; empty: ready) and a lasting `notice`."""

    busy_with: str = ""
    notice: str = ""


Owner: TypeAlias = str


@dataclass(frozen=True, slots=True)
class Studio:
    """The running studio as the page sees it.

    Attributes:
        runner: Takes requests and tells what becomes of them.
        gallery: Finished pictures (`studio.gallery.Gallery`).
        pictures: Uploaded pictures by content hash (`studio.pictures.PictureStore`).
        settings: The settings in force.
        models: Lists the models there are; asked anew whenever a page is opened.
        status: What the engine is doing at this moment.
        sees: Session -> the owner whose pictures it may see, or None for everybody's.
        drafts: Keeps what lies unsent on every page; None: a reload empties it.
        extras: What single tabs need beyond this, by tab id (the codebook's callables, for one).
        for_guests: The page is for guests of a share: only tabs and routes that are made for them are on it.
        start: Names this start of the studio, for a page to notice that there has been another.
    """

    runner: Queue
    gallery: Any
    pictures: Any
    settings: Settings
    models: Callable[[], Sequence[ModelCard]]
    status: Callable[[], Status] = Status
    sees: Callable[[Owner], Owner | None] = lambda session: session
    extras: Mapping[str, Any] = field(default_factory=dict)
    drafts: Drafts | None = None
    for_guests: bool = False
    start: str = field(default_factory=lambda: secrets.token_hex(4))
