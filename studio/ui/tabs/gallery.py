"""The gallery tab: everything made, newest first; how each was made; star, download, trash and undo."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import gradio as gr

from studio.errors import StudioError
from studio.gallery.entry import Entry, Filters
from studio.ui import components
from studio.ui.sends import picture_id
from studio.ui.stream import picture_url, thumbnail_url
from studio.ui.tabs.tab import QUICK, Page, Tab
from studio.ui.texts import FIELDS, text

_PAGE_LENGTH = 60
_SHELF = '<div class="shelf" role="listbox" tabindex="0"></div><button class="shelf-more" type="button"></button>'


@dataclass(frozen=True, slots=True)
class _Parts:
    search: gr.Textbox
    starred: gr.Checkbox
    shelf: gr.HTML
    card: gr.HTML
    actions: gr.Row
    star: gr.Button
    trash: gr.Button
    undo: gr.Row
    undo_button: gr.Button
    notice: gr.HTML


def build(page: Page) -> None:
    """Lay out the tab and wire it."""
    with gr.Row(elem_classes=["gallery-desk"]):
        with gr.Column(elem_classes=["gallery-shelf"], min_width=0):
            with gr.Row(elem_classes=["gallery-bar"]):
                search = gr.Textbox(
                    label=text("search"), show_label=False, container=False, placeholder=text("search_placeholder"),
                    elem_id="gallery-search", scale=3, min_width=120,
                )  # fmt: skip
                starred = gr.Checkbox(label=text("starred_only"), container=False, scale=1, min_width=120)
            with gr.Row(visible=False, elem_classes=["gallery-undo"]) as undo:
                components.piece("label", "trashed", elem_classes=["gallery-undo-text"])
                undo_button = gr.Button(text("undo"), size="sm", min_width=60, elem_id="gallery-undo")
            notice = components.notice()
            shelf = components.piece(
                "shelf", None, scripts=["page/gallery.js"], markup=_SHELF, events=["choose", "more"],
                elem_id="shelf",
            )  # fmt: skip
        with gr.Column(elem_classes=["gallery-card"], min_width=0):
            card = components.piece("card", None, scripts=["page/gallery.js"], elem_id="card")
            with gr.Row(visible=False, elem_classes=["card-actions"]) as actions:
                page.sends.reuse_button(card, text("use_settings"), elem_id="gallery-use-settings")
                download = gr.Button(text("download"), size="sm", min_width=80)
                star = gr.Button(text("star"), size="sm", min_width=80, elem_id="gallery-star")
                page.sends.buttons(card, source=TAB.id)
                trash = gr.Button(text("trash"), size="sm", min_width=80, elem_id="gallery-trash")
    download.click(None, [card], None, js="(card) => { tessera.download(card && {pictures: [card]}); }")
    parts = _Parts(search, starred, shelf, card, actions, star, trash, undo, undo_button, notice)
    _wire_shelf(page, parts)
    _wire_marks(page, parts)


def shelf_item(entry: Entry) -> dict[str, Any]:
    """Return what the shelf shows of an entry."""
    return {
        "id": entry.id,
        "thumbnail": thumbnail_url(entry.id),
        "url": picture_url(entry.id),
        "alt": entry.prompt or entry.kind,
        "starred": entry.starred,
    }


def card_value(entry: Entry, names: Mapping[str, str] = MappingProxyType({})) -> dict[str, Any]:
    """Return what the card shows of an entry: its words, and its settings as (key of the title, value) pairs.

    Args:
        names: What models and schedulers are called, by id.
    """
    settings = {**entry.recipe.settings, "seed": entry.seed}
    shown = [name for name in FIELDS if name not in ("prompt", "negative_prompt", "batch", "width", "height")]
    values = {name: str(settings[name]) for name in shown if settings.get(name) not in (None, "")}
    rows = [(f"field_{name}", names.get(value, value)) for name, value in values.items()]
    return {
        **shelf_item(entry),
        "prompt": entry.prompt,
        "negative_prompt": entry.negative_prompt,
        "rows": [("size_pixels", f"{entry.width} × {entry.height}"), *rows],
        "made": entry.created.isoformat(),
    }


def names_of(page: Page) -> dict[str, str]:
    """Return what the studio's models and schedulers are called, by id."""
    cards = page.studio.models()
    return {name: title for card in cards for name, title in [(card.id, card.title), *card.schedulers.items()]}


