"""studio eval: how good models and methods are, on pictures that are named, with the numbers to compare by."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from studio.app import Headless
from studio.errors import InvalidRequest
from studio.settings import Settings

if TYPE_CHECKING:
    from PIL import Image

    from studio.engine.catalog import ModelCard


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `eval` and what can be measured."""
    parser = subparsers.add_parser("eval", description="Measure models and methods.")
    subjects = parser.add_subparsers(dest="subject", required=True, metavar="SUBJECT")
    autoencoder = subjects.add_parser("autoencoder", help="reconstruction and code use on held-out pictures")
    autoencoder.add_argument("model", type=Path, help="a folder that holds a VQModel")
    autoencoder.add_argument(
        "--data", type=Path, required=True, help="the pack it was trained on, or any folder of pictures"
    )
    autoencoder.add_argument("--count", type=int, default=544, help="pictures to measure on")
    autoencoder.add_argument("--lpips", action="store_true", help="measure LPIPS too (the extra `metrics`)")
    autoencoder.add_argument("--json", action="store_true", help="print one JSON object")
    prompts = subjects.add_parser("prompts", help="whether pictures show what their prompts say, by probes")
    prompts.add_argument("model", help="id of the model (`studio models list`)")
    prompts.add_argument("--data", type=Path, required=True, metavar="PACK", help="the pack it was trained on")
    prompts.add_argument("--count", type=int, default=200, help="prompts of things; half as many compositions")
    prompts.add_argument("--quality", default="standard", help="a preset of the model")
    prompts.add_argument("--sheets", type=Path, metavar="FOLDER", help="contact sheets: made, and nearest in training")
    prompts.add_argument(
        "--metric", action="append", default=[], metavar="NAME=PATH",
        help="measure with a library too (the extra `metrics`): fid=FILE, is=FILE, clip=FOLDER; may be repeated",
    )  # fmt: skip
    prompts.add_argument("--json", action="store_true", help="print one JSON object")
    grid = subjects.add_parser("grid", help="64 prompts at fixed seeds as one picture, to look at")
    grid.add_argument("model", help="id of the model (`studio models list`)")
    grid.add_argument("--quality", default="standard", help="a preset of the model")
    grid.add_argument("--side", type=int, default=128, help="longer side of each picture on the sheet in pixels")
    grid.add_argument("--out", type=Path, required=True, metavar="FILE", help="PNG, WebP or JPEG")
    once = "only this method; may be repeated"
    for name, help_text, only in (
        ("style", "style distance, content kept and colour distance of every style method",
         f"{once}; A+B is a chain of two"),
        ("inpaint", "fill error, seam and untouched pixels of every inpainting method", once),
    ):  # fmt: skip
        subject = subjects.add_parser(name, help=help_text)
        subject.add_argument("--side", type=int, default=256, help="longer side of the pictures in pixels")
        subject.add_argument("--method", action="append", metavar="NAME", help=only)
        subject.add_argument(
            "--set", action="append", default=[], metavar="NAME=NUMBER", help="a setting, as strength=0.5"
        )
        subject.add_argument(
            "--log", type=Path, metavar="FILE", help="keep each measurement there, and go on where it ends"
        )
        subject.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace, settings: Settings, out: Callable[..., None]) -> int:
    """Measure one subject and print its table."""
    if args.subject == "autoencoder":
        return _autoencoder(args, out)
    if args.subject == "prompts":
        return _prompts(args, settings, out)
    if args.subject == "grid":
        return _grid(args, settings, out)
    return _methods(args, settings, out)


