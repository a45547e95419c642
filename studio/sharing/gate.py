"""The ASGI gate in front of the page: host, origin, cookie, rate and body size are checked before Gradio runs.

Why each check is there: the tunnel's traffic arrives from this machine and headers can say anything, so no
address is an identity; a page elsewhere can make the owner's browser send requests here (DNS rebinding,
cross-site forms, other programs' ports of this machine), so Host and Sec-Fetch-Site are checked even on
localhost; Gradio itself leaves some routes without a login check, so the cookie is asked for on all of them.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Protocol
from urllib.parse import parse_qs, parse_qsl, quote, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from studio.sharing.entry import Language, Wording, entry_page, entry_policy, language_of
from studio.sharing.passphrase import Lock
from studio.sharing.rate import RateLimit

ENTER = "/enter"
PUBLIC = frozenset({ENTER, "/robots.txt"})  # everything else needs the cookie, or is in Policy.open
DENIED = (
    "/gradio_api/proxy=",
    "/gradio_api/file=http",
    "/proxy=",
    "/file=http",
    "/run-history",
    "/gradio_api/run-history",
    "/gradio_api/runs",
    "/gradio_api/deep_link",
    "/monitoring",
    "/gradio_api/monitoring",
    "/dev/reload",
    "/gradio_api/dev/reload",
    "/vibe",
    "/gradio_api/vibe",
    "/gradio_api/undo-vibe",
)
_SECURITY_HEADERS = {
    "content-security-policy": "frame-ancestors 'none'; object-src 'none'; base-uri 'self'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
}
_OTHER_NAME = "Behind a proxy, list its name in the setting host_names."
_DRAINED_BYTES = 1_000_000  # of a refused request; more than that is cut off
_DRAINING_SECONDS = 5.0
_STRANGERS = "strangers"  # the one name all visitors of open routes share in the rates


class Refused(Exception):
    """A visitor with the right secret is not let in; `reason` is a key of `Wording.refused`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Visitors(Protocol):
    """Knows who holds a valid cookie."""

    def admit(self) -> str:
        """Return the cookie of a new visitor who gave the secret; raises Refused."""
        ...

    def identity(self, cookie: str) -> str | None:
        """Return the visitor a cookie names, or None when it is forged, ended or too old."""
        ...


def _limits() -> Mapping[str, RateLimit]:
    return {
        "/gradio_api/queue/join": RateLimit(per_minute=240, burst=60),
        "/studio/inputs": RateLimit(per_minute=60, burst=20),
        "": RateLimit(per_minute=3000, burst=600),
        _STRANGERS: RateLimit(per_minute=12_000, burst=3000),
    }