def _wire_shelf(page: Page, parts: _Parts) -> None:
    gallery, names = page.studio.gallery, names_of(page)
    filters = [parts.search, parts.starred]

    def look(words: str, starred: bool, request: gr.Request, *, before: str | None = None) -> dict[str, Any]:
        chosen = Filters(text=words, starred=True if starred else None)
        found = gallery.page(before, _PAGE_LENGTH, chosen, page.sees(request))
        empty = "gallery_no_match" if words or starred else "gallery_empty"
        return {"pictures": [shelf_item(entry) for entry in found.entries], "next": found.next, "empty": empty}

    def refresh(words: str, starred: bool, request: gr.Request) -> list[Any]:
        try:
            return [look(words, starred, request), None]
        except StudioError as error:
            return [gr.skip(), components.notice_value(error)]

    def more(shelf: dict[str, Any], words: str, starred: bool, request: gr.Request) -> Any:
        before = shelf.get("next")
        if not isinstance(before, str):
            return gr.skip()
        further = look(words, starred, request, before=before)
        return {**further, "pictures": [*shelf["pictures"], *further["pictures"]]}

    def choose(request: gr.Request, event: gr.EventData) -> list[Any]:
        try:
            entry = page.entry(str(event._data["id"]), request)
        except StudioError as error:
            return [gr.skip(), gr.skip(), gr.skip(), components.notice_value(error)]
        return [card_value(entry, names), gr.Row(visible=True), _star_button(entry.starred), None]

    shown = [parts.shelf, parts.notice]
    page.tabs[TAB.id].select(refresh, filters, shown, **QUICK)
    parts.starred.input(refresh, filters, shown, trigger_mode="always_last", **QUICK)
    parts.search.change(refresh, filters, shown, trigger_mode="always_last", **QUICK)
    parts.shelf.more(more, [parts.shelf, *filters], [parts.shelf], **QUICK)
    parts.shelf.choose(
        choose, None, [parts.card, parts.actions, parts.star, parts.notice], trigger_mode="always_last", **QUICK
    )


def _wire_marks(page: Page, parts: _Parts) -> None:
    gallery, names = page.studio.gallery, names_of(page)

    def star(card: dict[str, Any], shelf: dict[str, Any], request: gr.Request) -> list[Any]:
        record = picture_id(card)
        try:
            gallery.star([record], not page.entry(record, request).starred, owner=page.sees(request))
            entry = page.entry(record, request)
        except StudioError as error:
            return [gr.skip(), gr.skip(), gr.skip(), components.notice_value(error)]
        return [card_value(entry, names), _with(shelf, entry), _star_button(entry.starred), None]

    def trash(card: dict[str, Any], shelf: dict[str, Any], request: gr.Request) -> list[Any]:
        record = picture_id(card)
        try:
            gallery.trash([record], owner=page.sees(request))
        except StudioError as error:
            return [gr.skip()] * 4 + [components.notice_value(error)]
        left = [item for item in shelf["pictures"] if item["id"] != record]
        value = {**shelf, "pictures": left, "trashed": record}
        return [None, value, gr.Row(visible=False), gr.Row(visible=True), None]

    def undo(shelf: dict[str, Any], words: str, starred: bool, request: gr.Request) -> list[Any]:
        record = shelf.get("trashed")
        try:
            gallery.restore([record], owner=page.sees(request))
            entry = page.entry(str(record), request)
        except StudioError as error:
            return [gr.skip()] * 4 + [components.notice_value(error)]
        pictures = sorted([*shelf["pictures"], shelf_item(entry)], key=lambda item: str(item["id"]), reverse=True)
        value = {**shelf, "pictures": pictures, "trashed": None}
        return [card_value(entry, names), value, gr.Row(visible=True), gr.Row(visible=False), None]

    shown = [parts.card, parts.shelf]
    parts.star.click(star, shown, [*shown, parts.star, parts.notice], **QUICK)
    parts.trash.click(trash, shown, [*shown, parts.actions, parts.undo, parts.notice], **QUICK)
    parts.undo_button.click(
        undo, [parts.shelf, parts.search, parts.starred], [*shown, parts.actions, parts.undo, parts.notice], **QUICK
    )


def _star_button(starred: bool) -> Any:
    return gr.Button(text("unstar" if starred else "star"))


def _with(shelf: dict[str, Any], entry: Entry) -> dict[str, Any]:
    return {**shelf, "pictures": [shelf_item(entry) if it["id"] == entry.id else it for it in shelf["pictures"]]}


TAB = Tab(id="gallery", title="tab_gallery", build=build)
