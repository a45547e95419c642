"""The guests' studio as a whole: behind the gate, own pictures only, and up even when there is no public link."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator

import httpx
import pytest
from PIL import Image

from studio.errors import InvalidPicture, InvalidRequest, UnknownName
from studio.events import Finished
from studio.pictures import picture_hash
from studio.requests import ControlUse, Inpaint, Stylize, TextToImage
from studio.share import Sharing
from studio.sharing.qr import terminal_code
from studio.ui.studio import Studio
from tests.guest_studio import Engine, guest, made_by, no_tunnel, opened

HTML = {"accept": "text/html"}
RAW = {"content-type": "application/octet-stream"}


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine()


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Iterator[Studio]:
    with opened(tmp_path_factory.mktemp("studio"), engine) as studio:
        yield studio


@pytest.fixture(scope="module")
def said() -> list[str]:
    return []


@pytest.fixture(scope="module")
def sharing(studio: Studio, said: list[str]) -> Iterator[Sharing]:
    """One share for all tests that do not end it; every test comes as guests of its own."""
    with Sharing(studio, studio.settings, announce=said.append, tunnel=no_tunnel) as sharing:
        sharing.open(public=True, network=False)
        yield sharing


@pytest.fixture(autouse=True)
def nobody_waits(engine: Engine) -> Iterator[None]:
    yield
    engine.go.set()


def png(colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 24), colour).save(buffer, "PNG")
    return buffer.getvalue()


def config_of(client: httpx.Client) -> str:
    return client.get("/config").text


def test_without_a_link_the_reason_is_said_and_the_network_is_offered(sharing: Sharing, said: list[str]) -> None:
    assert said[0] == "No public link: no network."
    assert "--listen" in said[1]
    assert sharing.state()["problem"] == said[0]
    with guest(sharing) as client:
        assert "Tessera" in client.get("/", headers=HTML).text


def test_every_route_is_shut_without_the_passphrase(sharing: Sharing) -> None:
    paths = [
        "/",
        "/config",
        "/gradio_api/info",
        "/gradio_api/queue/data",
        "/studio/status",
        "/studio/static/page/page.js",
    ]
    with httpx.Client(base_url=sharing.door.local, timeout=60) as stranger:
        assert {stranger.get(path).status_code for path in paths} == {401}
        assert stranger.post("/gradio_api/queue/join", json={}).status_code == 401


def test_a_guest_sees_nobody_elses_pictures(sharing: Sharing, studio: Studio) -> None:
    owners = made_by(studio, "the owner")
    with guest(sharing) as client, guest(sharing) as other:
        own = made_by(studio, client.headers["x-guest"])
        for record, status in ((owners, 404), (own, 200)):
            assert client.get(f"/studio/pictures/{record}.png").status_code == status
            assert client.get(f"/studio/thumbnails/{record}").status_code == status
            assert other.get(f"/studio/pictures/{record}.png").status_code == 404
            assert other.get(f"/studio/gallery/pictures/{record}").status_code == 404
        assert [it["id"] for it in client.get("/studio/gallery/pictures").json()["pictures"]] == [own]
        assert other.get("/studio/gallery/pictures").json()["pictures"] == []


def test_what_the_owner_has_does_not_exist_for_guests(sharing: Sharing) -> None:
    with guest(sharing) as client:
        for method, path in (
            ("GET", "/studio/share"), ("DELETE", "/studio/share"), ("POST", "/studio/share/shows"),
            ("GET", "/studio/codes/desk"), ("POST", "/studio/gallery/trash"), ("POST", "/studio/gallery/empty-trash"),
            ("POST", "/studio/gallery/collect"), ("POST", "/studio/gallery/import"),
            ("GET", "/gradio_api/openapi.json"), ("GET", "/openapi.json"),
            ("POST", "/gradio_api/call/generate"), ("POST", "/gradio_api/run/generate"), ("GET", "/monitoring/summary"),
            ("POST", "/gradio_api/component_server"), ("GET", "/gradio_api/stream/a/b/1/playlist.m3u8"),
            ("GET", "/gradio_api/proxy=http://127.0.0.1"), ("GET", "/login"), ("GET", "/docs"),
        ):  # fmt: skip
            assert client.request(method, path, json={} if method == "POST" else None).status_code in (404, 405), path
        config = json.loads(config_of(client))
        tabs = {it["props"].get("id") for it in config["components"] if it["type"] == "tabitem"}
        assert {"create", "own"} <= tabs <= {"create", "style", "inpaint", "own"}


def test_no_path_and_no_notice_of_the_owners_machine_reaches_guests(sharing: Sharing, studio: Studio) -> None:
    with guest(sharing) as client:
        for text in (config_of(client), client.get("/", headers=HTML).text, client.get("/studio/status").text):
            assert str(studio.settings.data_dir) not in text
        assert client.get("/studio/status").json()["notice"] == ""


def test_a_guests_identity_is_the_gates_and_cannot_be_changed(sharing: Sharing, studio: Studio) -> None:
    with guest(sharing) as client:
        own = made_by(studio, client.headers["x-guest"])
        for name in [name for name in client.cookies if "guest" not in name]:
            del client.cookies[name]
        assert client.get(f"/studio/pictures/{own}.png").status_code == 200, "only the gate's cookie counts"
        assert "set-cookie" not in client.get("/studio/status").headers


def test_guests_are_held_to_the_models_that_are_offered_and_to_their_own_inputs(
    sharing: Sharing, studio: Studio
) -> None:
    theirs = sharing._theirs()
    owners = studio.pictures.put(Image.new("RGB", (32, 32), "red"))
    with pytest.raises(UnknownName, match="no model"):
        theirs.runner.submit(TextToImage(prompt="a", model="/etc/passwd"), owner="guest-1")
    with pytest.raises(InvalidPicture, match="not here any more"):
        theirs.runner.submit(Inpaint(prompt="a", source=owners), owner="guest-1")
    with pytest.raises(InvalidPicture, match="not here any more"):
        theirs.runner.submit(Stylize(prompt="a", content=owners, references=(owners,)), owner="guest-1")
    with pytest.raises(InvalidPicture, match="not here any more"):
        theirs.runner.submit(TextToImage(prompt="a", more_controls=(ControlUse(picture=owners),)), owner="guest-1")
    with pytest.raises(InvalidRequest, match="not made here"):
        theirs.runner.submit(TextToImage(prompt="a nude child"), owner="guest-1")


def test_an_uploaded_picture_is_its_guests_alone(sharing: Sharing) -> None:
    with guest(sharing) as client, guest(sharing) as other:
        ref = client.post("/studio/inputs", content=png("red"), headers=RAW).json()["ref"]
        assert ref == picture_hash(Image.new("RGB", (32, 24), "red"))
        assert client.get(f"/studio/inputs/{ref}").status_code == 200
        assert other.get(f"/studio/inputs/{ref}").status_code == 404, "knowing the hash is not having the picture"
        assert other.post("/studio/inputs", content=png("red"), headers=RAW).json()["ref"] == ref
        assert other.get(f"/studio/inputs/{ref}").status_code == 200


def test_downloads_say_ai_and_nothing_about_anybody(sharing: Sharing, studio: Studio) -> None:
    with guest(sharing) as client:
        who = client.headers["x-guest"]
        own = made_by(studio, who, "words nobody else needs")
        for query in ("", "?download", "?download&format=jpeg", "?download&format=webp"):
            data = client.get(f"/studio/pictures/{own}.png{query}").content
            assert b"trainedAlgorithmicMedia" in data
            for private in (b"words nobody", who.encode(), b"tessera.recipe", b"parameters", b"UserComment"):
                assert private not in data, query
            assert studio.gallery.get(own).owner.encode() not in data
        assert client.get(f"/studio/pictures/{own}.png?download&format=gif").status_code == 422


def test_the_owner_sees_guests_and_jobs_and_can_end_one(sharing: Sharing, studio: Studio, engine: Engine) -> None:
    engine.go.clear()
    with guest(sharing) as client, guest(sharing) as other:
        first, second = client.headers["x-guest"], other.headers["x-guest"]
        running = studio.runner.submit(TextToImage(prompt="a red apple"), owner=first)
        waiting = studio.runner.submit(TextToImage(prompt="a blue cup"), owner=second)
        shown = {it["id"]: it for it in sharing.state()["guests"]}
        assert shown[first]["jobs"][0]["prompt"] == "a red apple" and shown[first]["here"]
        assert shown[second]["jobs"] == [{"prompt": "a blue cup", "kind": "text_to_image", "waiting": True}]
        assert sharing.end_guest(second) and not sharing.end_guest(second)
        assert waiting.is_cancelled and not running.is_cancelled
        assert other.get("/studio/status").status_code == 401
        assert client.get("/studio/status").status_code == 200


def test_the_link_and_the_passphrase_are_announced(studio: Studio) -> None:
    said: list[str] = []
    with Sharing(studio, studio.settings, announce=said.append, tunnel=lambda port: "https://abc.example") as sharing:
        door = sharing.open(public=True, network=False)
        assert door.links == {"public": "https://abc.example"}
        assert "https://abc.example" in said[0] and "four small words" in said[0]
        forwarded = {"host": "abc.example", "x-forwarded-proto": "https"}
        assert httpx.get(f"{door.local}/enter", headers=forwarded, timeout=60).status_code == 200
        assert httpx.get(f"{door.local}/enter", headers={"host": "other.example"}, timeout=60).status_code == 421
        assert sharing.qr("public") and sharing.qr("network") is None


def test_in_the_local_network_there_is_an_address_and_a_code_to_scan(studio: Studio) -> None:
    said: list[str] = []
    with Sharing(studio, studio.settings, announce=said.append, tunnel=no_tunnel) as sharing:
        door = sharing.open(public=False, network=True)
        assert httpx.get(f"{door.network}/enter", timeout=60).status_code == 200
        code = terminal_code(door.network, encoding="utf-8")
        assert len(code.splitlines()) > 12 and terminal_code(door.network, encoding="ascii") == ""
        assert door.network in said[0] and len(said) == 2
        assert sharing.qr("network").startswith(b"<svg")  # type: ignore[union-attr]
        with guest(sharing) as client:
            sharing.open(public=False, network=False)
            client.base_url = httpx.URL(sharing.door.local)
            assert client.get("/studio/status").status_code == 200, "guests stay when the doors are made anew"


def test_a_share_ends_by_itself_with_its_cookies_jobs_and_files(studio: Studio, engine: Engine) -> None:
    engine.go.clear()
    ended = threading.Event()
    hour = studio.settings.model_copy(update={"share_hours": 1})

    def listen(text: str) -> None:
        if "ended" in text:
            ended.set()

    with Sharing(studio, hour, announce=listen, tunnel=no_tunnel) as sharing:
        sharing.open(public=False, network=False)
        with guest(sharing) as client:
            job = studio.runner.submit(TextToImage(prompt="a"), owner=client.headers["x-guest"])
            [clock] = [
                it for it in threading.enumerate() if isinstance(it, threading.Timer) and it.name == "share-end"
            ][-1:]
            assert 3590 < clock.interval <= 3600
            clock.function()  # an hour later
            assert ended.is_set()
            assert not sharing.is_open and job.is_cancelled and sharing.guests.present() == []
            with pytest.raises(httpx.TransportError):
                client.get("/studio/status")
        assert not (studio.settings.cache_dir / "guests").exists()
        assert not sharing.state()["open"]


def test_a_picture_the_filter_objects_to_is_stored_and_shown_blurred(sharing: Sharing, studio: Studio) -> None:
    ending = studio.runner.submit(TextToImage(prompt="a secret"), owner="guest-1").result(timeout_seconds=30)
    assert isinstance(ending, Finished) and ending.notes == ("A picture was blurred: not for guests.",)
    owners = studio.runner.submit(TextToImage(prompt="a secret"), owner="the owner").result(timeout_seconds=30)
    assert isinstance(owners, Finished) and owners.notes == ()


def test_a_gallery_link_shows_one_collection_and_nothing_else(sharing: Sharing, studio: Studio) -> None:
    shown, hidden = made_by(studio, "the owner", "shown words"), made_by(studio, "the owner", "hidden words")
    studio.gallery.collect([shown], "Best of 2026")
    show = sharing.shows.add("Best of 2026")
    assert sharing.shows.add("Best of 2026") == show, "one link for one collection"
    with httpx.Client(base_url=sharing.door.local, timeout=60, follow_redirects=True) as stranger:
        page = stranger.get(show.path.rstrip("/")).text
        assert "Best of 2026" in page and shown in page and hidden not in page and "shown words" not in page
        picture = stranger.get(f"{show.path}pictures/{shown}.webp")
        assert picture.headers["content-type"] == "image/webp"
        assert b"trainedAlgorithmicMedia" in picture.content and b"shown words" not in picture.content
        assert stranger.get(f"{show.path}thumbnails/{shown}.webp").status_code == 200
        for path in (
            f"{show.path}pictures/{hidden}.webp", f"{show.path}thumbnails/{hidden}.webp", f"{show.path}pictures/x.webp",
            "/show/", "/show/x/", f"/show/x/pictures/{shown}.webp", f"{show.path}../../studio/status",
            f"{show.path}config",
        ):  # fmt: skip
            assert stranger.get(path).status_code in (401, 404), path
        assert stranger.post(show.path).status_code == 405
        studio.gallery.trash([shown])
        assert stranger.get(f"{show.path}pictures/{shown}.webp").status_code == 404
        studio.gallery.restore([shown])
        assert sharing.shows.remove(show.id)
        assert stranger.get(show.path).status_code == 404
