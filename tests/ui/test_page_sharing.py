"""Sharing in a real browser: the owner's panel, and on the other side a guest's page and a stranger's gallery link."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect
from served import watch_errors

from studio.share import Sharing
from studio.sharing.tunnel import NoTunnel
from studio.ui.serve import serving
from studio.ui.studio import Studio
from tests.guest_studio import PASSPHRASE, Engine, guest, made_by, opened

pytestmark = pytest.mark.browser


@dataclass
class Shared:
    """An owner's page over a studio that can be shared."""

    page: Page
    studio: Studio
    sharing: Sharing
    engine: Engine
    visit: Callable[[str], Page]
    errors: list[str] = field(default_factory=list)

    @property
    def panel(self) -> str:
        """The owner's panel, while it is open."""
        return "dialog.share-panel[open]"


def tunnel_at_the_second_try() -> Callable[[int], str]:
    """Return a tunnel that fails once; then its "public" address is another name of this machine."""
    tries: list[int] = []

    def tunnel(port: int) -> str:
        tries.append(port)
        if len(tries) == 1:
            raise NoTunnel("No public link: no network.", "Connect this computer, then try again.")
        return f"http://localhost:{port}"

    return tunnel


@pytest.fixture
def shared(tmp_path: Path, chromium: Browser) -> Iterator[Shared]:
    engine = Engine()
    with ExitStack() as stack:
        studio = stack.enter_context(opened(tmp_path, engine))
        sharing = Sharing(studio, studio.settings, announce=lambda line: None, tunnel=tunnel_at_the_second_try())
        stack.enter_context(sharing)
        owners = replace(studio, extras={**studio.extras, "share": sharing})
        address = stack.enter_context(serving(owners, studio.settings.model_copy(update={"port": 0})))

        def visit(link: str) -> Page:
            context = chromium.new_context(viewport={"width": 1280, "height": 860})
            stack.callback(context.close)
            page = context.new_page()
            page.set_default_timeout(60_000)
            page.goto(link)
            return page

        page = visit(address)
        page.wait_for_selector("#create-stage .stage[data-state]")
        yield Shared(page, studio, sharing, engine, visit, watch_errors(page))


def test_an_owner_shares_sees_guests_ends_one_shows_an_album_and_ends_the_share(shared: Shared) -> None:
    page, panel, studio = shared.page, shared.page.locator(shared.panel), shared.studio
    page.click(".share-open")
    panel.get_by_text("Public link").click()
    expect(panel.get_by_role("alert")).to_have_text(
        "No public link: no network. Connect this computer, then try again."
    )
    panel.get_by_text("Make a public link too").click()
    expect(panel.locator(".share-links")).to_contain_text("http://localhost:")
    expect(panel.get_by_role("alert")).to_have_count(0)
    link = shared.sharing.door.public
    expect(panel.locator(".share-links")).to_contain_text(link)
    expect(panel.locator(".share-links")).to_contain_text(PASSPHRASE)
    expect(panel.locator(".share-qr")).to_have_js_property("complete", True)
    expect(page.locator(".share-bar")).to_contain_text("nobody is here")

    shared.engine.go.clear()
    theirs = shared.visit(f"{link}/enter#{PASSPHRASE}")
    theirs.wait_for_selector("#create-stage .stage[data-state]")
    expect(theirs.locator(".guest-notice").first).to_be_visible()
    assert not theirs.locator(".share-open").count()
    theirs.fill("#prompt textarea", "a red apple")
    theirs.click("#create-generate")
    expect(panel).to_contain_text("now: a red apple")
    [visitor] = shared.sharing.guests.present()
    with guest(shared.sharing) as other:
        expect(panel.locator(".share-list").first).to_contain_text("Guest 2")
        expect(page.locator(".share-bar")).to_contain_text("2 guests are here")
        panel.locator("li", has_text="Guest 1").get_by_text("End", exact=True).click()
        expect(panel.locator("li", has_text="Guest 1")).to_have_count(0)
        assert studio.runner.active(visitor.id) == []
        assert other.get("/studio/status").status_code == 200, "the other guest stays"
    theirs.reload()
    assert urlsplit(theirs.url).path == "/enter"
    shared.engine.go.set()

    assert_an_album_is_shown_and_closed(shared, link)

    panel.get_by_text("End the share").click()
    panel.get_by_text("Everybody out?").click()
    expect(panel.locator(".share-choice")).to_have_count(2)
    expect(page.locator(".share-bar")).to_have_count(0)
    assert not shared.sharing.is_open
    assert shared.errors == []


def assert_an_album_is_shown_and_closed(shared: Shared, link: str) -> None:
    """Make a gallery link in the panel, follow it as a stranger, and take it back."""
    studio, panel = shared.studio, shared.page.locator(shared.panel)
    studio.gallery.collect([made_by(studio, "the owner", "shown words", seed=7)], "Best of 2026")
    expect(panel.locator(".share-select option")).to_have_text(["Best of 2026"])
    panel.get_by_text("Make a link", exact=True).click()
    album = panel.locator(".share-shows code")
    expect(album).to_have_count(1)
    expect(album).to_have_text(f"{link}{shared.sharing.shows.all()[0].path}")
    stranger = shared.visit(album.inner_text())
    expect(stranger.locator("img").first).to_be_visible()
    assert "Best of 2026" in stranger.content() and "shown words" not in stranger.content()
    panel.get_by_text("Remove", exact=True).click()
    expect(album).to_have_count(0)
    answer = stranger.reload()
    assert answer is not None and answer.status == 404
