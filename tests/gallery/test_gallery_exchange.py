"""Pictures out and in: exports carry what they should and no more, imports take nothing unsafe."""

from __future__ import annotations

import io
import json
import os
import random
import re
import stat
import struct
import zipfile
from pathlib import Path

import pytest
from gallery_making import noise, save
from PIL import ExifTags, Image, PngImagePlugin

from studio.errors import GalleryError, InvalidRequest
from studio.gallery import Filters, Gallery
from studio.gallery.archive import ArchiveRefused, Limits
from studio.gallery.export import export_zip, fill_zip, rendered, stream_zip, table
from studio.gallery.importing import import_pictures, own_recipe
from studio.gallery.site import export_site
from studio.interop.a1111 import parse_parameters
from studio.interop.metadata import read
from studio.requests import EditTokens, Inpaint

TRAINED = b"http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
def test_export_with_recipe_can_be_run_again_anywhere(gallery: Gallery, format: str) -> None:
    entry = save(gallery, 5, prompt="a red apple, 苹果", negative_prompt="blurry: very")
    data = rendered(entry, format=format)  # type: ignore[arg-type]
    origin = own_recipe(data)
    assert origin is not None and origin.recipe.request == entry.request
    assert TRAINED in data and b"Tessera Studio" in data
    foreign = read(data)
    assert foreign is not None and foreign.prompt == entry.prompt and foreign.numbers["seed"] == 5
    assert origin.recipe.owner == origin.recipe.job == ""
    with Image.open(io.BytesIO(data)) as opened:
        if format == "png":
            assert opened.tobytes() == noise(5).tobytes()
            text = opened.info["parameters"]
        else:
            comment = opened.getexif().get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment]
            assert comment.startswith(b"UNICODE\0")
            text = comment[8:].decode("utf-16-be")
    assert parse_parameters(text).pairs["Seed"] == "5"


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
def test_private_export_keeps_only_the_mark_of_its_origin(gallery: Gallery, format: str) -> None:
    entry = save(gallery, 5, prompt="SECRET words", owner="SECRET cookie")
    gallery.note(entry.id, "SECRET note")
    data = rendered(gallery.get(entry.id), format=format, recipe=False)  # type: ignore[arg-type]
    assert TRAINED in data and b"model tiny" in data
    assert b"SECRET" not in data and "SECRET".encode("utf-16-be") not in data
    assert entry.owner.encode() not in data and entry.id.encode() not in data
    assert own_recipe(data) is None and read(data) is None


def test_recipe_that_is_too_long_for_a_jpeg_is_left_out(gallery: Gallery) -> None:
    request = EditTokens(tokens="7" * 100_000)
    entry = gallery.save(noise(1), request=request, seed=None, facts={}, job_id="", owner="anna")
    assert own_recipe(rendered(entry, format="jpeg")) is None
    origin = own_recipe(rendered(entry))
    assert origin is not None and origin.recipe.request == request


def test_transparent_pictures_are_put_on_white_for_jpeg(gallery: Gallery) -> None:
    clear = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    entry = gallery.save(clear, request=None, seed=None, facts={}, job_id="", owner="anna")
    with Image.open(io.BytesIO(rendered(entry, format="jpeg"))) as opened:
        assert min(opened.getpixel((4, 4))) > 250
    with Image.open(io.BytesIO(rendered(entry, format="webp"))) as opened:
        assert opened.mode == "RGBA"


def test_zip_holds_safe_names_and_a_table_that_runs_nothing(gallery: Gallery, tmp_path: Path) -> None:
    entries = [save(gallery, n, prompt=p) for n, p in enumerate(["=cmd|' /C calc'!A0", "+1", "@x", 'plain, "quoted"'])]
    target = tmp_path / "out.zip"
    assert export_zip(entries, target) == 4
    with zipfile.ZipFile(target) as archive:
        assert archive.testzip() is None
        lines = archive.read("pictures.csv").decode("utf-8-sig").splitlines()
        names = archive.namelist()
    assert all(re.fullmatch(r"\d{4}_[0-9a-z]{8}\.png|pictures\.csv", name) for name in names)
    assert [line.split(",", 7)[7] for line in lines[1:]] == [
        *("'=cmd|' /C calc'!A0,", "'+1,", "'@x,", '"plain, ""quoted""",'),
    ]
    assert table([["\t=1"], [5], [None]]).splitlines()[1:] == ["'\t=1", "5", '""']
    export_zip(entries, target, recipe=False)
    with zipfile.ZipFile(target) as archive:
        assert "pictures.csv" not in archive.namelist()


