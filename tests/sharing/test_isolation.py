"""Promises R10 and R20: strangers hold the link, and nobody's bytes reach anybody else.

The full numbers (20,000 foreign requests, 1,000 joins) run with STUDIO_RELIABILITY=full.
"""

from __future__ import annotations

import asyncio
import base64
import io
import itertools
import json
import random
import secrets
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx
import PIL
import pytest
from PIL import Image
from starlette.routing import Mount
from starlette.testclient import TestClient

from studio.settings import Settings
from studio.share import Sharing
from studio.sharing.apart import Apart
from studio.sharing.gate import PUBLIC, Gate
from studio.sharing.owner import owner_policy
from studio.ui.serve import build_app
from studio.ui.studio import Studio
from tests.guest_studio import PASSPHRASE, Engine, colour, guest, made_by, no_tunnel, opened
from tests.promises import count

GUESTS, FOREIGN_REQUESTS, JOINS = count(5, 40), count(1200, 20_000), count(45, 1000)
RAW = {"content-type": "application/octet-stream"}
TRAVERSALS = [
    prefix + path
    for prefix in (
        "",
        "/",
        "//",
        "%2f",
        "..%2f" * 6,
        "../" * 8,
        "..\\" * 8,
        "%2e%2e/" * 6,
        "....//" * 5,
        "file://",
        "C:\\",
        "\\\\x\\",
    )
    for path in ("etc/passwd", "owner.token", "session.key", "content-credentials.pem", "gallery/index.sqlite")
]  # 60 of them


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine()


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Iterator[Studio]:
    with opened(tmp_path_factory.mktemp("studio"), engine) as studio:
        yield studio


@pytest.fixture(scope="module")
def sharing(studio: Studio) -> Iterator[Sharing]:
    with Sharing(studio, studio.settings, announce=lambda text: None, tunnel=no_tunnel) as sharing:
        sharing.open(public=False, network=False)
        yield sharing


@dataclass
class Person:
    """A guest (or the owner) and all the names of what is theirs."""

    client: httpx.Client
    secret: str  # stands in every prompt of theirs
    pictures: list[str] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)

    def addresses(self) -> list[str]:
        """Every address that gives something of theirs to themselves."""
        found = [f"/studio/inputs/{ref}{rest}" for ref in self.inputs for rest in ("", "/mask?width=32&height=24")]
        for record in self.pictures:
            found += [
                f"/studio/pictures/{record}.png",
                f"/studio/pictures/{record}.png?download",
                f"/studio/pictures/{record}.png?download&format=jpeg",
                f"/studio/pictures/{record}.png?download&format=webp",
                f"/studio/thumbnails/{record}",
                f"/studio/gallery/pictures/{record}",
                f"/studio/gallery/pictures/{record}/family",
                f"/studio/gallery/differences?first={record}&second={record}",
            ]
        return found


def picture_bytes(seed: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 24), colour(seed)).save(buffer, "PNG")
    return buffer.getvalue()


def settle(person: Person, studio: Studio, owner: str, *, seed: int) -> Person:
    person.pictures = [made_by(studio, owner, f"{person.secret} {number}", seed=seed + number) for number in range(2)]
    return person


@pytest.fixture(scope="module")
def people(sharing: Sharing, studio: Studio) -> Iterator[list[Person]]:
    """The guests, each with two pictures and an upload; and, last, the owner."""
    clients, found = [], []
    for number in range(GUESTS):
        entered = guest(sharing)
        client = entered.__enter__()
        clients.append(entered)
        person = Person(client, secrets.token_hex(12))
        settle(person, studio, client.headers["x-guest"], seed=1000 * number + 500)
        person.inputs = [
            client.post("/studio/inputs", content=picture_bytes(77_000 + number), headers=RAW).json()["ref"]
        ]
        found.append(person)
    owner = settle(Person(httpx.Client(), secrets.token_hex(12)), studio, "the owner", seed=9_000_000)
    owner.inputs = [studio.pictures.put(Image.new("RGB", (32, 24), "purple"))]
    yield [*found, owner]
    for entered in clients:
        entered.__exit__(None, None, None)


