"""Promise R20: no route without the gate, no foreign host, no forged cookie."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from studio.errors import SettingsError
from studio.settings import Settings, load_settings
from studio.sharing.entry import GUEST, OWNER, language_of
from studio.sharing.gate import Gate, Policy, host_name, invitation, token_url
from studio.sharing.owner import owner_policy, token_of
from studio.sharing.passphrase import FREE_TRIES, Lock, generate_passphrase
from studio.sharing.rate import RateLimit
from studio.sharing.visitors import Guests, is_guest

HTML = {"accept": "text/html"}


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def echo(request: Request) -> JSONResponse:
    body = await request.body()
    return JSONResponse({"who": request.scope.get("tessera_owner"), "bytes": len(body)})


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def guests(clock: Clock) -> Guests:
    return Guests(lasts_seconds=3600, clock=clock)


@pytest.fixture
def policy(guests: Guests, clock: Clock) -> Policy:
    return Policy(
        cookie="tessera_guest",
        hosts=lambda: frozenset({"studio.test"}),
        lock=Lock("open sesame", clock=clock),
        visitors=guests,
        wording=GUEST,
        identity_key="tessera_owner",
        max_body_bytes=1000,
        open={"/show": Starlette(routes=[Route("/show/{path:path}", echo)])},
        limits={
            "/join": RateLimit(per_minute=60, burst=3, clock=clock),
            "": RateLimit(per_minute=6000, burst=100, clock=clock),
            "strangers": RateLimit(per_minute=60, burst=5, clock=clock),
        },
    )


@pytest.fixture
def client(policy: Policy) -> Iterator[TestClient]:
    app = Starlette(routes=[Route("/{path:path}", echo, methods=["GET", "POST", "HEAD"])])
    with TestClient(Gate(app, policy), base_url="http://studio.test", follow_redirects=False) as client:
        yield client


def enter(client: TestClient, secret: str = "open sesame") -> int:
    return client.post("/enter", data={"secret": secret}).status_code


@pytest.mark.parametrize(
    "path", ["/", "/config", "/gradio_api/queue/join", "/gradio_api/cancel", "/gradio_api/file=/etc/passwd"]
)
def test_nothing_but_the_entry_page_is_served_without_a_cookie(client: TestClient, path: str) -> None:
    """R20: a program is refused, a person is led to the entry page."""
    assert client.get(path).status_code == 401
    assert client.get(path, headers=HTML).headers["location"] == "/enter"
    assert client.get("/enter").status_code == 200


def test_the_passphrase_opens_and_gives_each_guest_an_identity(client: TestClient) -> None:
    assert enter(client) == 303
    first = client.get("/who").json()["who"]
    client.cookies.clear()
    assert enter(client, " Open Sesame ") == 303
    second = client.get("/who").json()["who"]
    assert first and second and first != second
    assert is_guest(first) and not is_guest(secrets.token_hex(16)), "an owner's session is never taken for a guest's"


def test_wrong_tries_wait_longer_and_longer(client: TestClient, clock: Clock) -> None:
    assert [enter(client, "nope") for _ in range(FREE_TRIES)] == [403] * (FREE_TRIES - 1) + [429]
    assert enter(client) == 429, "while one must wait, the right one does not open either"
    clock.now += 2.1
    assert enter(client, "nope") == 429
    clock.now += 2.1
    assert enter(client) == 429
    clock.now += 2
    assert enter(client) == 303


def test_forged_cookies_open_nothing(client: TestClient) -> None:
    """R20: a cookie that was changed, cut or made up is none."""
    enter(client)
    good = client.cookies["tessera_guest"]
    client.cookies.clear()
    for forged in (
        "",
        "owner",
        good[:-1] + ("0" if good[-1] != "0" else "1"),
        secrets.token_hex(16) + "." + good.split(".")[1],
        "é",
    ):
        headers = {"cookie": f"tessera_guest={forged}".encode()}
        assert client.get("/who", headers=headers).status_code == 401


def test_an_ended_guest_and_an_ended_share_are_out_at_once(client: TestClient, guests: Guests, clock: Clock) -> None:
    enter(client)
    who = client.get("/who").json()["who"]
    assert [guest.id for guest in guests.present()] == [who]
    guests.end(who)
    assert client.get("/who").status_code == 401
    enter(client)
    assert client.get("/who").status_code == 200
    clock.now += 3601
    assert client.get("/who").status_code == 401


def test_a_foreign_host_name_is_refused_so_that_rebinding_fails(client: TestClient) -> None:
    """R20: the gate answers to its own names alone."""
    enter(client)
    for host in ("evil.example", "127.0.0.1.evil.example", ""):
        assert client.get("/", headers={"host": host}).status_code == 421
    assert client.get("/", headers={"host": "studio.test:7861"}).status_code == 200


def test_requests_made_by_other_sites_are_refused_but_links_are_followed(client: TestClient) -> None:
    enter(client)
    for site in ("cross-site", "same-site"):  # same-site: another program's port on this machine
        foreign = {"sec-fetch-site": site}
        assert client.post("/x", headers={**foreign, "sec-fetch-mode": "cors"}).status_code == 403
        assert client.get("/x", headers={**foreign, "sec-fetch-mode": "no-cors"}).status_code == 403
        assert client.post("/x", headers={**foreign, "sec-fetch-mode": "navigate"}).status_code == 403
        assert client.get("/", headers={**foreign, "sec-fetch-mode": "navigate"}).status_code == 200
    assert client.post("/x", headers={"sec-fetch-site": "same-origin"}).status_code == 200


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://studio.test", 200),
        ("http://evil.example", 403),
        ("http://studio.test:8080", 403),
        ("null", 403),
        ("http://studio.test.evil.example", 403),
    ],
)
def test_browsers_without_fetch_metadata_are_judged_by_the_origin(client: TestClient, origin: str, status: int) -> None:
    enter(client)
    assert client.post("/x", headers={"origin": origin}).status_code == status


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/proxy=http://x",
        "/gradio_api/file=http://x/y",
        "/monitoring/summary",
        "/gradio_api/deep_link",
        "/RUN-HISTORY",
    ],
)
def test_closed_routes_do_not_exist(client: TestClient, path: str) -> None:
    enter(client)
    assert client.get(path).status_code == 404


def test_large_bodies_are_refused_whether_announced_or_not(client: TestClient) -> None:
    enter(client)
    assert client.post("/x", content=b"a" * 1001).status_code == 413
    assert client.post("/x", content=b"a" * 1000).json()["bytes"] == 1000
    with pytest.raises(Exception, match=r"disconnect|Disconnect|^$"):
        client.post("/x", content=iter([b"a" * 600, b"a" * 600]))


def test_a_flood_is_stopped_for_the_one_who_floods(client: TestClient, clock: Clock) -> None:
    enter(client)
    assert [client.post("/join").status_code for _ in range(5)] == [200, 200, 200, 429, 429]
    flooder = dict(client.cookies)
    client.cookies.clear()
    enter(client)
    assert client.post("/join").status_code == 200
    clock.now += 1
    client.cookies.clear()
    client.cookies.update(flooder)
    assert client.post("/join").status_code == 200


def test_a_forwarded_address_changes_nothing(client: TestClient) -> None:
    assert client.get("/who", headers={"x-forwarded-for": "127.0.0.1"}).status_code == 401


def test_behind_https_the_cookie_is_tied_to_the_host(client: TestClient) -> None:
    answer = client.post("/enter", data={"secret": "open sesame"}, headers={"x-forwarded-proto": "https"})
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-tessera_guest=")
    assert "Secure" in cookie and "HttpOnly" in cookie and "Domain" not in cookie


TOKEN = "a-token-of-more-than-twenty"


@pytest.fixture
def owner() -> Iterator[TestClient]:
    """The owner's gate on 127.0.0.1, as `studio serve` builds it."""
    policy = owner_policy(Settings(token=TOKEN), TOKEN)
    app = Starlette(routes=[Route("/{path:path}", echo, methods=["GET", "POST", "HEAD"])])
    with TestClient(Gate(app, policy), base_url="http://127.0.0.1:7860", follow_redirects=False) as client:
        yield client