def test_export_that_fails_leaves_no_file(gallery: Gallery, tmp_path: Path) -> None:
    entries = [save(gallery, n) for n in range(2)]
    entries[1].path.unlink()
    with pytest.raises(GalleryError, match="The picture's file is gone"):
        export_zip(entries, tmp_path / "out.zip")
    with pytest.raises(GalleryError, match="cannot be written"):
        export_zip(entries, tmp_path / "missing" / "out.zip")
    with pytest.raises(GalleryError, match='"gif" is not an export format'):
        rendered(entries[0], format="gif")  # type: ignore[arg-type]
    assert list(tmp_path.glob("*.zip*")) == list(tmp_path.glob(".*")) == []


def test_web_page_stands_alone_and_escapes_everything(gallery: Gallery, tmp_path: Path) -> None:
    entries = [save(gallery, n, prompt=f'<script>alert({n})</script>" onload="x') for n in range(3)]
    export_site(entries, tmp_path / "site.zip", title="<b>My</b> & pictures $x")
    with zipfile.ZipFile(tmp_path / "site.zip") as archive:
        page = archive.read("index.html").decode()
        names = set(archive.namelist())
    assert "<title>&lt;b&gt;My&lt;/b&gt; &amp; pictures $x</title>" in page
    assert "<script" not in page and 'onload="' not in page and "http" not in page.replace("http-equiv", "")
    assert set(re.findall(r'(?:src|href)="([^"#]+)"', page)) == names - {"index.html"}
    assert page.count('class="tile"') == page.count('class="view"') == 3


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def png(seed: int = 1, **texts: str) -> bytes:
    info = PngImagePlugin.PngInfo()
    for keyword, text in texts.items():
        info.add_text(keyword, text)
    buffer = io.BytesIO()
    noise(seed).save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


def test_export_and_import_bring_a_whole_gallery_back(gallery: Gallery, tmp_path: Path) -> None:
    first = save(gallery, 1)
    request = Inpaint(prompt="a hat", source=first.sha256, mask="1" * 64, seed=1)
    gallery.save(noise(2), request=request, seed=1, facts={}, job_id="", owner="anna")
    export_zip(gallery.each(), tmp_path / "all.zip")
    with Gallery(tmp_path / "other", reserve_bytes=0) as other:
        done = import_pictures(other, tmp_path / "all.zip", owner="bert")
        assert done.left_out == done.known == ()
        assert [e.id for e in other.each(owner="bert")] == [e.id for e in gallery.each()]
        assert [e.request for e in other.each()] == [e.request for e in gallery.each()]
        assert [e.kind for e in other.each()] == ["inpaint", "text_to_image"]
        assert other.parents(done.entries[0].id)[0].entry is not None
        again = import_pictures(other, tmp_path / "all.zip", owner="bert")
        assert again.entries == () and len(again.known) == 2


