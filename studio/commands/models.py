"""studio models: what is here and what it is, getting more, checking it, and other people's files made usable."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from studio.errors import InvalidRequest, ModelError
from studio.library.shelf import Shelf, parts_of
from studio.library.sums import changed
from studio.settings import Settings

Out = Callable[..., None]


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `models` and what it can do."""
    parser = subparsers.add_parser("models", description="List, get, check and convert models.")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="list what is here, and why the rest cannot be used")
    listing.add_argument("--json", action="store_true", help="print one JSON object")
    info = actions.add_parser("info", help="say what one model or add-on is")
    info.add_argument("name", help="as `models list` names it")
    info.add_argument("--kind", default="", help="where several kinds share a name: lora, embedding, vae, ...")
    add = actions.add_parser("add", help="copy a file or folder to the studio's models")
    add.add_argument("path", type=Path, help="a .safetensors file or a diffusers folder")
    add.add_argument("--link", action="store_true", help="link to it instead: it must stay where it is")
    remove = actions.add_parser("remove", help="delete a model that was added or downloaded")
    remove.add_argument("name", help="as `models list` names it")
    remove.add_argument("--kind", default="", help="where several kinds share a name")
    remove.add_argument("--yes", action="store_true", help="do not ask")
    _add_download(actions)
    verify = actions.add_parser("verify", help="compare a model's files with the checksums they came with")
    verify.add_argument("name", nargs="?", default="", help="as `models list` names it (default: all that have some)")
    convert = actions.add_parser("convert", help="make another studio's VQGAN, upscaler or embedding usable")
    convert.add_argument("source", type=Path, help="a .ckpt, .pth, .pt or .safetensors file")
    convert.add_argument("--to", required=True, metavar="NAME", help="the new model's name")

    shrink = actions.add_parser("shrink", help="a smaller copy of a model of ours: int8 weights, fewer words")
    shrink.add_argument("name", help="as `models list` names it")
    shrink.add_argument("--to", required=True, metavar="NAME", help="the copy's name")
    shrink.add_argument("--words", type=Path, metavar="FILE", help="lines of words to keep (default: all)")
    shrink.add_argument("--steps", type=int, default=0, help="per picture of the comparison (default: standard)")