def test_the_owners_link_lets_a_browser_in_and_leaves_a_clean_address(owner: TestClient) -> None:
    url = token_url("http://127.0.0.1:7860/", TOKEN)
    assert owner.get(url).status_code == 401, "a program with the link is not a browser following it"
    answer = owner.get(url, headers=HTML)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "HttpOnly" in answer.headers["set-cookie"] and "samesite=lax" in answer.headers["set-cookie"].lower()
    assert TOKEN not in answer.headers["set-cookie"]
    assert owner.get("/", headers=HTML).status_code == 200
    again = owner.get(f"/?look=dark&token={TOKEN}", headers=HTML)
    assert (again.status_code, again.headers["location"]) == (303, "/?look=dark"), (
        "the token never stays in the address"
    )


def test_the_clean_address_is_never_another_sites(owner: TestClient) -> None:
    for path in ("//evil.example/", "/\\evil.example/", "///evil.example"):
        location = owner.get(f"http://127.0.0.1:7860{path}?token={TOKEN}", headers=HTML).headers.get("location", "/")
        assert location.startswith("/") and not location.startswith(("//", "/\\"))


def test_localhost_alone_opens_nothing(owner: TestClient) -> None:
    """R20: "it comes from this machine, so it is the owner" is how studios were taken over (finding F7)."""
    spoofed = {"x-forwarded-for": "127.0.0.1", "x-real-ip": "127.0.0.1"}
    assert owner.get("/", headers=spoofed).status_code == 401
    assert owner.get("/", headers=HTML).headers["location"] == "/enter"
    assert owner.post("/gradio_api/queue/join", json={}).status_code == 401
    for host in (
        "evil.example:7860",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "0.0.0.0",
        "[::ffff:1.2.3.4]",
    ):
        assert owner.get(f"/?token={TOKEN}", headers={**HTML, "host": host}).status_code == 421
    for host in ("127.0.0.1:7860", "localhost:9000", "[::1]:7860", "LOCALHOST"):
        assert owner.get("/enter", headers={"host": host}).status_code == 200