def test_other_studios_pictures_come_with_their_settings_and_what_is_missing(gallery: Gallery, tmp_path: Path) -> None:
    pairs = "Steps: 28, Sampler: DPM++ 3M SDE, CFG scale: 6, Seed: 5, Size: 512x512, Model: xl"
    text = f"a red apple\nNegative prompt: ugly\n{pairs}"
    source = zipped(
        tmp_path / "x.zip",
        {"deep/folder/a.png": png(parameters=text), "b.png": png(2), "notes.txt": b"x", "c.png": b"torn"},
    )
    done = import_pictures(gallery, source, owner="anna")
    assert done.left_out == (("c.png", '"c.png" is not a PNG, JPEG or WebP image.'),)
    apple, plain = done.entries
    assert abs(plain.created.timestamp() - plain.sequence / 1e6) < 60, "a picture of unknown date is from today"
    assert (apple.kind, apple.prompt, apple.seed, apple.model) == ("imported", "a red apple", 5, "xl")
    assert apple.recipe.foreign["software"] == "AUTOMATIC1111"
    assert "Sampler DPM++ 3M SDE is not here: DPM++ 2M is used." in apple.recipe.foreign["unmapped"]
    assert apple.request.model_dump()["steps"] == 28
    with pytest.raises(InvalidRequest, match="carries no settings"):
        _ = plain.request
    assert gallery.page(filters=Filters(text="AUTOMATIC1111 apple")).entries == (apple,)
    assert gallery.doctor().is_healthy


def test_folder_is_imported_without_following_links(gallery: Gallery, tmp_path: Path) -> None:
    source, outside = tmp_path / "mine", tmp_path / "outside"
    (source / "sub").mkdir(parents=True)
    outside.mkdir()
    (source / "sub" / "a.PNG").write_bytes(png(1))
    (outside / "secret.png").write_bytes(png(2))
    (source / "link.png").symlink_to(outside / "secret.png")
    (source / "linked").symlink_to(outside)
    assert len(import_pictures(gallery, source, owner="anna").entries) == 1
    assert len(import_pictures(gallery, outside / "secret.png", owner="anna").entries) == 1
    with pytest.raises(InvalidRequest, match=r'There is no "nowhere\.zip"'):
        import_pictures(gallery, tmp_path / "nowhere.zip", owner="anna")


def test_ids_of_imported_files_are_believed_only_when_harmless(gallery: Gallery, tmp_path: Path) -> None:
    """A file from the year 3000 must not decide the order of everything that comes after it."""
    entry = save(gallery, 1)
    stolen = json.loads(entry.recipe.to_json())
    files = {}
    for number, entry_id in enumerate([entry.id, "z" * 20, "../../../../etc/pass", "1k0tzms17dvk7121dese"]):
        files[f"{number}.png"] = png(10 + number, tessera=json.dumps({**stolen, "id": entry_id, "created_us": 2**62}))
    done = import_pictures(gallery, zipped(tmp_path / "x.zip", files), owner="bert")
    ids = [one.id for one in done.entries]
    assert len(set(ids)) == 4 and entry.id not in ids and "z" * 20 not in ids
    assert ids[3] == "1k0tzms17dvk7121dese"
    assert all(one.owner != entry.owner and one.created.year < 3000 for one in done.entries)
    assert save(gallery, 2).sequence - entry.sequence < 3600 * 10**6