def test_everybody_gets_what_is_theirs(people: list[Person]) -> None:
    """Without this the next test could pass on addresses that give nobody anything."""
    for person in people[:3]:
        for address in person.addresses():
            assert person.client.get(address).status_code == 200, address


def test_no_foreign_byte_in_any_answer(people: list[Person], figure: Callable[..., None]) -> None:
    """R20: cookie against cookie, over every address of a picture and an input. Target: 0 of 20,000."""
    chance, asked, wrong = random.Random(5), 0, []
    guests = people[:-1]
    for number in itertools.cycle(range(len(guests))):
        if asked >= FOREIGN_REQUESTS:
            break
        me, other = guests[number], chance.choice([it for it in people if it is not guests[number]])
        address = chance.choice(other.addresses())
        answer = me.client.get(address)
        asked += 1
        if answer.status_code != 404 or other.secret.encode() in answer.content or len(answer.content) > 300:
            wrong.append((address, answer.status_code, answer.content[:80]))
    figure(cross_cookie_requests=asked, answers_with_foreign_bytes=len(wrong))
    assert asked == FOREIGN_REQUESTS
    assert wrong == []


def test_lists_searches_and_counts_hold_ones_own_alone(people: list[Person]) -> None:
    for me in people[:-1][:5]:
        others = [it.secret for it in people if it is not me]
        for path in ("pictures?limit=500", "facets", "count", f"pictures?text={others[0][:6]}", "pictures?text=%25"):
            text = me.client.get(f"/studio/gallery/{path}").text
            assert not [secret for secret in others if secret in text], path
        assert {it["id"] for it in me.client.get("/studio/gallery/pictures").json()["pictures"]} == set(me.pictures)


def test_foreign_pictures_cannot_be_taken_along(people: list[Person]) -> None:
    me, other, owner = people[0], people[1], people[-1]
    for record in (*other.pictures, *owner.pictures):
        assert me.client.post(f"/studio/inputs/of/{record}").status_code in (404, 422)
    for name in ("tokens", "../../session.key", "..%2f..%2fowner.token"):
        assert me.client.post(f"/studio/inputs/example/{name}").status_code in (404, 405, 422)


def routes_of(routes: Iterable[Any], prefix: str = "") -> Iterator[tuple[str, set[str]]]:
    """Yield path and methods of all routes, those of mounted apps and included routers too."""
    for route in routes:
        included = getattr(route, "original_router", None)
        if included is not None:
            yield from routes_of(included.routes, prefix + (getattr(route.include_context, "prefix", "") or ""))
        elif isinstance(route, Mount):
            yield from routes_of(route.routes, prefix + route.path)
        else:
            yield prefix + getattr(route, "path", ""), set(getattr(route, "methods", None) or {"GET"})


def filled(path: str) -> str:
    return "".join(
        "x" if part.startswith("{") else part for part in path.replace("{", "\0{").replace("}", "}\0").split("\0")
    )


@pytest.mark.parametrize("who", ["owner", "guests"])
def test_every_route_is_shut_or_listed_public(
    studio: Studio, sharing: Sharing, who: str, figure: Callable[..., None]
) -> None:
    """R20, as InvokeAI's test_every_route_is_authenticated_or_explicitly_public; for the owner's app as well."""
    token = "a-token-of-more-than-twenty"
    app = build_app(studio if who == "owner" else sharing._theirs())
    policy = owner_policy(Settings(token=token), token)
    found = sorted({(filled(path), method) for path, methods in routes_of(app.routes) for method in methods})
    assert len(found) > 60, "the walk no longer finds the routes"
    with TestClient(Gate(app, policy), base_url="http://127.0.0.1", follow_redirects=False) as stranger:
        for path, method in found:
            answer = stranger.request(method, path or "/")
            shut = {401, 403, 404, 405} if path not in PUBLIC else {200, 405}
            assert answer.status_code in shut, (method, path, answer.status_code)
    figure(**{f"routes_of_{who}_gated": len(found)})


