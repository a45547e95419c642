"""studio models: what is here, what it is, whether it is whole, and other people's VQGANs made usable."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from studio.codebook.find import find_vqgans
from studio.engine.catalog import ModelCard, scan
from studio.engine.checksums import Checksums
from studio.errors import ModelError
from studio.settings import Settings

SUMS = "SHA256SUMS"


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `models` and what it can do."""
    parser = subparsers.add_parser("models", description="List, check and convert models.")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="list what is here, and why the rest cannot be used")
    listing.add_argument("--json", action="store_true", help="print one JSON object")
    info = actions.add_parser("info", help="say what one model is")
    info.add_argument("name", help="as `models list` names it")
    verify = actions.add_parser("verify", help=f"compare a model's files with its {SUMS}")
    verify.add_argument("name", nargs="?", default="", help="as `models list` names it (default: all that have one)")
    convert = actions.add_parser("convert", help="make a VQModel folder of another VQGAN checkpoint")
    convert.add_argument("source", type=Path, help="a taming-transformers, latent-diffusion or LlamaGen checkpoint")
    convert.add_argument("--to", required=True, metavar="NAME", help="the new model's name")


def run(args: argparse.Namespace, settings: Settings, out: Callable[..., None]) -> int:
    """Do one action."""
    return _ACTIONS[args.action](args, settings, out)


def _list(args: argparse.Namespace, settings: Settings, out: Callable[..., None]) -> int:
    found = scan(settings.checkpoint_folders)
    codebooks = {name: str(path) for name, path in find_vqgans(settings.checkpoint_folders).items()}
    if args.json:
        unusable = [{**asdict(bad), "path": str(bad.path)} for bad in found.unusable]
        out(json.dumps({"models": [_card(c) for c in found.models], "codebooks": codebooks, "unusable": unusable}))
        return 0
    for card in found.models:
        out(f"{card.id:<32}{card.architecture:<8}{card.bytes / 1e6:8.0f} MB  {card.name}")
    for name in codebooks:
        if name not in {card.id for card in found.models}:
            out(f"{name:<32}vqgan")
    for bad in found.unusable:
        out(f"{bad.id:<32}cannot be used: {bad.reason} {bad.hint}")
    if not found.models and not codebooks:
        out(f"There is no model yet. Put one into {settings.checkpoint_folders[1]}.")
    return 0


def _info(args: argparse.Namespace, settings: Settings, out: Callable[..., None]) -> int:
    card = scan(settings.checkpoint_folders).find(args.name)
    sums = Checksums(settings.cache_dir / "checksums.json")
    out(json.dumps({**_card(card), "checksum": sums.of(card.path)}, indent=2))
    return 0


def _card(card: ModelCard) -> dict[str, Any]:
    """Return what a card says as JSON-able values."""
    names = ("id", "name", "family", "architecture", "width", "height", "grid", "bytes", "description", "licence")
    said = {name: getattr(card, name) for name in names}
    return {**said, "path": str(card.path), "schedulers": [choice.id for choice in card.schedulers]}


def _verify(args: argparse.Namespace, settings: Settings, out: Callable[..., None]) -> int:
    models = scan(settings.checkpoint_folders)
    cards = [models.find(args.name)] if args.name else [card for card in models.models if (card.path / SUMS).is_file()]
    wrong = 0
    for card in cards:
        if not (card.path / SUMS).is_file():
            raise ModelError(f"{card.id} has no {SUMS}.", "Only models that list their checksums can be verified.")
        bad = changed_files(card.path)
        wrong += len(bad)
        out(f"{card.id}: " + (f"changed or missing: {', '.join(bad)}" if bad else "every file is as it was made"))
    return 1 if wrong else 0


def changed_files(folder: Path) -> list[str]:
    """Return the files of `folder` whose SHA-256 is not the one that its SHA256SUMS lists, or that are missing."""
    bad = []
    for line in (folder / SUMS).read_text(encoding="utf-8").splitlines():
        digest, _, name = line.partition("  ")
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file() or _sha256(path) != digest:
            bad.append(name)
    return bad


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _convert(args: argparse.Namespace, settings: Settings, out: Callable[..., None]) -> int:
    from studio.interop.vqgan import convert  # torch loads behind this

    for line in convert(args.source, args.to, folder=settings.data_dir / "models").describe():
        out(line)
    return 0


_ACTIONS = {"list": _list, "info": _info, "verify": _verify, "convert": _convert}
