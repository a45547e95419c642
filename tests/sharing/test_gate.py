"""Promise R20: no route without the gate, no foreign host, no forged cookie."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from studio.sharing.gate import Gate, Policy, token_url
from studio.sharing.passphrase import FREE_TRIES, Lock, generate_passphrase
from studio.sharing.rate import RateLimit
from studio.sharing.visitors import Guests, Owner

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
        welcome="You are invited.",
        identity_key="tessera_owner",
        max_body_bytes=1000,
        limits={
            "/join": RateLimit(per_minute=60, burst=3, clock=clock),
            "": RateLimit(per_minute=6000, burst=100, clock=clock),
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
    enter(client)
    for host in ("evil.example", "127.0.0.1.evil.example", ""):
        assert client.get("/", headers={"host": host}).status_code == 421
    assert client.get("/", headers={"host": "studio.test:7861"}).status_code == 200


def test_requests_made_by_other_sites_are_refused_but_links_are_followed(client: TestClient) -> None:
    enter(client)
    cross = {"sec-fetch-site": "cross-site"}
    assert client.post("/x", headers={**cross, "sec-fetch-mode": "cors"}).status_code == 403
    assert client.post("/x", headers={**cross, "sec-fetch-mode": "navigate"}).status_code == 403
    assert client.get("/", headers={**cross, "sec-fetch-mode": "navigate"}).status_code == 200


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


def test_the_owners_link_lets_in_once_followed(clock: Clock) -> None:
    policy = Policy(
        cookie="tessera_key",
        hosts=lambda: frozenset({"127.0.0.1"}),
        lock=Lock("s3cret", clock=clock),
        visitors=Owner("s3cret"),
        welcome="",
        secret_name="Token",
    )
    app = Starlette(routes=[Route("/{path:path}", echo)])
    with TestClient(Gate(app, policy), base_url="http://127.0.0.1", follow_redirects=False) as client:
        url = token_url("http://127.0.0.1/", "s3cret")
        assert client.get(url).status_code == 401, "a script with the link is not a browser following it"
        answer = client.get(url, headers=HTML)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        assert client.get("/", headers=HTML).status_code == 200
        assert client.get(token_url("http://127.0.0.1", "wrong"), headers={**HTML, "cookie": ""}).status_code in (
            200,
            403,
        )


def test_every_answer_forbids_being_framed(client: TestClient) -> None:
    enter(client)
    for path in ("/", "/enter"):
        assert "frame-ancestors 'none'" in client.get(path).headers["content-security-policy"]


def test_passphrases_are_long_and_never_the_same() -> None:
    made = {generate_passphrase() for _ in range(1000)}
    assert len(made) == 1000
    assert all(len(phrase.split("-")) == 5 for phrase in made)
