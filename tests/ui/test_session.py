"""Who is asking: signed cookies that nobody can make up."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from studio.errors import SettingsError
from studio.ui.session import SessionMiddleware, Sessions


def test_a_minted_cookie_names_its_owner_and_a_changed_one_nobody() -> None:
    sessions = Sessions(b"k" * 32)
    cookie = sessions.mint()
    owner = sessions.owner(cookie)
    assert owner and len(bytes.fromhex(owner)) == 16
    assert sessions.owner(cookie[:-1] + ("0" if cookie[-1] != "0" else "1")) is None
    assert sessions.owner("0" * 32 + cookie[32:]) is None
    assert [sessions.owner(junk) for junk in (None, "", ".", "a.b", "ü.ü", cookie.split(".")[0])] == [None] * 6


def test_another_studios_cookie_names_nobody_here() -> None:
    here, there = Sessions(b"a" * 32), Sessions(b"b" * 32)
    assert here.owner(there.mint()) is None
    assert here.cookie != there.cookie


def test_the_key_outlives_a_restart_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    cookie = Sessions.in_folder(tmp_path).mint()
    assert Sessions.in_folder(tmp_path).owner(cookie)
    assert stat.S_IMODE((tmp_path / "session.key").stat().st_mode) == 0o600


def test_a_key_cut_short_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "session.key").write_bytes(b"short")
    Sessions.in_folder(tmp_path)
    assert len((tmp_path / "session.key").read_bytes()) == 32


def test_a_data_directory_that_is_a_file_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="--data-dir"):
        Sessions.in_folder(tmp_path / "file")


def test_every_request_has_a_session_and_a_browser_keeps_its_own() -> None:
    sessions = Sessions(b"k" * 32)

    def who(request: Request) -> PlainTextResponse:
        return PlainTextResponse(sessions.of(request))

    app = Starlette(routes=[Route("/", who)])
    app.add_middleware(SessionMiddleware, sessions=sessions)
    first, second = TestClient(app), TestClient(app)
    name = first.get("/").text
    assert first.get("/").text == name
    assert "set-cookie" not in first.get("/").headers
    assert second.get("/").text != name
    forged = TestClient(app, cookies={sessions.cookie: f"{name}.{'0' * 64}"})
    assert forged.get("/").text != name
