"""studio eval: how good models and methods are, on pictures that are named, with the numbers to compare by."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from studio.app import Headless
from studio.settings import Settings


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `eval` and what can be measured."""
    parser = subparsers.add_parser("eval", description="Measure models and methods.")
    subjects = parser.add_subparsers(dest="subject", required=True, metavar="SUBJECT")
    autoencoder = subjects.add_parser("autoencoder", help="reconstruction and code use on held-out pictures")
    autoencoder.add_argument("model", type=Path, help="a folder that holds a VQModel")
    autoencoder.add_argument("--data", type=Path, required=True, metavar="PACK", help="the pack it was trained on")
    autoencoder.add_argument("--count", type=int, default=544, help="pictures to measure on")
    autoencoder.add_argument("--json", action="store_true", help="print one JSON object")
    for name, help_text in (
        ("style", "style distance, content kept and colour distance of every style method"),
        ("inpaint", "fill error, seam and untouched pixels of every inpainting method"),
    ):
        subject = subjects.add_parser(name, help=help_text)
        subject.add_argument("--side", type=int, default=256, help="longer side of the pictures in pixels")
        subject.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace, settings: Settings, out: Callable[..., None]) -> int:
    """Measure one subject and print its table."""
    if args.subject == "autoencoder":
        return _autoencoder(args, out)
    from studio.evaluate import inpaint, style  # torch loads behind these
    from studio.handlers import Codebooks
    from studio.inpaint.context import Context

    context = Context.of(Headless(settings).host.engine(), Codebooks(settings).load_or_default)
    say = (lambda line: None) if args.json else out
    if args.subject == "style":
        styles = style.evaluate_style(context, side=args.side, say=say)
        out(json.dumps([asdict(row) for row in styles]) if args.json else style.as_table(styles))
    else:
        fills = inpaint.evaluate_inpaint(context, side=args.side, say=say)
        out(json.dumps([asdict(row) for row in fills]) if args.json else inpaint.as_table(fills))
    return 0


def _autoencoder(args: argparse.Namespace, out: Callable[..., None]) -> int:
    from studio.training.evaluate import evaluate_autoencoder, load_vqvae
    from studio.training.pack import Pack

    figures = evaluate_autoencoder(load_vqvae(args.model), Pack.open(args.data), count=args.count).as_json()
    out(json.dumps(figures) if args.json else "\n".join(f"{name:<22}{value}" for name, value in figures.items()))
    return 0