def test_what_guests_have_is_listed_here(sharing: Sharing) -> None:
    """A route that is new for guests must be added by somebody who thought about it."""
    app = build_app(sharing._theirs())
    ours = {path for path, _ in routes_of(app.routes) if path.startswith("/studio/")}
    assert len(ours) > 15, "the walk no longer finds the routes"
    assert ours <= {
        "/studio/pictures/{record}.png", "/studio/thumbnails/{record}", "/studio/status", "/studio/texts.js",
        "/studio/static/{name:path}", "/studio/inputs", "/studio/inputs/{ref}", "/studio/inputs/{ref}/mask",
        "/studio/inputs/of/{record}", "/studio/inputs/example/{name}", "/studio/examples/{name}",
        "/studio/styles/{name}", "/studio/drafts/{form}", "/studio/films/{record}.webp",
        "/studio/timelapses/{job}",
        "/studio/gallery/pictures", "/studio/gallery/count", "/studio/gallery/facets", "/studio/gallery/differences",
        "/studio/gallery/pictures/{record}", "/studio/gallery/pictures/{record}/kin",
        "/studio/gallery/pictures/{record}/family", "/studio/gallery/pictures/{record}/inputs/{place}",
    }, "think about what guests can do with it, then add it"  # fmt: skip


def test_no_traversal_leads_to_a_file(people: list[Person], studio: Studio, figure: Callable[..., None]) -> None:
    """R20: 60 strings on every route that takes a name. Absolute and drive paths, dots, backslashes, coded twice."""
    client, token = people[0].client, studio.settings.data_dir
    patterns = (
        "/studio/static/{}", "/studio/pictures/{}.png", "/studio/thumbnails/{}", "/studio/inputs/{}",
        "/studio/examples/{}", "/gradio_api/file={}", "/gradio_api/file/{}", "/static/{}", "/assets/{}", "/show/{}/",
        "/show/x/pictures/{}.webp",
    )  # fmt: skip
    assert len(TRAVERSALS) == 60
    tried = TRAVERSALS[:: count(7, 1)]
    figure(traversal_addresses=len(patterns) * len(tried), files_reached=0)
    for pattern in patterns:
        for name in tried:
            answer = client.get(pattern.format(name))
            assert answer.status_code in (307, 308, 400, 401, 403, 404, 405, 422), (pattern, name, answer.status_code)
            assert b"root:" not in answer.content and str(token).encode() not in answer.content


def config_of(client: httpx.Client) -> dict[str, Any]:
    return dict(client.get("/config").json())


def endpoint_of(client: httpx.Client, name: str) -> int:
    return next(int(it["id"]) for it in config_of(client)["dependencies"] if it["api_name"] == name)


def test_finding_1_the_decoder_is_past_the_heap_overflows() -> None:
    assert int(PIL.__version__.split(".")[0]) >= 13


def test_finding_3_no_template_gets_a_users_words(people: list[Person]) -> None:
    """A template fills values in unescaped; Gradio's own default does nothing else. So: fixed ones, or fixed values."""
    config = config_of(people[0].client)
    changed = {it for event in config["dependencies"] for it in event["outputs"]}
    templates = [(it["id"], it["props"].get("html_template") or "") for it in config["components"]]
    assert len([template for _, template in templates if template]) > 5
    for component, template in templates:
        assert "{{" not in template
        assert "${" not in template or component not in changed, template[:80]


def test_finding_4_gradio_takes_and_gives_no_files_for_guests(people: list[Person], studio: Studio) -> None:
    client = people[0].client
    config = config_of(client)
    kinds = {it["id"]: it["type"] for it in config["components"]}
    files = {"image", "imageeditor", "file", "gallery", "video", "audio", "uploadbutton", "downloadbutton", "model3d"}
    for event in config["dependencies"]:
        assert not files & {kinds.get(it, "") for it in (*event["inputs"], *event["outputs"])}, event["api_name"]
    assert client.post("/gradio_api/upload", files={"files": ("a.png", picture_bytes(1))}).status_code == 404
    key = studio.settings.data_dir / "session.key"
    event = {
        "fn_index": endpoint_of(client, "generate"),
        "session_hash": "f4",
        "data": [{"path": str(key), "meta": {"_type": "gradio.FileData"}}],
    }
    assert client.post("/gradio_api/queue/join", json=event).status_code == 404


