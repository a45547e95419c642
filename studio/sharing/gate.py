"""The ASGI gate in front of the page: host, cookie, origin, rate and body size are checked before Gradio runs.

Why each check is there: the tunnel's traffic arrives from this machine and headers can say anything, so no
address is an identity; a page elsewhere can make the owner's browser send requests here (DNS rebinding,
cross-site forms), so the Host header and Sec-Fetch-Site are checked even on localhost; Gradio itself leaves
some routes without a login check, so the cookie is asked for on all of them.
"""

from __future__ import annotations

import html
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Protocol
from urllib.parse import parse_qs, quote

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from studio.sharing.passphrase import Lock
from studio.sharing.rate import RateLimit

logger = logging.getLogger(__name__)

ENTER = "/enter"
PUBLIC = frozenset({ENTER, "/robots.txt"})  # everything else needs the cookie
DENIED = (
    "/gradio_api/proxy=",
    "/gradio_api/file=http",
    "/proxy=",
    "/file=http",
    "/run-history",
    "/gradio_api/run-history",
    "/gradio_api/deep_link",
    "/monitoring",
    "/gradio_api/monitoring",
    "/dev/reload",
    "/gradio_api/dev/reload",
    "/vibe",
    "/gradio_api/vibe",
)
_SECURITY_HEADERS = {
    "content-security-policy": "frame-ancestors 'none'; object-src 'none'; base-uri 'self'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}


class Visitors(Protocol):
    """Knows who holds a valid cookie."""

    def admit(self) -> str:
        """Return the cookie of a new visitor who gave the secret."""
        ...

    def identity(self, cookie: str) -> str | None:
        """Return the visitor a cookie names, or None when it is forged, ended or too old."""
        ...


@dataclass(frozen=True)
class Policy:
    """What one application's gate lets through.

    Attributes:
        cookie: The cookie's name; behind HTTPS it gets the __Host- prefix, which ties it to the host.
        hosts: Asked at every request: the host names (without port) that may be in the Host header.
        lock: The secret, and the wait after wrong tries.
        visitors: Who has been let in.
        welcome: A line on the entry page.
        secret_name: "Passphrase" or "Token".
        identity_key: Where in the ASGI scope the visitor's id is put, if anywhere.
    """

    cookie: str
    hosts: Callable[[], frozenset[str]]
    lock: Lock
    visitors: Visitors
    welcome: str
    secret_name: str = "Passphrase"
    identity_key: str = ""
    max_body_bytes: int = 25_000_000
    limits: Mapping[str, RateLimit] = field(
        default_factory=lambda: {
            "/gradio_api/queue/join": RateLimit(per_minute=240, burst=60),
            "/gradio_api/upload": RateLimit(per_minute=20, burst=10),
            "": RateLimit(per_minute=3000, burst=600),
        }
    )


class Gate:
    """ASGI middleware that answers for everybody who may not pass."""

    def __init__(self, app: ASGIApp, policy: Policy) -> None:
        self._app, self._policy = app, policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        if scope["path"] == ENTER:
            await (await self._enter(scope, receive))(scope, receive, send)
            return
        if scope["path"] == "/robots.txt":
            await PlainTextResponse("User-agent: *\nDisallow: /\n")(scope, receive, send)
            return
        visitor = self._visitor(scope)
        if visitor is None:
            await self._stranger(scope)(scope, receive, send)
            return
        if not self._within_rate(visitor, scope["path"]):
            await JSONResponse({"detail": "Too many requests. Wait a minute."}, 429)(scope, receive, send)
            return
        if self._policy.identity_key:
            scope[self._policy.identity_key] = visitor
        await self._app(scope, _capped(receive, self._policy.max_body_bytes), _hardened(send))

    def _refusal(self, scope: Scope) -> Response | None:
        """Refuse before anything is looked up: foreign host, cross-site request, closed route, large body."""
        headers = Headers(scope=scope)
        host = headers.get("host", "").rsplit(":", 1)[0].strip("[]").lower()
        if host not in self._policy.hosts():
            return PlainTextResponse("This address is not the studio's.", 421)
        if headers.get("sec-fetch-site") == "cross-site" and not _is_navigation(scope, headers):
            return PlainTextResponse("Requests from other sites are refused.", 403)
        path = scope["path"].lower()
        if any(path.startswith(denied) for denied in DENIED):
            return JSONResponse({"detail": "Not found"}, 404)
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > self._policy.max_body_bytes:
            return PlainTextResponse(f"The upload is larger than {self._policy.max_body_bytes // 1_000_000} MB.", 413)
        if headers.get("range", "").count(",") > 0:
            return PlainTextResponse("Ask for one range at a time.", 416)
        return None

    def _visitor(self, scope: Scope) -> str | None:
        try:
            cookies: SimpleCookie = SimpleCookie(Headers(scope=scope).get("cookie", ""))
        except CookieError:
            return None
        for name in (f"__Host-{self._policy.cookie}", self._policy.cookie):
            if name in cookies and (visitor := self._policy.visitors.identity(cookies[name].value)):
                return visitor
        return None

    def _stranger(self, scope: Scope) -> Response:
        """Send a browser to the entry page, with the token along if the address has one; others get a 401."""
        if not _is_navigation(scope, Headers(scope=scope)):
            return JSONResponse({"detail": "Your session ended; sign in again."}, 401)
        token = QueryParams(scope.get("query_string", b"")).get("token")
        return self._attempt(scope, token) if token else RedirectResponse(ENTER, 303)

    async def _enter(self, scope: Scope, receive: Receive) -> Response:
        if scope["method"] == "POST":
            fields = parse_qs((await _read(receive, limit=4096)).decode("utf-8", "replace"))
            return self._attempt(scope, fields.get("secret", [""])[0])
        return self._page() if scope["method"] in ("GET", "HEAD") else PlainTextResponse("", 405)

    def _attempt(self, scope: Scope, secret: str) -> Response:
        lock = self._policy.lock
        if lock.try_secret(secret):
            response = RedirectResponse("/", 303)
            https = Headers(scope=scope).get("x-forwarded-proto", scope.get("scheme")) == "https"
            name = f"__Host-{self._policy.cookie}" if https else self._policy.cookie
            response.set_cookie(
                name,
                self._policy.visitors.admit(),
                httponly=True,
                samesite="lax",
                secure=https,
                path="/",
                max_age=7 * 86400,
            )
            return response
        wait = lock.wait_seconds()
        if wait > 0:
            return self._page(f"Too many tries. Wait {wait:.0f} s.", status=429)
        return self._page(f"That {self._policy.secret_name.lower()} is wrong.", status=403)

    def _page(self, problem: str = "", *, status: int = 200) -> Response:
        name = html.escape(self._policy.secret_name)
        body = _ENTRY.format(welcome=html.escape(self._policy.welcome), name=name, problem=html.escape(problem))
        return HTMLResponse(body, status, headers={**_SECURITY_HEADERS, "cache-control": "no-store"})

    def _within_rate(self, visitor: str, path: str) -> bool:
        limit = self._policy.limits.get(path.rstrip("/"))
        return (limit is None or limit.allow(visitor)) and self._policy.limits[""].allow(visitor)


def token_url(base: str, token: str) -> str:
    """Return the address that lets its holder in: the owner's link."""
    return f"{base.rstrip('/')}/?token={quote(token)}"


def _is_navigation(scope: Scope, headers: Headers) -> bool:
    """Tell whether a browser opens a page (a link followed from elsewhere is fine, a fetch is not)."""
    mode = headers.get("sec-fetch-mode")
    return scope["method"] in ("GET", "HEAD") and (
        mode == "navigate" or (mode is None and "text/html" in headers.get("accept", ""))
    )


async def _read(receive: Receive, *, limit: int) -> bytes:
    body = b""
    while len(body) <= limit:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body", False):
            break
    return body[:limit]


def _capped(receive: Receive, limit: int) -> Receive:
    """End the body of a request that sends more than it announced, or announces nothing."""
    received = 0

    async def counted() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        return {"type": "http.disconnect"} if received > limit else message

    return counted


def _hardened(send: Send) -> Send:
    async def with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _SECURITY_HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return with_headers


_ENTRY = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Tessera Studio</title><style>
:root{{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}}
body{{min-height:90vh;display:grid;place-items:center;margin:0}}
form{{display:grid;gap:.8rem;width:min(22rem,86vw)}}
h1{{font-size:1.3rem;margin:0}} p{{margin:0;opacity:.8}} .problem{{color:#c33;opacity:1}}
input,button{{font:inherit;padding:.6rem .8rem;border-radius:.5rem;border:1px solid #8886}}
button{{background:#3d6b66;color:#fff;border:0;cursor:pointer}}
</style><form method="post" action="/enter"><h1>Tessera Studio</h1><p>{welcome}</p>
<label for="secret">{name}</label>
<input id="secret" name="secret" type="password" autocomplete="current-password" autofocus required>
<p class="problem" role="alert">{problem}</p><button>Enter</button></form></html>"""
