"""studio gallery list | doctor | export | import: the gallery without a page."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from studio.errors import InvalidRequest
from studio.gallery import Entry, Filters, Gallery
from studio.gallery.doctor import Report, set_aside
from studio.gallery.export import FORMATS, Format, export_zip
from studio.gallery.importing import import_pictures
from studio.gallery.index import DamagedIndex
from studio.gallery.site import export_site
from studio.pictures import PictureStore
from studio.provenance.marks import marks_of
from studio.settings import Settings

OWNER = "local"  # whose pictures an import on the command line becomes


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `gallery` with its four actions."""
    actions = subparsers.add_parser("gallery", description="List, check, export and import pictures.").add_subparsers(
        dest="action", required=True
    )
    listing = actions.add_parser("list", description="List pictures, newest first.")
    _add_filters(listing)
    listing.add_argument("--limit", type=int, default=50, help="how many at most (default 50; 0: all)")
    listing.add_argument("--json", action="store_true", help="print one JSON object a line")

    doctor = actions.add_parser("doctor", description="Check that index and files agree.")
    doctor.add_argument("--fix", action="store_true", help="mend what can be mended")
    doctor.add_argument("--rebuild", action="store_true", help="with --fix: make the index anew from the files")
    doctor.add_argument("--json", action="store_true", help="print one JSON object")

    export = actions.add_parser("export", description="Write pictures into a zip file.")
    export.add_argument("target", type=Path, metavar="FILE.zip", help="the zip file to write")
    _add_filters(export)
    export.add_argument("--ids", nargs="+", metavar="ID", help="these pictures only")
    export.add_argument("--format", choices=FORMATS, help="png (default), jpeg or webp (default of --html)")
    export.add_argument("--without-recipe", action="store_true", help="leave prompts and settings out")
    export.add_argument("--html", action="store_true", help="as a web page that needs nothing else")
    export.add_argument("--title", default="Gallery", help="the web page's title")

    bring = actions.add_parser("import", description="Take in pictures of this or another studio.")
    bring.add_argument("source", type=Path, help="a zip file, a folder or a picture")
    bring.add_argument("--json", action="store_true", help="print one JSON object a line")


def run(args: argparse.Namespace, settings: Settings, out: Callable[..., None]) -> int:
    """Do what `args.action` says; return 0, or 1 when the doctor found something that is still wrong."""
    actions = {"list": _list, "doctor": _doctor, "export": _export, "import": _import}
    return actions[args.action](args, settings, out)


def as_json(entry: Entry) -> dict[str, Any]:
    """Return an entry as JSON-able values; its file by its whole path, for this machine's owner."""
    values = asdict(entry)
    recipe = json.loads(entry.recipe.to_json())
    return {**values, "created": entry.created.isoformat(), "path": str(entry.path), "recipe": recipe}


def _list(args: argparse.Namespace, settings: Settings, out: Callable[..., None]) -> int:
    with Gallery(settings.gallery_dir, read_only=True) as gallery:
        for number, entry in enumerate(gallery.each(_filters(args))):
            if args.limit and number >= args.limit:
                break
            out(json.dumps(as_json(entry)) if args.json else _line(entry))
    return 0


def _doctor(args: argparse.Namespace, settings: Settings, out: Callable[..., None]) -> int:
    folder, fix = settings.gallery_dir, args.fix
    if args.rebuild and not fix:
        raise InvalidRequest("--rebuild changes the gallery.", "Say --fix --rebuild.")
    aside = _make_way(folder, rebuild=args.rebuild) if fix else None
    with Gallery(folder, read_only=not fix) as gallery:
        report = gallery.doctor(fix, inputs=PictureStore(settings.data_dir / "pictures"))
    if args.json:
        problems = [asdict(problem) for problem in report.problems]
        out(json.dumps({"pictures": report.pictures, "healthy": report.is_healthy, "problems": problems}))
    else:
        if aside is not None:
            out(f"The old index was moved to {aside.name}; a new one was made from the files.")
        _say(report, out)
    return 0 if report.is_healthy else 1


def _make_way(folder: Path, *, rebuild: bool) -> Path | None:
    """Move the index away when asked to, or when it cannot be opened, so that opening makes a new one."""
    try:
        Gallery(folder).close()  # nobody else writes, and it can be read
    except DamagedIndex:
        return set_aside(folder)
    return set_aside(folder) if rebuild else None


