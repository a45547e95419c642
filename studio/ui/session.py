"""Who is asking: a signed cookie that names the browser, set by a small ASGI middleware.

Gradio's session hash is chosen by the client and changes with every page load, so it names nobody. Ours is
128 random bits, signed with a key kept in the data directory: jobs and pictures stay with their browser over
reloads and restarts, and cannot be claimed by guessing.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from contextvars import ContextVar
from pathlib import Path

import gradio as gr
from gradio.context import LocalContext
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from studio.errors import SettingsError

IDENTITY = "tessera_owner"
"""Where in the ASGI scope the session is; a gate that knows its visitors puts theirs there."""

_YEAR_SECONDS = 365 * 24 * 3600
_ASKING: ContextVar[str] = ContextVar("tessera_session", default="")


def asking() -> str:
    """Return the session whose request, or event of the page, is being answered; "" outside of one."""
    request = LocalContext.request.get(None)  # Gradio answers events on a task of its own, and says here whose it is
    if request is not None and request.request is not None:
        return str(request.request.scope[IDENTITY])
    return _ASKING.get()


class Sessions:
    """Mints and checks session ids.

    Args:
        key: Secret bytes for the signature.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self.cookie = f"tessera_{hashlib.sha256(key).hexdigest()[:8]}"  # two studios on one host keep apart

    @classmethod
    def in_folder(cls, folder: Path) -> Sessions:
        """Use the key stored in `folder`, made on first use and readable by its owner only.

        Raises:
            SettingsError: The folder cannot be written.
        """
        path = folder / "session.key"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            try:
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                key = path.read_bytes()
                if len(key) == 32:
                    return cls(key)
                path.unlink()  # cut short by a full disk: sessions start anew
                return cls.in_folder(folder)
            with os.fdopen(descriptor, "wb") as file:
                key = secrets.token_bytes(32)
                file.write(key)
            return cls(key)
        except OSError as error:
            raise SettingsError(
                f"The data directory {folder} cannot be written: {error.strerror}.",
                "Choose another one with --data-dir.",
            ) from error

    def mint(self) -> str:
        """Return a fresh cookie value."""
        name = secrets.token_hex(16)
        return f"{name}.{self._sign(name)}"

    def owner(self, cookie: str | None) -> str | None:
        """Return the session named by `cookie`, or None when the signature is not ours."""
        name, _, signature = (cookie or "").partition(".")
        return name if hmac.compare_digest(signature.encode(), self._sign(name).encode()) else None

    def of(self, request: gr.Request | HTTPConnection) -> str:
        """Return the session a request belongs to; the middleware has put it there."""
        connection = request.request if isinstance(request, gr.Request) else request
        assert connection is not None, "the request did not come through a server"
        return str(connection.scope[IDENTITY])

    def _sign(self, name: str) -> str:
        return hmac.new(self._key, name.encode(), hashlib.sha256).hexdigest()


class SessionMiddleware:
    """Gives every request its session, and every new browser a cookie; who is known to the gate keeps that name."""

    def __init__(self, app: ASGIApp, sessions: Sessions) -> None:
        self._app, self._sessions = app, sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        owner = scope.get(IDENTITY) or self._sessions.owner(HTTPConnection(scope).cookies.get(self._sessions.cookie))
        if owner is not None:
            scope[IDENTITY] = owner
            _ASKING.set(owner)
            await self._app(scope, receive, send)
            return
        minted = self._sessions.mint()
        scope[IDENTITY] = self._sessions.owner(minted)
        _ASKING.set(scope[IDENTITY])
        secure = "; Secure" if scope.get("scheme") == "https" else ""
        header = f"{self._sessions.cookie}={minted}; Path=/; Max-Age={_YEAR_SECONDS}; HttpOnly; SameSite=Lax{secure}"

        async def send_with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).append("set-cookie", header)
            await send(message)

        await self._app(scope, receive, send_with_cookie)
