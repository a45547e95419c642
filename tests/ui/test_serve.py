"""The page on a port: what is said when it cannot be had, and what the server never gives away."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import gradio as gr
import pytest
from fake_engine import FakeEngine
from studio_page import CARD, Opened

from studio.errors import SettingsError, StudioError
from studio.gallery import Gallery, recorder
from studio.jobs import JobRunner
from studio.pictures import PictureStore
from studio.settings import Settings
from studio.ui.serve import build_app, listen
from studio.ui.studio import Studio


def status_of(address: str, *, data: bytes | None = None) -> int:
    try:
        with urllib.request.urlopen(
            urllib.request.Request(address, data=data, headers={"content-type": "application/json"})
        ) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_a_taken_port_names_itself_and_a_free_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StudioError, match=f"Port {port} is taken") as raised, listen(Settings(port=port)):
            pass
    hint = raised.value.hint
    free = int(hint.removeprefix("Start with --port ").rstrip("."))
    with listen(Settings(port=free)) as (_, address):
        assert address == f"http://127.0.0.1:{free}"


def test_a_host_that_is_not_this_machine_is_a_clear_error() -> None:
    with pytest.raises(SettingsError, match=r'cannot listen on "192\.0\.2\.1"'), listen(Settings(host="192.0.2.1")):
        pass


def test_the_address_to_visit_is_one_a_browser_understands() -> None:
    with listen(Settings(host="0.0.0.0", port=0)) as (_, address):
        assert address.startswith("http://127.0.0.1:")


def test_a_page_server_loads_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys, studio.ui.serve, studio.ui.blocks\n"
        "sys.exit(1 if {'torch', 'diffusers', 'transformers'} & set(sys.modules) else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_gradio_keeps_no_statistics_of_its_events(opened: Opened) -> None:
    with gr.Blocks() as page:
        queue = page._queue
    event = {"time": 0.0, "status": "success", "process_time": 0.1, "function": "click", "session_hash": "a"}
    queue.events_recorded = 1000
    assert queue.compute_analytics_summary([event]) == {"functions": {}}


def test_the_queue_and_the_routes_share_one_set_of_sessions_and_it_is_bounded(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    with (
        Gallery(settings.gallery_dir, reserve_bytes=0) as gallery,
        JobRunner(FakeEngine().run, recorder(gallery)) as runner,
    ):
        app = build_app(Studio(runner, gallery, PictureStore(tmp_path / "pictures"), settings, models=lambda: [CARD]))
    mounted = app.routes[-1].app  # type: ignore[attr-defined]
    blocks = mounted.get_blocks()
    assert blocks.app is mounted, "else the queue fills sessions that nobody ever clears"
    sessions = mounted.state_holder
    assert sessions is blocks.state_holder and sessions.capacity == 200
    assert sessions["a page"].config_values == {}, "no copy of every component's settings for every page"
    assert set(sessions["a page"].blocks_config.blocks) == set(blocks.blocks)
    for number in range(300):
        sessions[f"page {number}"]
    assert len(sessions.session_data) <= 201


def test_the_queue_cannot_be_walked_around(opened: Opened) -> None:
    assert status_of(f"{opened.address}/gradio_api/run/generate", data=json.dumps({"data": [{}]}).encode()) == 404
    assert status_of(f"{opened.address}/monitoring/summary") in (403, 404)


@pytest.mark.parametrize(
    "path",
    [
        "/studio/static/serve.py",
        "/studio/static/../settings.py",
        "/studio/static/%2e%2e/settings.py",
        "/studio/static/page/../../settings.py",
        "/studio/static//etc/passwd",
        "/studio/static/",
        "/studio/pictures/../../session.key.png",
        "/studio/pictures/00000000000000000000.png",
        "/studio/pictures/session.png",
        "/studio/thumbnails/..%2f..%2fsession.key",
        "/gradio_api/file=session.key",
    ],
)
def test_no_path_leads_to_a_file_that_is_not_meant(opened: Opened, path: str) -> None:
    assert status_of(opened.address + path) in (400, 403, 404, 405)


def test_scripts_and_texts_are_served(opened: Opened) -> None:
    for path in ("/studio/static/page/stage.js", "/studio/texts.js", "/studio/static/canvas/host.js", "/favicon.ico"):
        assert status_of(opened.address + path) == 200
