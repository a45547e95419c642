"""The page on a port: Gradio inside a FastAPI app with the studio's own routes and sessions."""

from __future__ import annotations

import errno
import logging
import os
import socket
import threading
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

import gradio as gr
import uvicorn
from fastapi import APIRouter, FastAPI
from starlette.types import ASGIApp

from studio.errors import SettingsError, StudioError
from studio.settings import Settings
from studio.ui import static_files
from studio.ui.blocks import build_page
from studio.ui.canvas.routes import canvas_routes
from studio.ui.codebook_routes import codebook_routes
from studio.ui.routes import router
from studio.ui.session import SessionMiddleware, Sessions
from studio.ui.studio import Studio
from studio.ui.texts import translations
from studio.ui.theme import theme

logger = logging.getLogger(__name__)

Guard: TypeAlias = Callable[[ASGIApp], ASGIApp]

_SESSIONS_KEPT = 200  # each open page costs 0.3 MB of Gradio's memory
_LARGEST_UPLOAD = "20mb"
_EVENTS_WAITING = 256
_PORTS_TRIED = 50

_HEAD = f"""
<link rel="icon" type="image/svg+xml" href="{static_files.PREFIX}page/favicon.svg">
<meta name="description" content="A local art studio for diffusion models and VQGAN codebooks">
<script>
  const stored = localStorage.getItem("tessera-look");
  if (stored) addEventListener("DOMContentLoaded", () => document.body.classList.toggle("dark", stored === "dark"));
</script>
"""


def build_app(studio: Studio) -> FastAPI:
    """Return the studio as an ASGI app: the page at /, pictures and scripts under /studio/."""
    settings = studio.settings
    os.environ["GRADIO_TEMP_DIR"] = str(settings.cache_dir / "uploads")  # read by Gradio while the page is built
    sessions = Sessions.in_folder(settings.data_dir)
    blocks = build_page(studio, sessions)
    blocks.queue(api_open=False, max_size=_EVENTS_WAITING)
    blocks.state_session_capacity = _SESSIONS_KEPT
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    for routes in _routes(studio, sessions):
        app.include_router(routes)
    gr.mount_gradio_app(
        app,
        blocks,
        path="/",
        theme=theme(),
        css=static_files.read("page/studio.css"),
        head=_HEAD,
        i18n=translations(),
        favicon_path=str(static_files.FOLDER / "page/favicon.svg"),
        footer_links=[],
        run_history=False,
        show_error=False,
        enable_monitoring=False,
        ssr_mode=False,
        max_file_size=_LARGEST_UPLOAD,
    )
    app.add_middleware(SessionMiddleware, sessions=sessions)
    return app


def _routes(studio: Studio, sessions: Sessions) -> Iterator[APIRouter]:
    yield router(studio, sessions)
    yield canvas_routes(studio.pictures, sessions.of)
    if "codebook" in studio.extras:
        yield codebook_routes(
            studio.extras["codebook"],
            pictures=studio.pictures,
            session_of=sessions.of,
            gallery_picture=lambda session, record: studio.gallery.open(record, owner=studio.sees(session)),
            runner=studio.runner,
        )


def launch(studio: Studio, settings: Settings, *, announce: Callable[[str], None]) -> None:
    """Serve the page until interrupted.

    Args:
        announce: Is told the address once the page answers.

    Raises:
        StudioError: The port is taken, or the host is not an address of this machine.
    """
    with listen(settings) as (door, address):
        server = uvicorn.Server(_config(build_app(studio)))
        threading.Thread(
            target=_when_up, args=(server, address, settings.browser, announce), name="announcer", daemon=True
        ).start()
        server.run(sockets=[door])


@contextmanager
def serving(studio: Studio, settings: Settings, *, guard: Guard = lambda app: app) -> Iterator[str]:
    """Serve the page from a thread while the context is open; yields its address. `guard` wraps the whole app."""
    with listen(settings) as (door, address):
        server = uvicorn.Server(_config(guard(build_app(studio))))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [door]}, name="page", daemon=True)
        thread.start()
        while not server.started and thread.is_alive():
            thread.join(0.02)
        try:
            yield address
        finally:
            server.should_exit = True
            thread.join(10)


@contextmanager
def listen(settings: Settings) -> Iterator[tuple[socket.socket, str]]:
    """Open the port; yields the socket and the address to visit.

    Raises:
        StudioError: The port is taken (the hint names a free one) or may not be opened.
        SettingsError: The host is not an address of this machine.
    """
    door = _bind(settings.host, settings.port)
    try:
        port = door.getsockname()[1]
        host = "127.0.0.1" if settings.host in ("0.0.0.0", "::", "") else settings.host
        yield door, f"http://{f'[{host}]' if ':' in host else host}:{port}"
    finally:
        door.close()


def _bind(host: str, port: int) -> socket.socket:
    door = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        if os.name == "posix":  # there it means "reuse a port just closed"; on Windows it would share a taken one
            door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind((host, port))
        door.listen(128)
    except OSError as error:
        door.close()
        raise _explain(error, host, port) from error
    return door


def _explain(error: OSError, host: str, port: int) -> StudioError:
    if error.errno in (errno.EADDRINUSE, 10048):
        free = _next_free(host, port)
        hint = f"Start with --port {free}." if free else "Start with --port 0 to use any free one."
        return StudioError(f"Port {port} is taken, perhaps by another studio.", hint)
    if error.errno == errno.EACCES:
        return StudioError(f"Port {port} may not be opened.", "Choose one above 1024 with --port.")
    return SettingsError(
        f'The studio cannot listen on "{host}" ({error.strerror or error}).',
        "Use --host 127.0.0.1 for this machine alone, or --host 0.0.0.0 for the local network.",
    )


def _next_free(host: str, port: int) -> int | None:
    for candidate in range(port + 1, min(port + 1 + _PORTS_TRIED, 65536)):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
            try:
                probe.bind((host, candidate))
            except OSError:
                continue
            return candidate
    return None


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1, proxy_headers=False)


def _when_up(server: uvicorn.Server, address: str, browser: bool, announce: Callable[[str], None]) -> None:
    pause = threading.Event()
    while not server.started:
        if server.should_exit:
            return
        pause.wait(0.02)
    announce(address)
    if browser:
        webbrowser.open(address)
