"""How a job's events look on a terminal and as JSON lines."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, TextIO

from studio.events import ENDINGS, Decoding, Event, Finished, Loading, Queued, Step

_WIDTH = 30


class ProgressBar:
    """One line on a terminal that is drawn over by the next; does nothing unless `enabled`."""

    def __init__(self, terminal: TextIO, *, enabled: bool) -> None:
        self._terminal, self._enabled = terminal, enabled

    def show(self, event: Event) -> None:
        """Draw `event`; an ending clears the line."""
        if self._enabled:
            self._terminal.write("\r\x1b[K" + ("" if isinstance(event, ENDINGS) else phase(event)))
            self._terminal.flush()


def phase(event: Event) -> str:
    """Return what is going on in a few words."""
    match event:
        case Queued(position):
            return f"waiting, place {position}"
        case Loading(what, fraction):
            return f"loading {what}" + (f" {fraction:.0%}" if fraction is not None else "")
        case Step(index, total, _, seconds, doing):
            done = _WIDTH * index // total
            left = seconds / index * (total - index) if index > 1 else 0
            time_left = f"  {left:.0f} s left" if left else ""
            part = f"  {doing}" if doing else ""
            return f"step {index:>3} of {total}  [{'#' * done}{'.' * (_WIDTH - done)}]{time_left}{part}"
        case Decoding():
            return "decoding"
    return ""


def event_as_json(event: Event) -> dict[str, Any]:
    """Return `event` as JSON-able values: its name and its fields, pictures left out."""
    values: dict[str, Any] = {"event": type(event).__name__.lower()}
    for field in fields(event):
        value = getattr(event, field.name)
        if field.name in ("preview", "images") or (field.name == "extras" and not isinstance(event, Finished)):
            continue
        values[field.name] = value
    if isinstance(event, Finished):
        extras = values.pop("extras")
        values["files"] = [str(path) for path in extras.get("files", ())]
    return values