def symlink(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo("link.png")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    return path


UNSAFE = {
    "parent folder": ({"../x.png": b""}, r"unsafe name \(\.\./x\.png\)"),
    "hidden parent": ({"a/../../x.png": b""}, "unsafe name"),
    "windows parent": ({"a\\..\\..\\x.png": b""}, "unsafe name"),
    "absolute": ({"/etc/x.png": b""}, "unsafe name"),
    "drive": ({"C:\\x.png": b""}, "unsafe name"),
    "share": ({"\\\\host\\x.png": b""}, "unsafe name"),
    "case twins": ({"a.png": b"", "A.png": b""}, r"unsafe name \(A\.png twice\)"),
    "accent twins": ({"\u00e9.png": b"", "e\u0301.png": b""}, "unsafe name .*twice"),
    "bomb": ({"x.png": bytes(30 * 2**20)}, r"too large \(x\.png unpacks to 30 MB\)"),
}


@pytest.mark.parametrize("name", UNSAFE)
def test_unsafe_archives_are_refused_and_nothing_is_written(gallery: Gallery, tmp_path: Path, name: str) -> None:
    files, pattern = UNSAFE[name]
    source = zipped(tmp_path / "x.zip", {"fine.png": png(), **files})
    with pytest.raises(ArchiveRefused, match=f"^Archive refused: {pattern}"):
        import_pictures(gallery, source, owner="anna")
    assert gallery.count() == 0 and not list(gallery.folder.glob("pictures/*/*"))


def test_links_too_many_files_and_too_many_bytes_are_refused(gallery: Gallery, tmp_path: Path) -> None:
    with pytest.raises(ArchiveRefused, match=r"Archive refused: link \(link\.png\)"):
        import_pictures(gallery, symlink(tmp_path / "l.zip"), owner="anna")
    many = zipped(tmp_path / "m.zip", {f"{n}.png": b"" for n in range(2001)})
    with pytest.raises(ArchiveRefused, match=r"too large \(2,001 files; the limit is 2,000"):
        import_pictures(gallery, many, owner="anna")
    big = zipped(tmp_path / "b.zip", {f"{n}.png": os.urandom(2**20) for n in range(3)})
    with pytest.raises(ArchiveRefused, match=r"too large \(3 MB; the limit is 2 MB"):
        import_pictures(gallery, big, owner="anna", limits=Limits(total_bytes=2 * 2**20))


def test_archive_that_lies_about_its_sizes_gives_no_more_than_it_says(gallery: Gallery, tmp_path: Path) -> None:
    source = zipped(tmp_path / "x.zip", {"x.png": bytes(5 * 2**20), "y.png": png()})
    data = bytearray(source.read_bytes())
    real = struct.pack("<I", 5 * 2**20)
    while (place := data.find(real)) >= 0:
        data[place : place + 4] = struct.pack("<I", 100)
    source.write_bytes(data)
    done = import_pictures(gallery, source, owner="anna")
    assert done.left_out == (("x.png", "It is damaged."),)
    assert len(done.entries) == 1


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"hello", b"PK\x05\x06" + bytes(18)])
def test_what_is_not_a_zip_is_said(gallery: Gallery, tmp_path: Path, data: bytes) -> None:
    source = tmp_path / "x.zip"
    source.write_bytes(data)
    try:
        assert import_pictures(gallery, source, owner="anna").entries == ()
    except InvalidRequest as error:
        assert error.message == '"x.zip" is not a zip file, or it is damaged.'


def test_mutated_archives_are_refused_or_read(gallery: Gallery, tmp_path: Path) -> None:
    whole = zipped(tmp_path / "w.zip", {"a.png": b"x" * 200, "b/c.png": b"y" * 50}).read_bytes()
    generator, source = random.Random(4), tmp_path / "x.zip"
    for _ in range(200):
        data = bytearray(whole)
        for _ in range(generator.randint(1, 8)):
            data[generator.randrange(len(data))] = generator.randrange(256)
        source.write_bytes(data)
        try:
            import_pictures(gallery, source, owner="anna")
        except InvalidRequest:
            continue
    assert gallery.count() == 0


def test_a_streamed_zip_is_the_written_one_and_comes_in_parts(gallery: Gallery, tmp_path: Path) -> None:
    entries = [save(gallery, number, width=256, height=256) for number in range(4)]
    export_zip(entries, tmp_path / "a.zip")
    parts = list(stream_zip(lambda archive: fill_zip(archive, entries)))
    assert len(parts) == 5 and all(parts), "one part for each picture, and the end"
    with zipfile.ZipFile(tmp_path / "a.zip") as written, zipfile.ZipFile(io.BytesIO(b"".join(parts))) as streamed:
        assert streamed.testzip() is None
        assert [(it.filename, it.CRC) for it in streamed.infolist()] == [
            (it.filename, it.CRC) for it in written.infolist()
        ]


def test_an_export_that_may_leave_out_names_what_it_left_out(gallery: Gallery) -> None:
    entries = [save(gallery, number) for number in range(3)]
    entries[1].path.write_bytes(b"torn")
    left_out: list[str] = []
    data = b"".join(stream_zip(lambda archive: fill_zip(archive, entries, left_out=left_out)))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
        assert archive.read("left-out.txt").decode().startswith(entries[1].id)
    assert [name[:4] for name in names] == ["0001", "0002", "pict", "left"] and len(left_out) == 1
    with pytest.raises(GalleryError):
        list(stream_zip(lambda archive: fill_zip(archive, entries)))
