"""What `studio codes` does once its arguments are read; torch loads behind this."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

from studio.codebook.animation import save_animation
from studio.codebook.atlas import open_atlas
from studio.codebook.headless import Batch, FileDesk
from studio.codebook.meter import measure
from studio.codebook.morph import grow, morph
from studio.codebook.neighbours import CodeSpace
from studio.codebook.operations import Operation, SetPalette, apply, parse_operations
from studio.codebook.orders import arrange
from studio.codebook.palettes import Palette
from studio.codebook.share import SUFFIX, save_share, share
from studio.codebook.tokens import TokenMap
from studio.codebook.usage import Usage, count_usage
from studio.codebook.vqgan import as_rgb
from studio.errors import InvalidRequest
from studio.settings import Settings

Out = Callable[..., None]


def run(args: argparse.Namespace, settings: Settings, out: Out) -> int:
    """Do one action; exit status 1 when some of several files failed."""
    return _ACTIONS[args.action](args, FileDesk(settings, args.model), out)


def _encode(args: argparse.Namespace, desk: FileDesk, out: Out) -> int:
    batch = Batch(args.sources, args.out, suffixes=(SUFFIX,))
    return batch.run(lambda source, target: desk.save(desk.open(source), target), out)


def _decode(args: argparse.Namespace, desk: FileDesk, out: Out) -> int:
    batch = Batch(args.sources, args.out, suffixes=(".png",))
    return batch.run(lambda source, target: desk.save(desk.open(source), target), out)


def _apply(args: argparse.Namespace, desk: FileDesk, out: Out) -> int:
    operations = _operations(args)
    batch = Batch(args.sources, args.out, suffixes=(".png", SUFFIX))
    space = CodeSpace(desk.vqgan.vectors, checksum=desk.vqgan.checksum)
    if any(operation.needs_colours for operation in operations):
        space = open_atlas(desk.vqgan, desk.cache_dir, progress=desk.progress(out, "atlas")).space(desk.vqgan.vectors)
    return batch.run(lambda source, target: desk.save(apply(desk.open(source), operations, space), target), out)


def _operations(args: argparse.Namespace) -> tuple[Operation, ...]:
    operations: tuple[Operation, ...] = ()
    if args.palette:
        if not 0 <= args.strength <= 1:
            raise InvalidRequest(f"Strength must be a number between 0 and 1, not {args.strength:g}.")
        palette = Palette.load(args.palette)
        operations += (SetPalette(palette=palette, method=args.method, strength=args.strength, by=args.by),)
    if args.operations:
        try:
            values = json.loads(args.operations.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InvalidRequest(f'"{args.operations.name}" is not a JSON file: {error}.') from error
        if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
            raise InvalidRequest(f'"{args.operations.name}" must hold a list of operations.')
        operations += parse_operations(values)
    if not operations:
        raise InvalidRequest("There is nothing to apply.", "Give --palette or --operations.")
    return operations


def _stats(args: argparse.Namespace, desk: FileDesk, out: Out) -> int:
    batch = Batch(args.sources)
    maps: list[TokenMap] = []
    failed = batch.run(lambda source, _: maps.append(desk.open(source)), _silent if args.json else out)
    corpus = ", ".join(source.name for source in args.sources)
    usage = count_usage(maps, corpus=corpus)
    if args.out:
        usage.save(args.out)
    lines = [usage.describe()]
    if len(batch.sources) == 1 and desk.is_picture(batch.sources[0]):
        meter = measure(as_rgb(desk.picture(batch.sources[0])), maps[0], desk.vqgan.decode(maps[0]))
        lines += meter.describe()
    if args.json:
        facts = {"codes": desk.vqgan.codebook_size, "used": len(usage.live), "tokens": usage.tokens}
        out(json.dumps({**facts, "perplexity": round(usage.perplexity, 2), "lines": lines}))
    else:
        for line in lines:
            out(line)
    return failed


def _silent(*_: object, **__: object) -> None:
    return None


def _atlas(args: argparse.Namespace, desk: FileDesk, out: Out) -> int:
    _ends_with(args.out, ".png")
    usage = Usage.load(args.usage) if args.usage else None
    atlas = open_atlas(desk.vqgan, desk.cache_dir, progress=desk.progress(out, "atlas"))
    grid = arrange(
        atlas.space(desk.vqgan.vectors),
        args.order,
        usage=usage,
        include_dead=args.all,
        columns=args.columns,
        seed=args.seed,
    )
    desk.save_picture(atlas.sheet(grid, cell=args.cell), args.out)
    out(f"{args.out}  {int((grid >= 0).sum())} of {len(atlas)} codes")
    return 0


def _palette(args: argparse.Namespace, desk: FileDesk, out: Out) -> int:
    _ends_with(args.out, ".json")
    palette = Palette.of(desk.open(args.source), name=args.source.stem)
    palette.save(args.out)
    out(f"{args.out}  {len(palette.codes)} codes")
    return 0


def _morph(args: argparse.Namespace, desk: FileDesk, out: Out) -> int:
    _ends_with(args.out, ".mp4", ".gif", ".webp")
    first = desk.open(args.source)
    if args.target is None:
        pictures = grow(desk.vqgan, first, frames=args.frames, seed=args.seed)
    else:
        second = desk.open(args.target, size=first.size, out=out)
        pictures = morph(desk.vqgan, first, second, style=args.style, frames=args.frames, seed=args.seed)
    shown = desk.counted(pictures, args.frames, out)
    count = save_animation(shown, args.out, fps=args.fps, bounce=args.bounce)
    out(f"{args.out}  {count} frames")
    return 0


def _share(args: argparse.Namespace, desk: FileDesk, out: Out) -> int:
    tokens = desk.open(args.source)
    if args.out:
        save_share(tokens, args.out)
    out(share(tokens))
    return 0


def _unshare(args: argparse.Namespace, desk: FileDesk, out: Out) -> int:
    _ends_with(args.out, ".png", SUFFIX)
    text = sys.stdin.read() if args.text == "-" else args.text
    tokens = desk.unshare(text)
    desk.save(tokens, args.out)
    out(f"{args.out}  {tokens.size[0]} x {tokens.size[1]}")
    return 0


def _ends_with(path: Path, *suffixes: str) -> None:
    if path.suffix.lower() not in suffixes:
        raise InvalidRequest(f'"{path.name}" does not end in {" or ".join(suffixes)}.', "Choose another --out.")


_ACTIONS: dict[str, Callable[[argparse.Namespace, FileDesk, Out], int]] = {
    "encode": _encode,
    "decode": _decode,
    "stats": _stats,
    "atlas": _atlas,
    "palette": _palette,
    "apply": _apply,
    "morph": _morph,
    "share": _share,
    "unshare": _unshare,
}
