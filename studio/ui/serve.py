"""The page on a port: Gradio inside a FastAPI app with the studio's own routes and sessions."""

from __future__ import annotations

import errno
import logging
import os
import socket
import threading
import webbrowser
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias, cast

import gradio as gr
import uvicorn
from fastapi import APIRouter, FastAPI
from gradio.blocks import Block, BlocksConfig
from gradio.routes import App
from starlette.routing import Mount
from starlette.types import ASGIApp

from studio.errors import SettingsError, StudioError
from studio.settings import Settings
from studio.ui import static_files
from studio.ui.blocks import build_page
from studio.ui.canvas.routes import canvas_routes
from studio.ui.codebook_routes import codebook_routes
from studio.ui.draft_routes import draft_routes
from studio.ui.film_page.routes import film_routes
from studio.ui.gallery_page.access import Access
from studio.ui.gallery_page.reading import reading_routes
from studio.ui.gallery_page.routes import gallery_routes
from studio.ui.models_page.routes import models_routes
from studio.ui.quick_import import no_app_yet
from studio.ui.routes import router
from studio.ui.session import SessionMiddleware, Sessions
from studio.ui.sharing_page.routes import share_routes
from studio.ui.studio import Studio
from studio.ui.tabs.create.craft import Craft
from studio.ui.tabs.create.styles import style_routes
from studio.ui.texts import translations
from studio.ui.theme import theme
from studio.ui.train_page.routes import train_routes
from studio.ui.well_routes import well_routes

logger = logging.getLogger(__name__)

Guard: TypeAlias = Callable[[ASGIApp], ASGIApp]

_SESSIONS_KEPT = 200  # each open page costs 0.3 MB of Gradio's memory
_LARGEST_UPLOAD = "20mb"
_EVENTS_WAITING = 256
_UPLOADS = "GRADIO_TEMP_DIR"
_SUMMARIES = "GRADIO_ANALYTICS_CACHE_FREQUENCY"
_BUILDING = threading.Lock()  # Gradio knows one page under construction at a time, in all threads
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
    sessions = Sessions.in_folder(settings.data_dir)
    with (
        _BUILDING,
        _uploads_in(settings.cache_dir / ("guests" if studio.for_guests else "uploads"), lasting=not studio.for_guests),
    ):
        return _build(studio, sessions)


@contextmanager
def _uploads_in(folder: Path, *, lasting: bool) -> Iterator[None]:
    """Let Gradio, which reads the environment while a page is built, keep its files in `folder`."""
    before = os.environ.get(_UPLOADS)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.environ[_UPLOADS] = str(folder)
    try:
        yield
    finally:
        if not lasting and before is not None:
            os.environ[_UPLOADS] = before


def _build(studio: Studio, sessions: Sessions) -> FastAPI:
    # Gradio's statistics of its own events, which nobody reads here, take 30 to 150 ms after each of them.
    os.environ.setdefault(_SUMMARIES, str(10**9))
    with no_app_yet():
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
        head=_HEAD + static_files.script_tags("page/drafts.js"),
        i18n=translations(),
        favicon_path=str(static_files.FOLDER / "page/favicon.svg"),
        footer_links=[],
        run_history=False,
        show_error=False,
        enable_monitoring=False,
        ssr_mode=False,
        max_file_size=_LARGEST_UPLOAD,
    )
    mounted = app.routes[-1]
    assert isinstance(mounted, Mount) and isinstance(mounted.app, App)
    blocks.app = mounted.app  # its queue and its routes are to share one set of sessions
    mounted.app.state_holder.blocks = cast("gr.Blocks", _Start(blocks.default_config))
    app.add_middleware(SessionMiddleware, sessions=sessions)
    return app


@dataclass(frozen=True, slots=True)
class _Start:
    """What a page's session begins with: the components, and no copies of their settings.

    Gradio makes a copy of each for links into a page's state ("deep links"), which the studio has no use for: 150 to
    250 ms, in which the server answers nobody, at the first event of every page.
    """

    default_config: BlocksConfig
    blocks: Mapping[int, Block] = field(default_factory=dict)


def _routes(studio: Studio, sessions: Sessions) -> Iterator[APIRouter]:
    yield router(studio, sessions)
    if studio.drafts is not None:
        yield draft_routes(studio.drafts, sessions.of)
    yield canvas_routes(studio.pictures, sessions.of)
    yield film_routes(studio, sessions)
    yield well_routes(studio, sessions.of)
    yield style_routes(Craft(studio, ()))
    if studio.for_guests:
        yield reading_routes(Access(studio, sessions))
        return
    yield from gallery_routes(studio, sessions)
    if "share" in studio.extras:
        yield share_routes(studio.extras["share"])
    if "models" in studio.extras:
        yield models_routes(studio.extras["models"])
    if "train" in studio.extras:
        yield train_routes(studio.extras["train"].runs)
    if "codebook" in studio.extras:
        yield codebook_routes(
            studio.extras["codebook"],
            pictures=studio.pictures,
            session_of=sessions.of,
            gallery_picture=lambda session, record: studio.gallery.open(record, owner=studio.sees(session)),
            runner=studio.runner,
        )


def launch(
    studio: Studio,
    settings: Settings,
    *,
    announce: Callable[[str], None],
    guard: Guard = lambda app: app,
    link: Callable[[str], str] = lambda address: address,
    then: Callable[[], None] = lambda: None,
) -> None:
    """Serve the page until interrupted.

    Args:
        announce: Is told the link once the page answers.
        guard: Wraps the whole app.
        link: Returns the link that lets in, for the page's address; the browser is opened with it.
        then: Called last, on a thread of its own, once the page answers.

    Raises:
        StudioError: The port is taken, or the host is not an address of this machine.
    """
    with listen(settings) as (door, address):
        server = uvicorn.Server(_config(guard(build_app(studio))))
        threading.Thread(
            target=_when_up,
            args=(server, link(address), settings.browser),
            kwargs={"announce": announce, "then": then},
            name="announcer",
            daemon=True,
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


def _when_up(
    server: uvicorn.Server, link: str, browser: bool, *, announce: Callable[[str], None], then: Callable[[], None]
) -> None:
    pause = threading.Event()
    while not server.started:
        if server.should_exit:
            return
        pause.wait(0.02)
    announce(link)
    if browser:
        webbrowser.open(link)
    then()
