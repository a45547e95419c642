"""Clicks in the order they were made: requests of one page a few milliseconds apart may overtake each other on the way.

The page numbers its clicks from 1 (`tessera.turn()`); a handler takes its turn before it submits. A click that never
arrives holds up those behind it for a moment only.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field

PATIENCE_SECONDS = 3.0
_PAGES_KEPT = 1000


@dataclass(slots=True)
class _Line:
    done: int = 0
    moved: asyncio.Event = field(default_factory=asyncio.Event)


class Turns:
    """Who is next, for every page; used from one event loop.

    Args:
        patience_seconds: How long a click waits for those before it.
    """

    def __init__(self, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._patience = patience_seconds
        self._pages: OrderedDict[str, _Line] = OrderedDict()

    def begin(self, page: str) -> None:
        """Note that a page was opened: its first click is number 1. A click may have come before this."""
        self._line(page)

    async def take(self, page: str, number: int) -> None:
        """Wait until every click before `number` has had its turn."""
        line = self._line(page)
        try:
            async with asyncio.timeout(self._patience):
                while line.done < number - 1:
                    line.moved.clear()
                    await line.moved.wait()
        except TimeoutError:
            pass

    def done(self, page: str, number: int) -> None:
        """Let the click after `number` go."""
        line = self._line(page)
        line.done = max(line.done, number)
        line.moved.set()

    def _line(self, page: str) -> _Line:
        line = self._pages.setdefault(page, _Line())
        while len(self._pages) > _PAGES_KEPT:
            self._pages.popitem(last=False)
        return line
