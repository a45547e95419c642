"""Size and quality presets of a model, kept in step with the single controls they stand for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.i18n import I18nData

from studio.ui.form import Form
from studio.ui.studio import ModelCard, Quality
from studio.ui.tabs.tab import QUICK
from studio.ui.texts import text

_QUALITIES = ("draft", "standard", "fine")

NO_MODEL = ModelCard(
    id="",
    title="",
    sizes=((256, 256),),
    schedulers={"dpmpp_2m": "DPM++ 2M"},
    qualities={"standard": Quality(steps=20, guidance_scale=4.0, scheduler="dpmpp_2m")},
)


class Cards(Mapping[str, ModelCard]):
    """The models there are at this moment, by id: models come and go while the page is open.

    Args:
        listed: Lists them; an id that is gone gives the first of them.
    """

    def __init__(self, listed: Callable[[], Sequence[ModelCard]]) -> None:
        self._listed = listed

    def __getitem__(self, model_id: str) -> ModelCard:
        cards = self._listed()
        return next((card for card in cards if card.id == model_id), cards[0] if cards else NO_MODEL)

    def __iter__(self) -> Iterator[str]:
        return iter([card.id for card in self._listed()])

    def __len__(self) -> int:
        return len(self._listed())

    def choices(self) -> list[tuple[str, str]]:
        """Return (title, id) of each, for a dropdown."""
        return [(card.title, card.id) for card in self._listed() or [NO_MODEL]]


@dataclass(frozen=True, slots=True)
class Presets:
    """What a model decides beside the form's own controls: size and quality choices, words to click."""

    size: gr.Radio
    quality: gr.Radio
    style_words: gr.HTML
    examples: gr.HTML


def size_title(size: tuple[int, int]) -> str:
    """Return what a size preset is called: "256 × 256"."""
    return f"{size[0]} × {size[1]}"


def quality_of(card: ModelCard, name: str) -> Quality:
    """Return the settings of a quality choice; a model without that choice gives its standard or only one."""
    return card.qualities.get(name) or card.qualities.get("standard") or next(iter(card.qualities.values()))


def quality_choices(card: ModelCard) -> list[tuple[I18nData, str]]:
    """Return (title, name) of each quality a model has, the quickest first."""
    return [(text(name), name) for name in _QUALITIES if name in card.qualities]


def scheduler_choices(card: ModelCard) -> list[tuple[str, str]]:
    """Return (title, id) of each scheduler that fits a model."""
    return [(title, name) for name, title in card.schedulers.items()]


def wire_presets(form: Form, presets: Presets, cards: Mapping[str, ModelCard]) -> None:
    """Keep presets and single values in step: a preset sets values, a value set by hand releases its preset."""
    control = form.controls
    width, height = control["width"], control["height"]

    def sizes() -> dict[str, tuple[int, int]]:
        return {size_title(size): size for card in cards.values() for size in card.sizes}

    def set_size(title: str) -> list[Any]:
        return list(sizes().get(title, (gr.skip(), gr.skip())))

    def name_size(w: float, h: float) -> str | None:
        title = size_title((int(w), int(h)))
        return title if title in sizes() else None

    presets.size.input(set_size, [presets.size], [width, height], **QUICK)
    gr.on([width.change, height.change], name_size, [width, height], [presets.size], **QUICK)  # type: ignore[attr-defined]
    wire_quality(form, presets.quality, cards)
    _wire_model(form, presets, cards)


def wire_quality(form: Form, quality: gr.Radio, cards: Mapping[str, ModelCard]) -> None:
    """Keep the quality choice in step with steps, guidance and scheduler, as `wire_presets` does."""
    model = form.controls["model"]
    drawn = [form.controls[name] for name in ("steps", "guidance_scale", "scheduler")]

    def set_quality(name: str, model_id: str) -> list[Any]:
        chosen = quality_of(cards[model_id], name)
        return [chosen.steps, chosen.guidance_scale, chosen.scheduler]

    def name_quality(steps: float, guidance: float, scheduler: str, model_id: str) -> str | None:
        here = Quality(int(steps), float(guidance), scheduler)
        return next((name for name, quality in cards[model_id].qualities.items() if quality == here), None)

    quality.input(set_quality, [quality, model], drawn, **QUICK)
    gr.on([it.change for it in drawn], name_quality, [*drawn, model], [quality], **QUICK)  # type: ignore[attr-defined]


def _wire_model(form: Form, presets: Presets, cards: Mapping[str, ModelCard]) -> None:
    control = form.controls

    def change_model(model_id: str) -> list[Any]:
        card = cards[model_id]
        standard, sizes = quality_of(card, "standard"), [size_title(size) for size in card.sizes]
        return [
            gr.Radio(sizes, value=sizes[0]),
            *card.sizes[0],
            gr.Radio(quality_choices(card), value="standard" if "standard" in card.qualities else None),
            standard.steps,
            standard.guidance_scale,
            gr.Dropdown(scheduler_choices(card), value=standard.scheduler),
            {"title": "style_words", "words": list(card.style_words)},
            {"title": "examples", "words": list(card.examples)},
        ]

    changed = [control[name] for name in ("width", "height")]
    drawn = [control[name] for name in ("steps", "guidance_scale", "scheduler")]
    outputs = [presets.size, *changed, presets.quality, *drawn, presets.style_words, presets.examples]
    control["model"].input(change_model, [control["model"]], outputs, **QUICK)  # type: ignore[attr-defined]