def _methods(args: argparse.Namespace, settings: Settings, out: Callable[..., None]) -> int:
    from studio.evaluate import inpaint, style  # torch loads behind these
    from studio.evaluate.report import Log
    from studio.handlers import Codebooks
    from studio.inpaint.context import Context
    from studio.inpaint.methods import METHODS as FILLS
    from studio.inpaint.methods import find_method as find_fill

    context = Context.of(Headless(settings).engine, Codebooks(settings).load_or_default)
    say: Callable[..., None] = (lambda line: None) if args.json else out
    changes, log = dict(_setting(text) for text in args.set), Log(args.log)
    if args.subject == "style":
        chains = [style.read_chain(name) for name in args.method or ()] or style.all_chains()
        styles = style.evaluate_style(context, chains=chains, side=args.side, settings=changes, log=log, say=say)
        out(json.dumps([asdict(row) for row in styles]) if args.json else style.as_table(styles))
    else:
        kinds = [find_fill(name) for name in args.method or ()] or FILLS
        fills = inpaint.evaluate_inpaint(context, methods=kinds, side=args.side, settings=changes, log=log, say=say)
        out(json.dumps([asdict(row) for row in fills]) if args.json else inpaint.as_table(fills))
    return 0


def _setting(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name.strip(), float(value)
    except ValueError as error:
        raise InvalidRequest(f'"{text}" is no setting.', "Write NAME=NUMBER, as in --set strength=0.5.") from error


def _autoencoder(args: argparse.Namespace, out: Callable[..., None]) -> int:
    from studio.training.evaluate import evaluate_autoencoder, evaluate_on_folder, load_vqvae
    from studio.training.pack import Pack, is_pack

    vqvae, lpips = load_vqvae(args.model), None
    if args.lpips:
        from studio.training.lpips import LpipsDistance

        lpips = LpipsDistance()
    if is_pack(args.data):
        figures = evaluate_autoencoder(vqvae, Pack.open(args.data), count=args.count, lpips=lpips)
    else:
        figures = evaluate_on_folder(vqvae, args.data, count=args.count, lpips=lpips)
    out(json.dumps(figures.as_json()) if args.json else figures.as_text())
    return 0


def _prompts(args: argparse.Namespace, settings: Settings, out: Callable[..., None]) -> int:
    from studio.evaluate.library import read_metric
    from studio.evaluate.prompts import as_table, evaluate_prompts
    from studio.training.pack import Pack

    metrics = [read_metric(text) for text in args.metric]
    card, make = _maker(args, settings)
    if args.sheets is not None:
        args.sheets.mkdir(parents=True, exist_ok=True)
    say: Callable[..., None] = (lambda line: None) if args.json else out
    rows = evaluate_prompts(
        make, Pack.open(args.data), vqvae=card.path, count=args.count, cache=settings.cache_dir / "probes",
        sheets=args.sheets, metrics=metrics, say=say,
    )  # fmt: skip
    out(json.dumps([asdict(row) for row in rows]) if args.json else as_table(rows, size=card.width))
    return 0


def _grid(args: argparse.Namespace, settings: Settings, out: Callable[..., None]) -> int:
    from studio.evaluate.prompt_grid import prompt_grid

    if args.out.suffix.lower() not in (".png", ".webp", ".jpg", ".jpeg") or not args.out.parent.is_dir():
        raise InvalidRequest(
            f"{args.out} cannot be written.", "Give --out a .png, .webp or .jpg file in a folder there is."
        )
    _, make = _maker(args, settings)
    prompt_grid(make, side=args.side, say=out).save(args.out)
    out(str(args.out))
    return 0


def _maker(args: argparse.Namespace, settings: Settings) -> tuple[ModelCard, Callable[[str, int], Image.Image]]:
    """Return the model that `args` names, and how to make one of its pictures from a prompt and a seed."""
    from studio.engine.catalog import scan
    from studio.events import Finished

    card, headless = scan(settings.checkpoint_folders).find(args.model), Headless(settings)

    def make(prompt: str, seed: int) -> Image.Image:
        request = headless.complete({"prompt": prompt, "seed": seed, "model": card.id, "kind": "text_to_image"},
                                    quality=args.quality)  # fmt: skip
        *_, ending = headless.engine.run(request, lambda: False)
        assert isinstance(ending, Finished), "nothing stops this run"
        return ending.images[0]

    return card, make
