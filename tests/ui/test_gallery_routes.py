"""The gallery page's routes: who sees and changes what, filters, downloads, imports, replays."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fake_engine import FakeEngine
from fastapi import FastAPI
from fastapi.testclient import TestClient
from gallery_filling import family, foreign_files, keep, make
from PIL import Image
from studio_page import CARD

from studio.gallery import Gallery, recorder
from studio.gallery.importing import own_recipe
from studio.jobs import JobRunner
from studio.pictures import PictureStore
from studio.requests import KINDS, Upscale
from studio.settings import Settings
from studio.ui.gallery_page.routes import gallery_routes
from studio.ui.gallery_page.views import TABS_OF_KINDS
from studio.ui.session import SessionMiddleware, Sessions
from studio.ui.studio import Studio

Visitor = Callable[..., "Client"]


class Client(TestClient):
    """A browser: one cookie, one session; `path` is below /studio/gallery."""

    session = ""

    def ask(self, path: str, **query: str) -> dict:
        """GET JSON."""
        answer = self.get(f"/studio/gallery/{path}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def tell(self, path: str, body: object, *, status: int = 200) -> dict:
        """POST JSON."""
        answer = self.post(f"/studio/gallery/{path}", json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    def prompts(self, **query: str) -> list[str]:
        """Return what stands on the shelf."""
        return [it["alt"] for it in self.ask("pictures", **query)["pictures"]]


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    settings = Settings(data_dir=tmp_path)
    engine = FakeEngine(step_seconds=0)
    with Gallery(settings.gallery_dir, reserve_bytes=0) as gallery, JobRunner(engine.run, recorder(gallery)) as runner:
        yield Studio(runner, gallery, PictureStore(tmp_path / "pictures"), settings, models=lambda: [CARD])


@pytest.fixture
def visitor(studio: Studio) -> Iterator[Visitor]:
    """Return a function that makes a new visitor: a guest, or one who sees everything."""
    opened: list[Client] = []
    sessions = Sessions(b"0" * 32)

    def come(*, guest: bool = False, sees_all: bool = False) -> Client:
        theirs = replace(studio, for_guests=guest, sees=(lambda _: None) if sees_all else (lambda session: session))
        app = FastAPI()
        for routes in gallery_routes(theirs, sessions):
            app.include_router(routes)
        app.add_middleware(SessionMiddleware, sessions=sessions)
        client = Client(app)
        client.get("/studio/gallery/facets")
        client.session = sessions.owner(client.cookies[sessions.cookie]) or ""
        opened.append(client)
        return client

    yield come
    for client in opened:
        client.close()


def test_pages_follow_each_other_newest_first(studio: Studio, visitor: Visitor) -> None:
    anna = visitor()
    for seed in range(5):
        make(studio.gallery, anna.session, f"picture {seed}", seed=seed)
    first = anna.ask("pictures", limit="3")
    second = anna.ask("pictures", limit="3", before=first["next"])
    assert [it["alt"] for it in [*first["pictures"], *second["pictures"]]] == [f"picture {n}" for n in range(4, -1, -1)]
    assert second["next"] is None


def test_every_filter_chooses(studio: Studio, visitor: Visitor) -> None:
    anna = visitor()
    first, _second, third = family(studio.gallery, studio.pictures, anna.session)
    studio.gallery.star([first.id])
    studio.gallery.collect([third.id], "苹果")
    assert anna.prompts(tab="inpaint") == ["a green pear"]
    assert anna.prompts(starred="1") == ["a red apple"] == anna.prompts(model="fake-256") == anna.prompts(text="appl")
    assert anna.prompts(collection="苹果") == [""]
    assert len(anna.prompts(size="64x64")) == 3 and anna.prompts(size="64x96") == []
    today = first.created.strftime("%Y-%m-%d")
    assert len(anna.prompts(**{"from": today, "to": today})) == 3
    assert anna.prompts(to="2020-01-01") == []
    assert anna.ask("count", tab="style")["count"] == 1
    there = anna.ask("facets")
    assert there["tabs"] == ["create", "style", "inpaint"]
    assert there["collections"] == [{"name": "苹果", "count": 1}]


def test_every_kind_of_request_belongs_to_a_tab() -> None:
    of_tabs = [kind for kinds in TABS_OF_KINDS.values() for kind in kinds]
    assert sorted(of_tabs) == sorted([*KINDS, "imported"])


@pytest.mark.parametrize("query", [{"tab": "x"}, {"size": "big"}, {"from": "yesterday"}, {"to": "2026-13-01"}])
def test_a_filter_that_is_none_is_explained(visitor: Visitor, query: dict[str, str]) -> None:
    answer = visitor().get("/studio/gallery/pictures", params=query)
    assert answer.status_code == 422 and answer.json()["message"]


def test_days_begin_at_the_artists_midnight(studio: Studio, visitor: Visitor) -> None:
    anna = visitor()
    entry = make(studio.gallery, anna.session, "now")
    hours = entry.created.hour + 1  # so far west that it is still yesterday there
    day = entry.created.strftime("%Y-%m-%d")
    assert anna.prompts(**{"from": day, "minutes_east": "0"}) == ["now"]
    if hours * 60 <= 900:
        assert anna.prompts(**{"from": day, "minutes_east": str(-hours * 60)}) == []


def test_nobody_reads_or_changes_what_is_somebody_elses(studio: Studio, visitor: Visitor) -> None:
    anna, eve = visitor(), visitor(guest=True)
    entry = family(studio.gallery, studio.pictures, anna.session)[1]
    missing = "0" * 20
    for path in ("", "/kin", "/family", "/settings", "/inputs/0", "/file"):
        foreign, absent = (eve.get(f"/studio/gallery/pictures/{it}{path}") for it in (entry.id, missing))
        assert (foreign.status_code, foreign.content) == (404, absent.content), path
    for path, body in {
        "star": {"ids": [entry.id], "on": True},
        "collect": {"ids": [entry.id], "name": "mine"},
        f"pictures/{entry.id}/note": {"text": "hi"},
        f"pictures/{entry.id}/replay": {"changes": {}},
        "trash": {"ids": [entry.id]},
        "restore": {"ids": [entry.id]},
        "exports": {"ids": [entry.id]},
    }.items():
        assert eve.tell(path, body, status=404)["message"] == "There is no such picture."
    assert eve.get("/studio/gallery/differences", params={"first": entry.id, "second": entry.id}).status_code == 404
    assert eve.prompts() == [] and eve.ask("facets") == {
        **{"tabs": [], "models": [], "sizes": [], "collections": []},
        "films": {"count": 0, "bytes": 0},
    }
    kept = studio.gallery.get(entry.id)
    assert (kept.starred, kept.note, kept.collections, kept.trashed) == (False, "", (), False)
    assert anna.get(f"/studio/gallery/pictures/{entry.id}/inputs/0").status_code == 200


def test_guests_import_and_delete_nothing_for_good(studio: Studio, visitor: Visitor) -> None:
    guest, owner = visitor(guest=True), visitor(sees_all=True)
    entry = make(studio.gallery, guest.session, "mine")
    assert guest.tell("trash", {"ids": [entry.id]})["retention_days"] == 30
    assert guest.post("/studio/gallery/empty-trash").status_code == 404
    assert guest.post("/studio/gallery/import?name=a.png&size=1", content=b"x").status_code == 404
    assert guest.prompts(trashed="1") == ["mine"]
    assert owner.tell("empty-trash", {})["count"] == 1
    with pytest.raises(Exception, match="no such picture"):
        studio.gallery.get(entry.id)


def test_a_guest_exports_two_hundred_pictures_at_most(studio: Studio, visitor: Visitor) -> None:
    guest = visitor(guest=True)
    for seed in range(201):
        make(studio.gallery, guest.session, "p", seed=seed, width=64, height=64, steps=1)
    answer = guest.tell("exports", {"filters": {}}, status=422)
    assert answer["message"] == "An export holds 200 pictures at most, not 201."


def test_the_card_tells_settings_note_and_next_of_kin(studio: Studio, visitor: Visitor) -> None:
    anna = visitor()
    first, second, third = family(studio.gallery, studio.pictures, anna.session)
    card = anna.tell(f"pictures/{second.id}/note", {"text": " keep this \x00"})
    assert (card["note"], card["tab"], card["prompt"], card["replayable"]) == (
        "keep this",
        "inpaint",
        "a green pear",
        True,
    )
    rows = {row["key"]: row["value"] for row in card["rows"]}
    assert rows["field_seed"] == "2" and "field_source" not in rows and "field_feather" not in rows
    kin = anna.ask(f"pictures/{second.id}/kin")
    assert [(it["role"], (it["picture"] or {}).get("id")) for it in kin["parents"]] == [
        ("source", first.id),
        ("mask", None),
    ]
    assert [it["id"] for it in kin["children"]] == [third.id]


def test_the_family_names_each_input_once_with_its_children(studio: Studio, visitor: Visitor) -> None:
    anna = visitor()
    first, second, third = family(studio.gallery, studio.pictures, anna.session)
    tree = anna.ask(f"pictures/{third.id}/family")
    assert [it["id"] for it in tree["nodes"]] == [first.id, second.id, third.id]
    assert [(it["parent"], it["child"], it["role"]) for it in tree["edges"]] == [
        (first.id, second.id, "source"),
        (second.id, third.id, "content"),
    ]
    assert [(it["role"], it["children"]) for it in tree["inputs"]] == [("mask", [second.id]), ("reference", [third.id])]
    view = anna.get(f"/{tree['inputs'][0]['url']}")
    assert Image.open(io.BytesIO(view.content)).format == "WEBP"


def test_a_comparison_holds_only_what_differs(studio: Studio, visitor: Visitor) -> None:
    anna = visitor()
    a = make(studio.gallery, anna.session, "a red apple", seed=1, steps=8)
    b = make(studio.gallery, anna.session, "a green apple", seed=1, steps=20, scheduler="euler")
    rows = anna.ask("differences", first=a.id, second=b.id)
    assert {row["key"]: (row["first"], row["second"]) for row in rows} == {
        "field_prompt": ("a red apple", "a green apple"),
        "field_steps": ("8", "20"),
        "field_scheduler": ("DPM++ 2M", "Euler"),
    }
    assert anna.ask("differences", first=a.id, second=a.id) == []


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
@pytest.mark.parametrize("recipe", [True, False])
def test_a_zip_is_streamed_with_or_without_the_recipe(
    studio: Studio, visitor: Visitor, format: str, recipe: bool
) -> None:
    anna = visitor()
    entries = [make(studio.gallery, anna.session, f"=cmd {n}", seed=n) for n in range(3)]
    wanted = {"ids": [it.id for it in entries], "format": format, "recipe": recipe}
    url = anna.tell("exports", wanted)["url"]
    answer = anna.get(f"/{url}")
    assert answer.headers["content-disposition"] == 'attachment; filename="gallery.zip"'
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        pictures = [name for name in names if name != "pictures.csv"]
        assert (len(pictures), "pictures.csv" in names) == (3, recipe)
        data = archive.read(pictures[0])
    origin = own_recipe(data)
    assert (origin.recipe.settings["prompt"] if origin else None) == ("=cmd 0" if recipe else None)
    assert b"trainedAlgorithmicMedia" in data
    assert not origin or (origin.recipe.owner, origin.recipe.job) == ("", "")


def test_a_web_page_holds_what_the_filters_show(studio: Studio, visitor: Visitor) -> None:
    anna = visitor()
    for seed, prompt in enumerate(["a <b>fox</b>", "a whale"]):
        make(studio.gallery, anna.session, prompt, seed=seed)
    url = anna.tell("exports", {"filters": {"text": "fox"}, "kind": "site", "format": "webp", "title": "Füchse"})["url"]
    with zipfile.ZipFile(io.BytesIO(anna.get(f"/{url}").content)) as archive:
        page = archive.read("index.html").decode()
        assert "a &lt;b&gt;fox&lt;/b&gt;" in page and "whale" not in page and "<title>Füchse</title>" in page
        assert sum(name.startswith("pictures/") for name in archive.namelist()) == 1


def test_a_picture_whose_file_is_gone_is_named_and_the_rest_exported(studio: Studio, visitor: Visitor) -> None:
    anna = visitor()
    entries = [make(studio.gallery, anna.session, "p", seed=n) for n in range(2)]
    entries[0].path.unlink()
    url = anna.tell("exports", {"ids": [it.id for it in entries]})["url"]
    with zipfile.ZipFile(io.BytesIO(anna.get(f"/{url}").content)) as archive:
        assert entries[0].id in archive.read("left-out.txt").decode()
        assert len(archive.namelist()) == 3


def test_a_download_belongs_to_the_session_that_asked(studio: Studio, visitor: Visitor) -> None:
    anna, eve = visitor(), visitor()
    url = anna.tell("exports", {"ids": [make(studio.gallery, anna.session, "p").id]})["url"]
    assert eve.get(f"/{url}").status_code == 404 == anna.get("/studio/gallery/exports/unknown").status_code
    assert anna.tell("exports", {"ids": []}, status=422)["message"] == "There is nothing to export."


def bring(client: Client, path: Path, *, piece: int = 10**9) -> list[dict]:
    """Import a file in pieces; returns what is told of each picture."""
    data, offset, upload = path.read_bytes(), 0, {}
    while True:
        query = {"name": path.name, "size": str(len(data)), "offset": str(offset), **upload}
        chunk = data[offset : offset + piece]
        headers = {"content-type": "application/octet-stream"}
        answer = client.post("/studio/gallery/import", params=query, content=chunk, headers=headers)
        assert answer.status_code == 200, answer.text
        offset += len(chunk)
        if offset == len(data):
            return [json.loads(line) for line in answer.text.splitlines()]
        upload = {"upload": answer.json()["upload"]}


def test_pictures_of_other_studios_become_ours_with_a_list_of_what_could_not(
    studio: Studio, visitor: Visitor, tmp_path: Path
) -> None:
    anna = visitor()
    told = {path.name: bring(anna, path)[0] for path in foreign_files(tmp_path)}
    software = {name: it["picture"]["software"] for name, it in told.items() if it["picture"]}
    assert software == {
        "00012-1234567890.png": "AUTOMATIC1111",
        "ComfyUI_00001_.png": "ComfyUI",
        "5f3a-invoke.png": "InvokeAI",
        "2026-11-22_fooocus.jpg": "Fooocus",
        "night train s-77.png": "NovelAI",
        "holiday.jpg": "",
    }
    assert told["broken.png"]["why"] == '"broken.png" is damaged or incomplete.'
    a1111 = told["00012-1234567890.png"]
    assert a1111["picture"]["prompt"] == "a lighthouse at dusk" and a1111["picture"]["replayable"]
    assert "Clip skip: 2" in a1111["notes"] and "Clip skip: 2" in a1111["picture"]["unmapped"]
    assert {"key": "field_scheduler", "title": "Scheduler", "value": "DPM++ 2M Karras"} in a1111["picture"]["rows"]
    comfy = told["ComfyUI_00001_.png"]["notes"]
    assert comfy == ["Model v1-5.safetensors is not here: the chosen model is used."]
    assert not list((studio.settings.cache_dir / "imports").iterdir()), "nothing is left behind"


def test_what_is_here_already_is_not_imported_twice(studio: Studio, visitor: Visitor, tmp_path: Path) -> None:
    anna = visitor()
    files = [path for path in foreign_files(tmp_path) if path.name != "broken.png"]
    first = [bring(anna, path)[0]["picture"]["id"] for path in files]
    studio.gallery.trash([first[0]])
    again = [bring(anna, path)[0] for path in files]
    assert [it["picture"]["id"] for it in again] == first and not any(it["is_new"] for it in again)
    assert not studio.gallery.get(first[0]).trashed, "importing it again takes it out of the trash"


def test_a_strangers_picture_is_not_known_already(studio: Studio, visitor: Visitor, tmp_path: Path) -> None:
    path = foreign_files(tmp_path)[0]
    mine, theirs = (bring(visitor(), path)[0] for _ in range(2))
    assert mine["is_new"] and theirs["is_new"] and mine["picture"]["id"] != theirs["picture"]["id"]


def test_a_zip_comes_in_pieces_and_is_answered_picture_by_picture(
    studio: Studio, visitor: Visitor, tmp_path: Path
) -> None:
    anna, other = visitor(), visitor()
    made = [make(studio.gallery, other.session, f"picture {n}", seed=n) for n in range(3)]
    url = other.tell("exports", {"ids": [it.id for it in made]})["url"]
    archive = tmp_path / "gallery.zip"
    archive.write_bytes(other.get(f"/{url}").content)
    studio.gallery.trash([it.id for it in made])
    studio.gallery.empty_trash(older_than_days=0)
    told = bring(anna, archive, piece=1500)
    assert [(it["is_new"], it["picture"]["prompt"]) for it in told] == [(True, f"picture {n}") for n in range(3)]
    assert anna.prompts() == [f"picture {n}" for n in range(2, -1, -1)]


@pytest.mark.parametrize(
    ("query", "body", "message"),
    [
        ({"name": "a.exe", "size": "1"}, b"x", '"a.exe" is neither a picture nor a zip.'),
        ({"name": "../../a.png", "size": "5", "offset": "2", "upload": "0" * 32}, b"x", "did not arrive whole"),
        ({"name": "a.png", "size": "1"}, b"xy", "did not arrive whole"),
        ({"name": "a.zip", "size": str(3 * 2**30)}, b"x", '"a.zip" is larger than 2,048 MB.'),
    ],
)
def test_a_file_that_cannot_be_taken_is_explained(
    visitor: Visitor, query: dict[str, str], body: bytes, message: str
) -> None:
    headers = {"content-type": "application/octet-stream"}
    answer = visitor().post("/studio/gallery/import", params=query, content=body, headers=headers)
    assert answer.status_code == 422 and message in answer.json()["message"]


def test_an_unsafe_zip_is_refused_whole(studio: Studio, visitor: Visitor, tmp_path: Path) -> None:
    path = tmp_path / "evil.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../up.png", b"x")
    anna = visitor()
    (told,) = bring(anna, path)
    assert told["error"]["message"].startswith("Archive refused: unsafe name") and anna.prompts() == []


def test_a_setting_of_several_numbers_is_offered_as_numbers(studio: Studio, visitor: Visitor) -> None:
    anna = visitor()
    image = Image.new("RGB", (64, 64), "teal")
    entry = keep(studio.gallery, anna.session, image, Upscale(source=studio.pictures.put(image), scale=4))
    offered = {it["name"]: it for it in anna.ask(f"pictures/{entry.id}/settings")}
    assert offered["scale"]["choices"] == [[4, "4"], [2, "2"]] and offered["method"]["control"] == "choice"


def test_a_picture_is_made_again_with_one_change(studio: Studio, visitor: Visitor) -> None:
    anna = visitor()
    entry = make(studio.gallery, anna.session, "a red apple", seed=3)
    offered = {it["name"]: it for it in anna.ask(f"pictures/{entry.id}/settings")}
    assert (offered["steps"]["minimum"], offered["steps"]["maximum"], offered["steps"]["value"]) == (1, 150, 10)
    assert ["euler", "Euler"] in offered["scheduler"]["choices"] and "batch" not in offered
    answer = anna.post(f"/studio/gallery/pictures/{entry.id}/replay", json={"changes": {"steps": 12}})
    events = [json.loads(line) for line in answer.text.splitlines()]
    assert events[-1]["state"] == "finished"
    again = studio.gallery.get(events[-1]["pictures"][0]["id"], owner=anna.session)
    assert (again.prompt, again.seed, again.recipe.settings["steps"]) == ("a red apple", 3, 12)
    refused = anna.tell(f"pictures/{entry.id}/replay", {"changes": {"steps": 1000}}, status=422)
    assert refused["message"] == "Steps must be a whole number between 1 and 150, not 1000."
    assert anna.tell("jobs/unknown/stop", {}, status=422)["message"] == "There is no such job."
