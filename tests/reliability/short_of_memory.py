"""The real engine in its own process, where one request meets a real shortage of memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psutil

from studio.events import Event
from studio.process.engine import EngineWork
from studio.requests import Request


class ShortOfMemory(EngineWork):
    """A prompt "with N MB" gets N MB more of address space than the process holds, for that one request."""

    def run(self, request: Request, should_stop: Callable[[], bool]) -> Iterator[Event]:
        """Run `request`, short of memory if it says so."""
        import resource  # not on Windows

        prompt = getattr(request, "prompt", "")
        if not prompt.startswith("with "):
            yield from super().run(request, should_stop)
            return
        before = resource.getrlimit(resource.RLIMIT_AS)
        room = int(prompt.split()[1]) * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (psutil.Process().memory_info().vms + room, before[1]))
        try:
            yield from super().run(request, should_stop)
        finally:
            resource.setrlimit(resource.RLIMIT_AS, before)
