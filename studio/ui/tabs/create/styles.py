"""Ready-made styles: chosen by name or by picture, stacked, imported from other studios."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from fastapi import APIRouter
from fastapi.responses import FileResponse, PlainTextResponse, Response

from studio.errors import InvalidRequest, StudioError
from studio.prompt.style_pictures import file_name
from studio.ui import components
from studio.ui.desk import Desk
from studio.ui.sends import picture_id
from studio.ui.tabs.create.craft import Craft
from studio.ui.tabs.create.form import CreateForm
from studio.ui.tabs.tab import QUICK, Page
from studio.ui.texts import text

_MOST_STYLES = 8
_TAKE_CHOSEN = f"(shelf) => [shelf.chosen.slice(0, {_MOST_STYLES})]"
_SHOW_CHOSEN = "(chosen, shelf) => [{ ...shelf, chosen: chosen ?? [] }]"


def style_choice(craft: Craft) -> gr.Dropdown:
    """Lay out the choice of styles by name; several stack, the first innermost."""
    return gr.Dropdown(
        list(craft.styles()), value=[], multiselect=True, max_choices=_MOST_STYLES, show_label=False, container=False,
        elem_id="styles",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class StyleFold:
    """The fold's pieces: styles by picture, import, and the picture of a style."""

    shelf: gr.HTML
    upload: gr.UploadButton
    portrait: gr.Button


def style_fold(craft: Craft, form: CreateForm) -> StyleFold:
    """Lay out the fold, the form's choice of styles included."""
    with gr.Accordion(text("create_styles"), open=False, elem_id="style-fold", elem_classes=["fold"]):
        form.styles = style_choice(craft)
        shelf = components.piece("styleShelf", {}, scripts=["page/create.js"], events=["choose"], elem_id="style-shelf")
        with gr.Row(visible=craft.is_owners):
            upload = gr.UploadButton(
                text("create_styles_import"),  # type: ignore[arg-type]  # translated like every label
                file_types=[".json", ".csv"], type="filepath", size="sm", min_width=120, elem_id="styles-import",
            )  # fmt: skip
            portrait = gr.Button(text("create_style_picture"), size="sm", min_width=120, elem_id="style-picture")
    return StyleFold(shelf, upload, portrait)


def wire_styles(page: Page, craft: Craft, form: CreateForm, *, desk: Desk, fold: StyleFold) -> None:
    """Wire the fold to the form's choice of styles."""
    shelf, shown = fold.shelf, [fold.shelf, desk.notice]

    def take_in(path: str, chosen: list[str]) -> list[Any]:
        try:
            craft.import_styles(Path(path))
        except StudioError as error:
            return [gr.skip(), gr.skip(), components.notice_value(error)]
        return [gr.Dropdown(list(craft.styles())), shelf_value(craft, chosen), None]

    def portray(chosen: list[str], stage: dict[str, Any], request: gr.Request) -> list[Any]:
        try:
            if len(chosen) != 1:
                raise InvalidRequest("Choose the one style that the picture shows.", "Then press this again.")
            path = page.entry(picture_id(stage), request).path
            craft.keep_style_picture(chosen[0], page.studio.gallery.open(path.stem, owner=page.sees(request)))
        except StudioError as error:
            return [gr.skip(), components.notice_value(error)]
        return [shelf_value(craft, chosen), None]

    # Both ways at once and in the browser: what is pressed next must find what was chosen.
    again: dict[str, Any] = {"inputs": [form.styles, shelf], "outputs": [shelf], "js": _SHOW_CHOSEN, **QUICK}
    shelf.choose(None, [shelf], [form.styles], js=_TAKE_CHOSEN, trigger_mode="multiple", **QUICK)
    form.styles.change(None, trigger_mode="multiple", **again)
    page.blocks.load(lambda: gr.Dropdown(list(craft.styles())), None, [form.styles], **QUICK)
    page.blocks.load(lambda chosen: shelf_value(craft, chosen or []), [form.styles], [shelf], **QUICK).then(
        None, **again
    )
    if craft.is_owners:
        fold.upload.upload(take_in, [fold.upload, form.styles], [form.styles, *shown], **QUICK).then(None, **again)
        fold.portrait.click(portray, [form.styles, desk.stage], shown, **QUICK).then(None, **again)


def shelf_value(craft: Craft, chosen: list[str]) -> dict[str, Any]:
    """Return every style with its words and its picture's address."""
    styles = []
    for style in craft.styles().values():
        path = craft.style_picture(style.name)
        address = f"studio/styles/{file_name(style.name)}?v={path.stat().st_mtime_ns}" if path else None
        styles.append({"name": style.name, "words": style.prompt, "picture": address})
    return {"styles": styles, "chosen": chosen}


def style_routes(craft: Craft) -> APIRouter:
    """Return the route of the styles' pictures; a picture is found by its style alone, never by a path."""
    routes = APIRouter(prefix="/studio/styles")

    @routes.get("/{name}")
    def picture(name: str) -> Response:
        known = {file_name(style): style for style in craft.styles()}
        path = craft.style_picture(known[name]) if name in known else None
        if path is None:
            return PlainTextResponse("There is no such picture.", 404)
        return FileResponse(path, media_type="image/webp", headers={"cache-control": "private, max-age=31536000"})

    return routes
