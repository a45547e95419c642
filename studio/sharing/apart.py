"""Guests kept apart inside Gradio, whose own session names come from the browser and whose files anybody may fetch.

Behind the gate, which has put the guest's id into the scope: only the routes that the guests' page needs exist, and a
session hash belongs to the guest who used it first. Gradio takes in no files and gives none out: pictures travel
over the studio's own routes, through its one decoder, so an event that names a file is nobody's.
"""

from __future__ import annotations

import json
import re
import threading
from collections import OrderedDict
from typing import Any

from starlette.datastructures import QueryParams
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from studio.sharing.gate import drain, said
from studio.sharing.rate import RateLimit

_API = "/gradio_api"
# What the page itself asks for; every other route of Gradio's (calls by name, streams, proxies ...) is not there.
_EVENTS = ("/queue/join", "/cancel", "/reset")
_ALLOWED = (
    *_EVENTS,
    "/queue/data",
    "/heartbeat/",
    "/info",
    "/startup-events",
    "/app_id",
    "/theme.css",
)
_PAGE = ("/", "/config", "/theme.css", "/favicon.ico", "/manifest.json", "/login_check", "/assets/", "/static/")
_STUDIO = "/studio/"
_HASH = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MOST_BODY = 5_000_000


class Belongings:
    """Which name belongs to which guest: the first to use a name keeps it.

    Args:
        most: Names remembered; the ones unused for longest are forgotten.
    """

    def __init__(self, most: int = 50_000) -> None:
        self._owners: OrderedDict[str, str] = OrderedDict()
        self._most, self._guard = most, threading.Lock()

    def claim(self, name: str, guest: str) -> bool:
        """Give `name` to `guest` unless somebody else has it; tell whether it is theirs."""
        with self._guard:
            owner = self._owners.setdefault(name, guest)
            self._owners.move_to_end(name)
            if len(self._owners) > self._most:
                self._owners.popitem(last=False)
            return owner == guest

    def has(self, name: str, guest: str) -> bool:
        """Tell whether `name` is `guest`'s."""
        with self._guard:
            return self._owners.get(name) == guest


class Apart:
    """ASGI middleware between the gate and the guests' application.

    Args:
        app: The application.
        identity_key: Where in the scope the gate has put the guest's id.
    """

    def __init__(self, app: ASGIApp, *, identity_key: str) -> None:
        self._app, self._key = app, identity_key
        self._hashes = Belongings()
        self._pages = RateLimit(per_minute=6, burst=20)  # each costs Gradio 0.3 MB and one of 2,000 places

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        guest, path = str(scope[self._key]), scope["path"]
        inner = path.removeprefix(_API) if path.startswith(_API + "/") else ""
        refusal = self._refusal(scope, inner, guest)
        if refusal is None and inner in _EVENTS:
            body = await _body(receive)
            refusal = self._foreign_event(body, guest)
            receive = _again(body or b"", receive)
        elif refusal is not None:
            await drain(receive, scope)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, _plain(inner, send))

    def _refusal(self, scope: Scope, inner: str, guest: str) -> Response | None:
        if not (_listed(inner, _ALLOWED) if inner else _listed(scope["path"], (*_PAGE, _STUDIO))):
            return _missing()
        named = QueryParams(scope.get("query_string", b"")).getlist("session_hash")
        if inner.startswith("/heartbeat/"):
            named.append(inner.removeprefix("/heartbeat/"))
        return None if all(self._own(name, guest) for name in named) else _missing()

    def _foreign_event(self, body: bytes | None, guest: str) -> Response | None:
        if body is None:
            return said(413, "The request is too large.")
        try:
            asked = json.loads(body)
            if not isinstance(asked, dict):
                return said(422, "The request is not an event.")
            name = asked.get("session_hash")
            if name is not None and not (isinstance(name, str) and self._own(name, guest)):
                return _missing()
            return _missing() if _names_a_file(asked.get("data")) else None
        except (ValueError, RecursionError):
            return said(422, "The request is not JSON.")

    def _own(self, name: str, guest: str) -> bool:
        """Tell whether a session hash is the guest's, or free and the guest may open another page."""
        if not _HASH.fullmatch(name):
            return False
        return self._hashes.has(name, guest) or (self._pages.allow(guest) and self._hashes.claim(name, guest))


def _listed(path: str, allowed: tuple[str, ...]) -> bool:
    return any(path.startswith(it) if it.endswith(("/", "=")) and it != "/" else path == it for it in allowed)


def _missing() -> Response:
    return said(404, "Not found")


def _plain(inner: str, send: Send) -> Send:
    """Answer a failure inside Gradio's own routes (an event that does not exist, say) as a 404, without details."""
    failed = False

    async def mapped(message: Message) -> None:
        nonlocal failed
        if inner and message["type"] == "http.response.start" and message["status"] >= 500 != 503:
            failed = True
            # Gradio's failure goes on up to the server, which closes: the next request must not come this way.
            await said(404, "Not found", headers={"connection": "close"})({"type": "http"}, _never, send)
        if not failed:
            await send(message)

    return mapped


async def _never() -> Message:
    return {"type": "http.disconnect"}


def _names_a_file(value: Any) -> bool:
    """Tell whether an event's data holds one of Gradio's files: a dict with a path and what goes with one."""
    if isinstance(value, dict):
        if "path" in value and value.keys() & {"meta", "url", "orig_name", "mime_type"}:
            return True
        return any(_names_a_file(inner) for inner in value.values())
    return isinstance(value, list) and any(_names_a_file(inner) for inner in value)


async def _body(receive: Receive) -> bytes | None:
    """Return the whole body, or None when it is too large for an event or the visitor left.

    One that is too large is read to its end all the same, or to the gate's limit: who is still sending hears no answer.
    """
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        size += len(message.get("body", b""))
        if size <= _MOST_BODY:
            parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts) if size <= _MOST_BODY else None


def _again(body: bytes, receive: Receive) -> Receive:
    """Hand on a body that was read already."""
    given = False

    async def once() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return once