def test_finding_5_and_6_nothing_is_called_by_name_or_beside_the_queue(people: list[Person]) -> None:
    client = people[0].client
    for path in (
        "/gradio_api/call/generate",
        "/gradio_api/run/generate",
        "/gradio_api/api/generate",
        "/run/predict",
        "/api/predict",
    ):
        assert client.post(path, json={"data": [{}]}).status_code == 404
    assert {it["api_name"] for it in config_of(client)["dependencies"] if it["api_visibility"] == "public"} == {
        "generate"
    }


def test_finding_7_headers_make_nobody_the_owner(sharing: Sharing) -> None:
    with httpx.Client(base_url=sharing.door.local) as stranger:
        for name in (
            "x-forwarded-for",
            "x-real-ip",
            "forwarded",
            "x-forwarded-host",
            "x-original-url",
            "x-rewrite-url",
        ):
            assert stranger.get("/config", headers={name: "127.0.0.1"}).status_code == 401


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "", "x" * 65, "é", "a b", {"a": 1}, 7, ["x"]])
def test_finding_8_session_names_are_names(people: list[Person], name: object) -> None:
    event = {"fn_index": 0, "data": [], "session_hash": name}
    assert people[0].client.post("/gradio_api/queue/join", json=event).status_code == 404


def test_finding_9_nobody_listens_to_or_cancels_another_guests_page(people: list[Person]) -> None:
    me, other = people[0].client, people[1].client
    mine = secrets.token_hex(6)
    event = {"fn_index": endpoint_of(me, "generate"), "session_hash": mine, "data": [{"prompt": "a", "seed": 3}]}
    assert me.post("/gradio_api/queue/join", json=event).status_code == 200
    assert other.get(f"/gradio_api/queue/data?session_hash={mine}").status_code == 404
    assert other.get(f"/gradio_api/heartbeat/{mine}").status_code == 404
    assert (
        other.post("/gradio_api/cancel", json={"session_hash": mine, "fn_index": 0, "event_id": "x"}).status_code == 404
    )
    assert other.post("/gradio_api/queue/join", json=event).status_code == 404
    with me.stream("GET", f"/gradio_api/queue/data?session_hash={mine}") as stream:
        assert stream.status_code == 200


def test_finding_10_who_opens_page_after_page_is_stopped_and_nobody_else(sharing: Sharing) -> None:
    with guest(sharing) as flooder, guest(sharing) as other:
        answers = [
            flooder.post(
                "/gradio_api/cancel", json={"session_hash": f"flood{n}", "fn_index": 0, "event_id": "x"}
            ).status_code
            for n in range(40)
        ]
        assert answers[0] == 200 and answers[-1] == 404 and answers.count(200) < 30
        assert (
            other.post("/gradio_api/cancel", json={"session_hash": "mine", "fn_index": 0, "event_id": "x"}).status_code
            == 200
        )


def test_finding_11_and_12_few_pages_are_kept_and_no_validator_speaks(sharing: Sharing, people: list[Person]) -> None:
    app = build_app(sharing._theirs())
    [gradio] = [it.app for it in app.routes if isinstance(it, Mount) and hasattr(it.app, "get_blocks")]
    assert gradio.get_blocks().state_session_capacity <= 200
    assert not [it for it in gradio.get_blocks().fns.values() if getattr(it, "validator", None)]


