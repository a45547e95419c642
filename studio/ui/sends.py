"""How tabs hand things on: pictures to the tabs that take pictures, settings to the tab they came from.

Tabs are built one after the other, so a button may exist before its target: `connect` ties them at the end.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from studio.errors import StudioError
from studio.ui.texts import text

RECALLS = ("all", "remix", "seed", "prompt")  # settings to bring back: all, all but the seed, one kind alone
_PROMPTS = frozenset({"prompt", "negative_prompt"})
_QUIET: dict[str, Any] = {"concurrency_limit": None, "show_progress": "hidden", "api_visibility": "private"}


@dataclass(frozen=True, slots=True)
class _Target:
    take: Callable[..., Any] | None = None
    outputs: Sequence[Any] = ()


@dataclass(frozen=True, slots=True)
class _Recipes:
    tab: str
    fill: Callable[[dict[str, Any]], list[Any]]
    outputs: Sequence[Any]
    names: Sequence[str]


@dataclass(frozen=True, slots=True)
class _Offer:
    button: gr.Button
    picture: gr.components.Component
    to: str


class Sends:
    """The tabs that take pictures, and the buttons that bring pictures there.

    Args:
        receivers: Ids of the tabs that take pictures; `send_to_<id>` is the key of their buttons' text.
    """

    def __init__(self, receivers: Iterable[str]) -> None:
        self._targets = {tab: _Target() for tab in receivers}
        self._offers: list[_Offer] = []
        self._recipes: dict[str, _Recipes] = {}
        self._ways: dict[str, tuple[str, _Target]] = {}
        self._goers: list[_Offer] = []
        self._callers: list[tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]] = []

    @property
    def receivers(self) -> tuple[str, ...]:
        """The ids of the tabs that take pictures."""
        return tuple(self._targets)

    def buttons(self, picture: gr.components.Component, *, source: str) -> list[gr.Button]:
        """Lay out one button for every tab but `source` that takes pictures.

        Args:
            picture: Holds the gallery id of the picture to send, as text, or a stage's value.
            source: The tab the buttons stand in.
        """
        made = []
        for tab in self._targets:
            if tab != source:
                button = gr.Button(
                    text(f"send_to_{tab}"), size="sm", elem_classes=["send", f"send-{tab}"], min_width=80
                )
                self._offers.append(_Offer(button, picture, tab))
                made.append(button)
        return made

    def receive(self, tab: str, *, take: Callable[..., Any], outputs: Sequence[Any]) -> None:
        """Say what tab `tab` does with a picture.

        Args:
            take: Called as `take(record_id, request)` (`request` is the gr.Request); returns values for `outputs`.
            outputs: Components of the receiving tab.
        """
        self._targets[tab] = _Target(take, outputs)

    def open_way(
        self, way: str, *, tab: str, take: Callable[[Any, gr.Request], Sequence[Any]], outputs: Sequence[Any]
    ) -> None:
        """Say what tab `tab` does with what `way_button` hands on: `take(value, request)`, as in `receive`."""
        self._ways[way] = (tab, _Target(take, outputs))

    def way_button(self, way: str, picture: gr.components.Component, title: Any, **look: Any) -> gr.Button:
        """Lay out a button that hands the value of `picture` on, in a way that a tab opens with `open_way`."""
        button = gr.Button(title, size="sm", min_width=80, **look)
        self._goers.append(_Offer(button, picture, way))
        return button

    def receive_recipes(
        self, kind: str, *, tab: str, fill: Callable[..., list[Any]], outputs: Sequence[Any], names: Sequence[str] = ()
    ) -> None:
        """Say that tab `tab` makes requests of `kind`: `fill(recipe)` returns values for `outputs`.

        `names` are the request's fields that `outputs` show, in order: with them, a seed or a prompt can be brought
        back alone.
        """
        if names and len(names) != len(outputs):
            raise ValueError(f"{len(names)} names for {len(outputs)} outputs of tab {tab!r}")
        self._recipes[kind] = _Recipes(tab, fill, outputs, names)

    def listen(self, *, send: Callable[..., Any], reuse: Callable[..., Any], film: Callable[..., Any]) -> None:
        """Let a script's events do what the buttons do.

        Args:
            send: The event (`piece.send`) that carries {"id": a gallery id, "to": a tab}.
            reuse: The event that carries {"id": a gallery id, "what": one of RECALLS}.
            film: The event that carries {"id": a gallery id, "to": a tab that opened the way "film_<tab>"}.
        """
        self._callers.append((send, reuse, film))

    def connect(self, tabs: gr.Tabs, *, recipe_of: Callable[[str, gr.Request], dict[str, Any]]) -> None:
        """Tie every button to its target; called once, when all tabs are built.

        Args:
            recipe_of: Returns the request behind a picture; raises StudioError.
        """
        for offer in self._offers:
            target = self._targets[offer.to]
            if target.take is None:
                raise RuntimeError(f"tab {offer.to!r} receives pictures but never called Sends.receive")
            outputs = [tabs, *target.outputs]
            offer.button.click(_taker(target, offer.to), inputs=[offer.picture], outputs=outputs, **_QUIET)
        for goer in self._goers:
            tab, target = self._ways[goer.to]
            goer.button.click(_goes(target, tab), inputs=[goer.picture], outputs=[tabs, *target.outputs], **_QUIET)
        fields = [output for recipes in self._recipes.values() for output in recipes.outputs]
        taken = [output for target in self._targets.values() for output in target.outputs]
        films = [target for way, (_, target) in self._ways.items() if way.startswith("film_")]
        opened = [output for target in films for output in target.outputs]
        for send, reuse, film in self._callers:
            film(self._opener(tabs), None, list(dict.fromkeys([tabs, *opened])), **_QUIET)
            send(self._sender(tabs), None, list(dict.fromkeys([tabs, *taken])), **_QUIET)
            reuse(self._recaller(recipe_of, tabs), None, list(dict.fromkeys([tabs, *fields])), **_QUIET)

    def _sender(self, tabs: gr.Tabs) -> Callable[..., Any]:
        def send(request: gr.Request, event: gr.EventData) -> dict[Any, Any]:
            record, to = picture_id(event._data), str(event._data.get("to", ""))
            target = self._targets.get(to)
            if target is None or target.take is None:
                return {tabs: gr.skip()}
            try:
                taken = target.take(record, request)
            except StudioError as error:
                gr.Warning(html.escape(str(error)))
                return {tabs: gr.skip()}
            values = taken if isinstance(taken, (tuple, list)) else (taken,)
            return {tabs: gr.Tabs(selected=to), **dict(zip(target.outputs, values, strict=True))}

        return send

    def _opener(self, tabs: gr.Tabs) -> Callable[..., Any]:
        def opens(request: gr.Request, event: gr.EventData) -> dict[Any, Any]:
            tab, target = self._ways.get(f"film_{event._data.get('to', '')}", ("", _Target()))
            if target.take is None:
                return {tabs: gr.skip()}
            try:
                taken = target.take(event._data, request)
            except StudioError as error:
                gr.Warning(html.escape(str(error)))
                return {tabs: gr.skip()}
            return {tabs: gr.Tabs(selected=tab), **dict(zip(target.outputs, taken, strict=True))}

        return opens

    def _recaller(self, recipe_of: Callable[[str, gr.Request], dict[str, Any]], tabs: gr.Tabs) -> Callable[..., Any]:
        def recall(request: gr.Request, event: gr.EventData) -> dict[Any, Any]:
            what = str(event._data.get("what", "all"))
            try:
                recipe = recipe_of(picture_id(event._data), request)
            except StudioError as error:
                gr.Warning(html.escape(str(error)))
                return {tabs: gr.skip()}
            recipes = self._recipes.get(recipe.get("kind", ""))
            if recipes is None and what == "prompt":  # words alone suit the first tab, whatever made the picture
                recipe, recipes = {**recipe, "kind": "text_to_image"}, self._recipes.get("text_to_image")
            if recipes is None:
                gr.Warning("No tab of this studio takes these settings.")
                return {tabs: gr.skip()}
            filled = zip(
                recipes.outputs, recipes.fill(recipe), recipes.names or [""] * len(recipes.outputs), strict=True
            )
            kept = {output: value for output, value, name in filled if _is_recalled(name, what)}
            return {tabs: gr.Tabs(selected=recipes.tab), **kept}

        return recall


def picture_id(picture: Any) -> str:
    """Return the gallery id in a component's value: the id itself, a dict with it, or a stage's chosen picture."""
    if isinstance(picture, dict) and "pictures" in picture:
        shown, chosen = picture["pictures"] or [{}], picture.get("chosen", 0)
        picture = shown[chosen if isinstance(chosen, int) and 0 <= chosen < len(shown) else 0]
    if isinstance(picture, dict):
        picture = picture.get("id", "")
    return picture if isinstance(picture, str) else ""


def _is_recalled(name: str, what: str) -> bool:
    """Whether `what` of RECALLS brings back the field `name`; a control without one goes with "all" and "remix"."""
    match what:
        case "seed":
            return name == "seed"
        case "prompt":
            return name in _PROMPTS
        case "remix":
            return name != "seed"
    return True


def _taker(target: _Target, tab: str) -> Callable[..., Any]:
    def send(picture: Any, request: gr.Request) -> tuple[Any, ...]:
        record = picture_id(picture)
        if not record or target.take is None:
            return (gr.skip(),) * (len(target.outputs) + 1)
        taken = target.take(record, request)
        return (gr.Tabs(selected=tab), *(taken if isinstance(taken, (tuple, list)) else (taken,)))

    return send


def _goes(target: _Target, tab: str) -> Callable[..., Any]:
    def go(value: Any, request: gr.Request) -> tuple[Any, ...]:
        assert target.take is not None
        try:
            return (gr.Tabs(selected=tab), *target.take(value, request))
        except StudioError as error:
            gr.Warning(html.escape(str(error)))
            return (gr.skip(),) * (len(target.outputs) + 1)

    return go