def _export(args: argparse.Namespace, settings: Settings, out: Callable[..., None]) -> int:
    with Gallery(settings.gallery_dir, read_only=True) as gallery:
        entries: Iterable[Entry] = gallery.entries(args.ids) if args.ids else gallery.each(_filters(args))
        recipe, marks, target = not args.without_recipe, marks_of(settings), args.target
        if args.html:
            format: Format = args.format or "webp"
            count = export_site(entries, target, title=args.title, format=format, recipe=recipe, marks=marks)
        else:
            count = export_zip(entries, target, format=args.format or "png", recipe=recipe, marks=marks)
    out(f"{count} {_pictures(count)} in {args.target}")
    return 0


def _import(args: argparse.Namespace, settings: Settings, out: Callable[..., None]) -> int:
    with Gallery(settings.gallery_dir) as gallery:
        done = import_pictures(gallery, args.source, owner=OWNER)
    for entry in done.entries:
        if args.json:
            out(json.dumps(as_json(entry)))
        for sentence in entry.recipe.foreign.get("unmapped", []) if not args.json else []:
            out(f"{entry.id}  {sentence}")
    if not args.json:
        for name, why in done.left_out:
            out(f"{name}: {why}")
        count = len(done.entries)
        out(f"{count} {_pictures(count)} imported, {len(done.known)} known already, {len(done.left_out)} left out")
    return 0


def _add_filters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--search", default="", metavar="WORDS", help="words in prompts, settings, notes, collections")
    parser.add_argument("--kind", action="append", default=[], help="text_to_image, inpaint, stylize, ..., imported")
    parser.add_argument("--model", action="append", default=[], help="a model's name")
    parser.add_argument("--collection", default="", help="a collection's name")
    parser.add_argument("--size", action="append", default=[], metavar="WxH", help="pictures of this size, 256x512")
    parser.add_argument("--from", dest="begin", metavar="DAY", help="made on this day or later, 2026-12-31")
    parser.add_argument("--to", dest="end", metavar="DAY", help="made on this day or earlier")
    parser.add_argument("--starred", action="store_true", default=None, help="starred pictures only")
    parser.add_argument("--trash", action="store_true", help="the trash instead of the gallery")


def _filters(args: argparse.Namespace) -> Filters:
    return Filters(
        text=args.search,
        kinds=tuple(args.kind),
        models=tuple(args.model),
        created_from=_midnight(args.begin),
        created_to=_midnight(args.end, days_later=1),
        sizes=tuple(_size(size) for size in args.size),
        starred=args.starred,
        collection=args.collection,
        trashed=args.trash,
    )


def _midnight(day: str | None, *, days_later: int = 0) -> datetime | None:
    """The beginning of a day by this machine's clock; `days_later` ones, less a microsecond, its end."""
    if day is None:
        return None
    try:
        begin = datetime.strptime(day, "%Y-%m-%d") + timedelta(days=days_later)
    except (ValueError, OverflowError) as error:
        raise InvalidRequest(f'"{day[:20]}" is not a day.', "Write it as 2026-12-31.") from error
    return (begin - timedelta(microseconds=1 if days_later else 0)).astimezone()


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise InvalidRequest(f'"{text[:20]}" is not a size.', "Write it as 256x512.")
    return int(width), int(height)


def _line(entry: Entry) -> str:
    prompt = " ".join(entry.prompt.split())
    star = "*" if entry.starred else " "
    shown = prompt if len(prompt) <= 60 else f"{prompt[:59]}…"
    return f"{entry.id} {star} {entry.created:%Y-%m-%d %H:%M}  {entry.width}x{entry.height}  {entry.kind}  {shown}"


def _say(report: Report, out: Callable[..., None]) -> None:
    for problem in report.problems:
        out(f"{'mended' if problem.mended else 'wrong '}  {problem.kind}: {problem.what}  {problem.remedy}")
    state = "nothing is wrong" if report.is_healthy else "run: studio gallery doctor --fix"
    out(f"{report.pictures} {_pictures(report.pictures)}, {report.seconds:.1f} s; {state}")


def _pictures(count: int) -> str:
    return "picture" if count == 1 else "pictures"