@dataclass(frozen=True)
class Policy:
    """What one application's gate lets through.

    Attributes:
        cookie: The cookie's name; behind HTTPS it gets the __Host- prefix, which ties it to the host.
        hosts: Asked at every request: the host names (without port) that may be in the Host header.
        lock: The secret, and the wait after wrong tries.
        visitors: Who has been let in.
        wording: What the entry page says, by language.
        bearer: The secret itself opens in an `Authorization: Bearer` header, for programs; tokens only.
        identity_key: Where in the ASGI scope the visitor's id is put, if anywhere.
        open: Apps that strangers may use without the secret, by the first part of the path ("/show").
        cookie_seconds: How long a browser keeps the cookie.
        limits: Requests a visitor may make to a path; "" is all of them, "strangers" is what all of those share.
    """

    cookie: str
    hosts: Callable[[], frozenset[str]]
    lock: Lock
    visitors: Visitors
    wording: Mapping[Language, Wording]
    bearer: bool = False
    identity_key: str = ""
    open: Mapping[str, ASGIApp] = field(default_factory=dict)
    cookie_seconds: int = 7 * 86400
    max_body_bytes: int = 25_000_000
    limits: Mapping[str, RateLimit] = field(default_factory=_limits)


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
        send = _hardened(send)
        answer = self._refusal(scope)
        if answer is not None:
            await drain(receive, scope)
        else:
            answer = await self._entrance(scope, receive)
        if answer is not None:
            await answer(scope, receive, send)
            return
        app, visitor = self._opened(scope["path"]), _STRANGERS
        if app is None:
            app, visitor = self._app, self._visitor(scope) or ""
            if not visitor:
                await drain(receive, scope)
                await self._stranger(scope)(scope, receive, send)
                return
            if self._policy.identity_key:
                scope[self._policy.identity_key] = visitor
            if (clean := _without_token(scope)) is not None:
                await RedirectResponse(clean, 303)(scope, receive, send)
                return
        if not self._within_rate(visitor, scope["path"]):
            await drain(receive, scope)
            await said(429, "Too many requests.", "Wait a minute.")(scope, receive, send)
            return
        await app(scope, _capped(receive, self._policy.max_body_bytes), send)

    def _refusal(self, scope: Scope) -> Response | None:
        """Refuse before anything is looked up: foreign host, foreign page, closed route, large body."""
        headers = Headers(scope=scope)
        if host_name(headers.get("host", "")) not in self._policy.hosts():
            return said(421, f"The studio does not answer to {headers.get('host', '')[:100]!r}.", _OTHER_NAME)
        if not _is_navigation(scope, headers) and is_from_elsewhere(headers):
            return said(403, "Requests from other sites are refused.")
        path = scope["path"].lower()
        if any(path.startswith(denied) for denied in DENIED):
            return said(404, "Not found")
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit() and int(length) <= self._policy.max_body_bytes):
            return said(
                413, f"The upload is larger than {self._policy.max_body_bytes // 1_000_000} MB.", "Make it smaller."
            )
        if headers.get("range", "").count(",") > 0:
            return said(416, "Ask for one range at a time.")
        return None

    async def _entrance(self, scope: Scope, receive: Receive) -> Response | None:
        """Answer the routes that everybody may see."""
        if scope["path"] == "/robots.txt":
            return PlainTextResponse("User-agent: *\nDisallow: /\n")
        if scope["path"] != ENTER:
            return None
        if scope["method"] == "POST":
            fields = parse_qs((await _read(receive, limit=4096)).decode("utf-8", "replace"))
            return self._attempt(scope, fields.get("secret", [""])[0])
        if scope["method"] not in ("GET", "HEAD"):
            return said(405, "Not allowed")
        return RedirectResponse("/", 303) if self._visitor(scope) else self._page(scope)

    def _opened(self, path: str) -> ASGIApp | None:
        return self._policy.open.get("/" + path.split("/")[1])

    def _visitor(self, scope: Scope) -> str | None:
        headers = Headers(scope=scope)
        scheme, _, key = headers.get("authorization", "").partition(" ")
        if self._policy.bearer and scheme.lower() == "bearer" and self._policy.lock.try_secret(key.strip()):
            return self._policy.visitors.identity(self._policy.visitors.admit())
        try:
            cookies: SimpleCookie = SimpleCookie(headers.get("cookie", ""))
        except CookieError:
            return None
        for name in (f"__Host-{self._policy.cookie}", self._policy.cookie):
            if name in cookies and (visitor := self._policy.visitors.identity(cookies[name].value)):
                return visitor
        return None

    def _stranger(self, scope: Scope) -> Response:
        """Let in a browser whose address has the token, show others the entry page; programs get a 401."""
        if not _is_navigation(scope, Headers(scope=scope)):
            challenge = {"www-authenticate": "Bearer"} if self._policy.bearer else {}
            return said(401, "Your session ended.", "Reload the page to sign in again.", headers=challenge)
        token = dict(_query(scope)).get("token")
        return self._attempt(scope, token) if token else RedirectResponse(ENTER, 303)

    def _attempt(self, scope: Scope, secret: str) -> Response:
        if not self._policy.lock.try_secret(secret):
            wait = self._policy.lock.wait_seconds()
            if wait > 0:
                return self._page(scope, "wait", status=429, seconds=f"{wait:.0f}")
            return self._page(scope, "wrong", status=403)
        try:
            cookie = self._policy.visitors.admit()
        except Refused as refused:
            return self._page(scope, refused.reason, status=503)
        response = RedirectResponse(_without_token(scope) or "/", 303)
        https = Headers(scope=scope).get("x-forwarded-proto", scope.get("scheme")) == "https"
        response.set_cookie(
            f"__Host-{self._policy.cookie}" if https else self._policy.cookie,
            cookie,
            httponly=True,
            samesite="lax",  # not "strict": a link clicked in a chat or a web terminal must find the cookie
            secure=https,
            path="/",
            max_age=self._policy.cookie_seconds,
        )
        return response

    def _page(self, scope: Scope, problem: str = "", *, status: int = 200, **values: str) -> Response:
        language = language_of(Headers(scope=scope).get("accept-language", ""))
        wording, nonce = self._policy.wording[language], secrets.token_urlsafe(16)
        said = {"": "", "wait": wording.wait, "wrong": wording.wrong, **wording.refused}[problem].format(**values)
        headers = {"content-security-policy": entry_policy(nonce), "cache-control": "no-store"}
        return HTMLResponse(entry_page(wording, language, problem=said, nonce=nonce), status, headers=headers)

    def _within_rate(self, visitor: str, path: str) -> bool:
        limits = self._policy.limits
        if visitor == _STRANGERS:
            return limits[_STRANGERS].allow(visitor)
        limit = limits.get(path.rstrip("/"))
        return (limit is None or limit.allow(visitor)) and limits[""].allow(visitor)


