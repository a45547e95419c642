"""A page on a real server and a real browser: what the canvas and codebook tests drive."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import gradio as gr
import pytest
import uvicorn
from fastapi import APIRouter, FastAPI
from fastapi.responses import FileResponse, Response
from playwright.sync_api import Browser, Page, sync_playwright

from studio.ui import static_files
from studio.ui.session import SessionMiddleware, Sessions
from studio.ui.theme import theme

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]


def chromium_path() -> str:
    """Return where Chromium is, or skip the test saying how to get it."""
    found = os.environ.get("STUDIO_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not found:
        pytest.skip("no Chromium: apt install chromium, or set STUDIO_CHROMIUM to its path")
    return found


@contextmanager
def browser() -> Iterator[Browser]:
    """Run Chromium."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium_path(), args=ARGUMENTS)
        yield running
        running.close()


@contextmanager
def serve(blocks: gr.Blocks, sessions: Sessions, *routers: APIRouter) -> Iterator[str]:
    """Serve `blocks` with our routes and session cookie on a free port; yields the address."""
    app = FastAPI()
    app.add_middleware(SessionMiddleware, sessions=sessions)

    @app.get("/studio/static/{name:path}")
    def static(name: str) -> Response:
        path = static_files.find(name)
        return FileResponse(path, media_type=static_files.TYPES[path.suffix]) if path else Response(status_code=404)

    for router in routers:
        app.include_router(router)
    gr.mount_gradio_app(app, blocks, path="/", theme=theme())
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.should_exit = True
        thread.join(10)


_CUT_STREAM = ("AbortError: ", "Unexpected error Connection errored out")


def watch_errors(page: Page) -> list[str]:
    """Collect uncaught script errors and error lines of the console, each with where it came from.

    Left out: a refused request, which is the page's to explain, and what Gradio's bundle (not our scripts) says of
    its own event stream when a reload cuts it.
    """
    errors: list[str] = []

    def note(text: str, where: str) -> None:
        of_gradio = "/assets/" in where and "/studio/static/" not in where
        if not text.startswith("Failed to load resource") and not (of_gradio and text.startswith(_CUT_STREAM)):
            errors.append(f"{text} ({where})")

    page.on("pageerror", lambda error: note(str(error), str(error.stack)))
    page.on("console", lambda line: note(line.text, line.location["url"]) if line.type == "error" else None)
    return errors


def example_picture(folder: Path) -> Path:
    """Write a 320 x 240 picture with smooth colours and hard edges."""
    import numpy as np
    from PIL import Image

    y, x = np.mgrid[0:240, 0:320]
    pixels = np.stack([x * 255 // 319, y * 255 // 239, ((x // 40 + y // 40) % 2) * 160 + 40], -1).astype(np.uint8)
    path = folder / "example.png"
    Image.fromarray(pixels).save(path)
    return path
