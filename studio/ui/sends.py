"""How a picture gets from one tab to another: "send to ..." buttons for the tabs that take pictures.

Tabs are built one after the other, so a button may exist before its target: `connect` ties them at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from studio.ui.texts import text


@dataclass(frozen=True, slots=True)
class _Target:
    title: str
    take: Callable[..., Any] | None = None
    outputs: Sequence[Any] = ()


@dataclass(frozen=True, slots=True)
class _Offer:
    button: gr.Button
    picture: gr.components.Component
    to: str


class Sends:
    """The tabs that take pictures, and the buttons that bring pictures there.

    Args:
        receivers: Tab id -> key of its title, for every tab that takes pictures.
    """

    def __init__(self, receivers: dict[str, str]) -> None:
        self._targets = {tab: _Target(title) for tab, title in receivers.items()}
        self._offers: list[_Offer] = []

    def buttons(self, picture: gr.components.Component, *, source: str) -> list[gr.Button]:
        """Lay out one button for every tab but `source` that takes pictures.

        Args:
            picture: Holds the gallery id of the picture to send, as text, or a stage's value.
            source: The tab the buttons stand in.
        """
        made = []
        for tab, target in self._targets.items():
            if tab != source:
                button = gr.Button(text(target.title), size="sm", elem_classes=["send"], min_width=80)
                self._offers.append(_Offer(button, picture, tab))
                made.append(button)
        return made

    def receive(self, tab: str, *, take: Callable[..., Any], outputs: Sequence[Any]) -> None:
        """Say what tab `tab` does with a picture.

        Args:
            take: Called as `take(record_id, request)` (`request` is the gr.Request); returns values for `outputs`.
            outputs: Components of the receiving tab.
        """
        self._targets[tab] = _Target(self._targets[tab].title, take, outputs)

    def connect(self, tabs: gr.Tabs) -> None:
        """Tie every button to its target; called once, when all tabs are built."""
        for offer in self._offers:
            target = self._targets[offer.to]
            if target.take is None:
                raise RuntimeError(f"tab {offer.to!r} receives pictures but never called Sends.receive")
            offer.button.click(
                _taker(target.take, tab=offer.to, outputs=len(target.outputs)),
                inputs=[offer.picture],
                outputs=[tabs, *target.outputs],
                show_progress="hidden",
                concurrency_limit=None,
                api_visibility="private",
            )


def picture_id(picture: Any) -> str:
    """Return the gallery id in a picture component's value: the id itself, or a stage's chosen picture."""
    if isinstance(picture, dict):
        shown = picture.get("pictures") or [{}]
        chosen = picture.get("chosen", 0)
        picture = shown[chosen if isinstance(chosen, int) and 0 <= chosen < len(shown) else 0].get("id", "")
    return picture if isinstance(picture, str) else ""


def _taker(take: Callable[..., Any], *, tab: str, outputs: int) -> Callable[..., Any]:
    def send(picture: Any, request: gr.Request) -> tuple[Any, ...]:
        record = picture_id(picture)
        if not record:
            return (gr.skip(),) * (outputs + 1)
        taken = take(record, request)
        return (gr.Tabs(selected=tab), *(taken if isinstance(taken, (tuple, list)) else (taken,)))

    return send