def said(status: int, message: str, hint: str = "", *, headers: Mapping[str, str] | None = None) -> Response:
    """Answer a program in the words of the studio's own routes (message, hint) and of Gradio's (detail)."""
    detail = f"{message} {hint}".strip()
    return JSONResponse({"detail": detail, "message": message, "hint": hint}, status, headers=headers)


async def drain(receive: Receive, scope: Scope, *, limit: int = _DRAINED_BYTES) -> None:
    """Read what is still being sent, up to `limit` bytes and a few seconds, and throw it away.

    A server that answers and closes in the middle of a body resets the connection, and the answer may be lost with it.
    """
    if "content-length" not in (headers := Headers(scope=scope)) and "transfer-encoding" not in headers:
        return
    left = limit
    with suppress(TimeoutError):
        async with asyncio.timeout(_DRAINING_SECONDS):
            while left > 0:
                message = await receive()
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return
                left -= len(message.get("body", b""))


def token_url(base: str, token: str) -> str:
    """Return the address that lets its holder in: the owner's link."""
    return f"{base.rstrip('/')}/?token={quote(token)}"


def invitation(base: str, passphrase: str) -> str:
    """Return the address that types the passphrase by itself; browsers never send the part behind the #."""
    return f"{base.rstrip('/')}/enter#{quote(passphrase)}"


def host_name(header: str) -> str:
    """Return the name in a Host header: no port, no brackets, lower case."""
    name = header.strip().lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.partition(":")[0].rstrip(".")


def is_from_elsewhere(headers: Headers) -> bool:
    """Tell whether a page of another origin made this request; another port of this machine is another origin.

    Browsers say so in Sec-Fetch-Site; those that do not know it yet name the page in Origin.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc.lower() != headers.get("host", "").lower()


def _is_navigation(scope: Scope, headers: Headers) -> bool:
    """Tell whether a browser opens a page (a link followed from elsewhere is fine, a fetch or a form is not)."""
    mode = headers.get("sec-fetch-mode")
    return scope["method"] in ("GET", "HEAD") and (
        mode == "navigate" or (mode is None and "text/html" in headers.get("accept", ""))
    )


def _query(scope: Scope) -> list[tuple[str, str]]:
    return parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)


def _without_token(scope: Scope) -> str | None:
    """Return the request's path and query without the token, or None when there is no token in it."""
    query = _query(scope)
    if scope["method"] != "GET" or not any(name == "token" for name, _ in query):
        return None
    rest = urlencode([(name, value) for name, value in query if name != "token"])
    path = "/" + quote(scope["path"].lstrip("/\\"))  # one slash: two would name another host
    return f"{path}?{rest}" if rest else path


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