def _add_download(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    download = actions.add_parser("download", help="get a model from the hub; a download that was cut off goes on")
    download.add_argument("repo", help="owner/name")
    download.add_argument("--revision", default="main", help="branch, tag or commit (default: main)")
    download.add_argument("--file", default="", help="one .safetensors file of a repository that holds several")
    download.add_argument("--variant", default="fp16", help="fp16 (half the size, the default), or full")
    download.add_argument("--dry-run", action="store_true", help="only say what it would bring")


def run(args: argparse.Namespace, settings: Settings, out: Out) -> int:
    """Do one action."""
    return _ACTIONS[args.action](args, settings, out)


def _list(args: argparse.Namespace, settings: Settings, out: Out) -> int:
    items = Shelf(settings).items()
    if args.json:
        out(json.dumps({"items": [item.as_dict() for item in items]}))
        return 0
    for item in items:
        if item.kind == "unusable":
            out(f"{item.id:<36}cannot be used: {item.problem}")
        else:
            problem = f"  (cannot be used: {item.problem})" if item.problem else ""
            out(f"{item.id:<36}{item.kind:<12}{item.base_title:<10}{item.bytes / 1e6:8.0f} MB  {item.name}{problem}")
    if not items:
        out(
            f"There is no model yet. Put one into {settings.data_dir / 'models'}, or: studio models download OWNER/NAME"
        )
    return 0


def _info(args: argparse.Namespace, settings: Settings, out: Out) -> int:
    shelf = Shelf(settings)
    item = shelf.find(args.name, args.kind)
    out(json.dumps({**item.as_dict(), "checksum": shelf.checksum(item)}, indent=2, ensure_ascii=False))
    return 0


def _add(args: argparse.Namespace, settings: Settings, out: Out) -> int:
    item = Shelf(settings).add(args.path, link=args.link)
    out(f"{item.id}: {item.kind} {item.base_title}".rstrip() + f", {item.bytes / 1e6:.0f} MB, in {item.path}")
    return 0


def _remove(args: argparse.Namespace, settings: Settings, out: Out) -> int:
    shelf = Shelf(settings)
    item = shelf.find(args.name, args.kind)
    parts = {part.id for part in parts_of(item, shelf.items())} - {item.id}
    named = " with ".join([f'"{item.id}"', *([", ".join(f'"{part}"' for part in sorted(parts))] if parts else [])])
    if not args.yes:
        if not sys.stdin.isatty():
            raise InvalidRequest(f"{named} would be deleted ({item.path}).", "Repeat it with --yes.")
        out(f"Delete {named} ({item.bytes / 1e6:.0f} MB, {item.path})? [y/N] ", end="")
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            out("Kept.")
            return 0
    shelf.remove(item)
    out(f"{named} is deleted.")
    return 0


def _download(args: argparse.Namespace, settings: Settings, out: Out) -> int:
    from studio.library.download import Progress, download
    from studio.library.hub import look

    plan = look(
        args.repo, revision=args.revision, file=args.file, variant="" if args.variant == "full" else args.variant
    )
    out(
        f"{plan.repo} at {plan.revision[:12]}: {len(plan.files)} files, {plan.bytes / 1e9:.2f} GB"
        + (f", licence {plan.licence}" if plan.licence else "")
    )
    if args.dry_run:
        for file in plan.files:
            out(f"  {file.bytes / 1e6:10.1f} MB  {file.name}")
        return 0
    shown = -1

    def report(progress: Progress) -> None:
        nonlocal shown
        percent = 100 * progress.bytes_done // max(1, progress.bytes_total)
        if percent != shown and (sys.stdout.isatty() or percent % 10 == 0):
            shown = percent
            sizes = f"{progress.bytes_done / 1e9:.2f} of {progress.bytes_total / 1e9:.2f} GB"
            out(f"\r{percent:3d} %  {sizes}  {progress.file[:48]:<48}", end="" if sys.stdout.isatty() else "\n")

    folder = download(plan, settings.data_dir / "models", report=report)
    out(f"\n{folder.name} is here: {folder}")
    return 0


def _verify(args: argparse.Namespace, settings: Settings, out: Out) -> int:
    shelf = Shelf(settings)
    named = [shelf.find(args.name)] if args.name else shelf.items()
    found = {item.id: changed(item) for item in named}
    if args.name and found[named[0].id] is None:
        raise ModelError(f"{named[0].id} came without checksums.", "Compare `models info` with those of its source.")
    wrong = 0
    for name, bad in found.items():
        if bad is not None:
            wrong += len(bad)
            out(f"{name}: " + (f"changed or missing: {', '.join(bad)}" if bad else "every file is as it was made"))
    return 1 if wrong else 0


def _convert(args: argparse.Namespace, settings: Settings, out: Out) -> int:
    from studio.interop.addons import convert_addon  # torch loads behind these
    from studio.interop.vqgan import convert

    folder = settings.data_dir / "models"
    made = convert_addon(args.source, args.to, folder=folder)
    lines: list[Any] = [made] if made else convert(args.source, args.to, folder=folder).describe()
    for line in lines:
        out(line)
    return 0


def _shrink(args: argparse.Namespace, settings: Settings, out: Out) -> int:
    from studio.commands.shrink import run as shrink

    return shrink(args, settings, out)


_ACTIONS: dict[str, Callable[[argparse.Namespace, Settings, Out], int]] = {
    "list": _list,
    "info": _info,
    "add": _add,
    "remove": _remove,
    "download": _download,
    "verify": _verify,
    "convert": _convert,
    "shrink": _shrink,
}