def test_events_that_do_not_exist_are_404_and_broken_ones_never_500(people: list[Person]) -> None:
    client = people[0].client
    for body in (b"", b"{", b"[]", b"null", b"[" * 900, b'{"a":' * 900, b'{"session_hash": "s1"}', b"\xff\xfe"):
        answer = client.post("/gradio_api/queue/join", content=body, headers={"content-type": "application/json"})
        assert answer.status_code in (404, 422), (body[:20], answer.status_code)
    for index, status in [(-1, 404), (10_000, 404), (10**30, 404), ("x", 422), (None, 400)] * 3:
        event = {"fn_index": index, "session_hash": "s1", "data": []}
        assert client.post("/gradio_api/queue/join", json=event).status_code == status, index
    for _ in range(3):  # what is refused was read to its end, so the answer arrives and the connection lives on
        assert client.post("/gradio_api/queue/join", content=b" " * 5_000_001).status_code == 413
        assert client.post("/gradio_api/deep_link", content=b" " * 900_000).status_code == 404


def test_many_guests_at_once_each_get_their_own_picture(sharing: Sharing, figure: Callable[..., None]) -> None:
    """R10: every one of 1,000 joins, made at once, is answered with the picture that was asked for."""
    with ThreadPoolExecutor(1) as own:  # of this process, which may have a loop for a browser already
        outcome = own.submit(asyncio.run, crowd(sharing.door.local, JOINS)).result()
    figure(joins_at_once=len(outcome), right=outcome.count("right"))
    assert len(outcome) == JOINS
    assert [it for it in outcome if it != "right"] == []


async def crowd(address: str, joins: int) -> list[str]:
    """Let guests, three joins each, ask at once."""
    visitors = -(-joins // 3)
    # none is used twice: the server may close an idle one just as the next request is on its way
    limits = httpx.Limits(max_connections=150, max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=address, timeout=300, limits=limits) as client:
        config = await enter(client)
        index = next(
            it["id"]
            for it in (await client.get("/config", headers=config)).json()["dependencies"]
            if it["api_name"] == "generate"
        )
        turns = asyncio.Semaphore(100)
        calls = [ask_thrice(client, index, turns, first=3 * n, most=min(3, joins - 3 * n)) for n in range(visitors)]
        return [it for found in await asyncio.gather(*calls) for it in found]


async def enter(client: httpx.AsyncClient) -> dict[str, str]:
    answer = await client.post("/enter", data={"secret": PASSPHRASE}, headers={"cookie": ""})
    return {"cookie": answer.headers["set-cookie"].split(";")[0]}


async def ask_thrice(
    client: httpx.AsyncClient, index: int, turns: asyncio.Semaphore, *, first: int, most: int
) -> list[str]:
    async with turns:
        cookie = await enter(client)
        return list(await asyncio.gather(*(ask(client, index, cookie, seed=first + n) for n in range(most))))


async def ask(client: httpx.AsyncClient, index: int, cookie: dict[str, str], *, seed: int) -> str:
    """Ask for the picture with `seed`; returns "right", or what went wrong."""
    name = secrets.token_hex(6)
    recipe = {
        "kind": "text_to_image",
        "prompt": f"number {seed}",
        "seed": seed,
        "model": "a-model",
        "scheduler": "euler",
    }
    event = {"fn_index": index, "session_hash": name, "data": [recipe]}
    joined = await client.post("/gradio_api/queue/join", json=event, headers=cookie)
    if joined.status_code != 200:
        return f"join: {joined.status_code} {joined.text[:100]}"
    async with client.stream("GET", f"/gradio_api/queue/data?session_hash={name}", headers=cookie) as stream:
        async for line in stream.aiter_lines():
            told = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {}
            if told.get("msg") == "process_completed":
                if not told["success"]:
                    return str(told["output"])[:200]
                [made] = told["output"]["data"][0]["pictures"]
                picture = Image.open(io.BytesIO(base64.b64decode(made["png"])))
                return (
                    "right" if (made["seed"], picture.getpixel((0, 0))) == (seed, colour(seed)) else "somebody else's"
                )
    return "the stream ended"


def test_guests_inside_another_gate_are_still_apart(studio: Studio, sharing: Sharing) -> None:
    """The middleware alone, without the gate's help: an unknown guest id is a programming error, not a way in."""
    app = Apart(build_app(sharing._theirs()), identity_key="tessera_owner")
    with TestClient(app, base_url="http://127.0.0.1") as client, pytest.raises(KeyError):
        client.get("/config")