def test_a_program_gives_the_token_as_bearer(owner: TestClient) -> None:
    assert owner.get("/config", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
    refused = owner.get("/config", headers={"authorization": f"Bearer {TOKEN}x"})
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert owner.get("/config", headers={"authorization": f"Basic {TOKEN}"}).status_code == 401


def test_a_guests_passphrase_is_no_bearer_key(client: TestClient) -> None:
    """Programs could otherwise try passphrases without the wait."""
    assert client.get("/who", headers={"authorization": "Bearer open sesame"}).status_code == 401


def test_wrong_tokens_never_lock_the_owner_out(owner: TestClient) -> None:
    """Any page in the owner's browser can open links with wrong tokens; a wait would let it shut the owner out."""
    for _ in range(30):
        assert owner.get("/?token=wrong", headers=HTML).status_code == 403
    assert owner.get(f"/?token={TOKEN}", headers=HTML).status_code == 303


def test_a_browser_without_the_key_is_told_where_it_is(owner: TestClient) -> None:
    english = owner.get("/enter", headers={**HTML, "accept-language": "de, en;q=0.8"}).text
    chinese = owner.get("/enter", headers={**HTML, "accept-language": "zh-CN,zh;q=0.9,en;q=0.8"}).text
    assert OWNER["en"].title in english and "owner.token" in english
    assert OWNER["zh"].title in chinese and '<html lang="zh">' in chinese
    assert owner.post("/enter", data={"secret": "wrong"}).status_code == 403
    assert owner.post("/enter", data={"secret": TOKEN}).status_code == 303


def test_the_entry_page_runs_nothing_but_itself(client: TestClient) -> None:
    first, second = client.get("/enter"), client.get("/enter")
    rules = first.headers["content-security-policy"]
    nonce = rules.split("script-src 'nonce-")[1].split("'")[0]
    assert "default-src 'none'" in rules and f'<script nonce="{nonce}">' in first.text
    assert nonce not in second.text


def test_languages_fall_back_to_english() -> None:
    assert [language_of(it) for it in ("", "fr", "zh-TW", "fr, zh;q=0.5, en", "EN-gb")] == [
        "en",
        "en",
        "zh",
        "zh",
        "en",
    ]


def test_host_names_are_read_without_port_and_brackets() -> None:
    assert [host_name(it) for it in ("A.b:80", "[::1]:7860", "a.b.", "[::1", "")] == ["a.b", "::1", "a.b", "::1", ""]


def test_the_token_is_made_once_kept_private_and_can_be_set(tmp_path: Path) -> None:
    made = token_of(Settings(data_dir=tmp_path))
    assert made == token_of(Settings(data_dir=tmp_path)) and len(made) >= 32
    assert (tmp_path / "owner.token").stat().st_mode & 0o077 == 0
    assert token_of(Settings(data_dir=tmp_path, token=TOKEN)) == TOKEN
    with pytest.raises(SettingsError, match="token"):
        load_settings({"data_dir": tmp_path, "token": "short"})


def test_strangers_use_what_is_open_and_share_one_rate(client: TestClient, clock: Clock) -> None:
    assert [client.get("/show/x").status_code for _ in range(6)] == [200] * 5 + [429]
    clock.now += 2
    assert client.get("/show/x").json()["who"] is None
    assert client.get("/shown").status_code == 401, "only the whole first part of the path counts"
    enter(client)
    assert client.get("/who").status_code == 200, "strangers do not use up the guests' rate"


def test_an_invitation_never_tells_a_server_the_passphrase() -> None:
    assert invitation("https://a.example/", "two words") == "https://a.example/enter#two%20words"


def test_a_full_or_ended_share_says_so(client: TestClient, policy: Policy, clock: Clock) -> None:
    full = Guests(lasts_seconds=3700, most=2, clock=clock)
    app = Starlette(routes=[Route("/{path:path}", echo)])
    with TestClient(Gate(app, replace(policy, visitors=full)), base_url="http://studio.test") as visitor:
        assert [enter(visitor) for _ in range(2)] == [200, 200]
        assert "full" in visitor.post("/enter", data={"secret": "open sesame"}).text
        clock.now += 3601
        assert "full" not in visitor.post("/enter", data={"secret": "open sesame"}).text, "the one long gone made room"
        clock.now += 100
        visitor.cookies.clear()
        assert "ended" in visitor.post("/enter", data={"secret": "open sesame"}).text


def test_every_answer_forbids_being_framed(client: TestClient) -> None:
    enter(client)
    for path in ("/", "/enter"):
        assert "frame-ancestors 'none'" in client.get(path).headers["content-security-policy"]


def test_passphrases_are_long_and_never_the_same() -> None:
    made = {generate_passphrase() for _ in range(1000)}
    assert len(made) == 1000
    assert all(len(phrase.split("-")) == 5 for phrase in made)
