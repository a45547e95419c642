"""studio codes: everything the Codebook tab does, headless, on files and folders."""

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
from studio.codebook.morph import MAX_FRAMES, STYLES, grow, morph
from studio.codebook.neighbours import CodeSpace
from studio.codebook.operations import Operation, SetPalette, apply, parse_operations
from studio.codebook.orders import ORDERS, arrange
from studio.codebook.palettes import Palette
from studio.codebook.share import SUFFIX, save_share, share
from studio.codebook.tokens import TokenMap
from studio.codebook.usage import Usage, count_usage
from studio.codebook.vqgan import as_rgb
from studio.errors import InvalidRequest
from studio.settings import Settings

Out = Callable[..., None]
_PICTURES = "pictures, .tokens files, or folders of them"


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `codes` and what it can do."""
    codes = subparsers.add_parser("codes", description="See, edit and share a picture's codes.")
    actions = codes.add_subparsers(dest="action", required=True, metavar="ACTION")

    def action(name: str, help: str) -> argparse.ArgumentParser:
        parser = actions.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".")
        parser.add_argument("--model", default="", help="the VQGAN's name or folder (default: the first there is)")
        return parser

    _add_conversions(action)
    _add_exploration(action)
    _add_sharing(action)


def run(args: argparse.Namespace, settings: Settings, out: Out) -> int:
    """Do one action; exit status 1 when some of several files failed."""
    return _ACTIONS[args.action](args, FileDesk(settings, args.model), out)


def _add_conversions(action: Callable[[str, str], argparse.ArgumentParser]) -> None:
    encode = action("encode", "turn pictures into .tokens files")
    encode.add_argument("sources", nargs="+", type=Path, help=_PICTURES)
    encode.add_argument("--out", type=Path, required=True, help="a .tokens file, or a folder for several")
    decode = action("decode", "turn .tokens files (or pictures, through their codes) into PNG")
    decode.add_argument("sources", nargs="+", type=Path, help=_PICTURES)
    decode.add_argument("--out", type=Path, required=True, help="a .png file, or a folder for several")
    change = action("apply", "apply a palette or operations to pictures")
    change.add_argument("sources", nargs="+", type=Path, help=_PICTURES)
    change.add_argument("--out", type=Path, required=True, help="a .png or .tokens file, or a folder for several")
    change.add_argument("--palette", type=Path, help="a palette file")
    change.add_argument("--method", choices=("nearest", "histogram", "transport"), default="transport")
    change.add_argument("--by", choices=("colour", "embedding"), default="colour", help="what counts as near")
    change.add_argument("--strength", type=float, default=1.0, help="share of tokens that change, 0 to 1")
    change.add_argument("--operations", type=Path, help="a JSON file with a list of operations")


def _add_exploration(action: Callable[[str, str], argparse.ArgumentParser]) -> None:
    stats = action("stats", "count codes, and measure what they cost and keep")
    stats.add_argument("sources", nargs="+", type=Path, help=_PICTURES)
    stats.add_argument("--out", type=Path, help="write the counts to this JSON file")
    stats.add_argument("--json", action="store_true", help="print one JSON object")
    atlas = action("atlas", "draw every code as a swatch")
    atlas.add_argument("--out", type=Path, required=True, help="the .png to write")
    atlas.add_argument("--order", choices=ORDERS, default="similarity")
    atlas.add_argument("--columns", type=int, help="default: as many as rows")
    atlas.add_argument("--cell", type=int, default=0, help="pixels of a swatch (default: the model's)")
    atlas.add_argument("--usage", type=Path, help="counts from `stats --out`; unused codes are hidden")
    atlas.add_argument("--all", action="store_true", help="show unused codes, too")
    atlas.add_argument("--seed", type=int, default=0)
    palette = action("palette", "save the codes of a picture as a palette file")
    palette.add_argument("source", type=Path)
    palette.add_argument("--out", type=Path, required=True, help="the .json to write")
    film = action("morph", "make a film from one picture to another, or of one growing")
    film.add_argument("source", type=Path)
    film.add_argument("target", type=Path, nargs="?", help="leave out to let the first grow from one code")
    film.add_argument("--out", type=Path, required=True, help=".mp4, .gif or .webp")
    film.add_argument("--style", choices=STYLES, default="smooth")
    film.add_argument("--frames", type=int, default=24, help=f"2 to {MAX_FRAMES}")
    film.add_argument("--fps", type=float, default=12)
    film.add_argument("--bounce", action="store_true", help="play back to the start")
    film.add_argument("--seed", type=int, default=0)


def _add_sharing(action: Callable[[str, str], argparse.ArgumentParser]) -> None:
    sharing = action("share", "print a picture as one line of text")
    sharing.add_argument("source", type=Path)
    sharing.add_argument("--out", type=Path, help="also write it to this file")
    unsharing = action("unshare", "make the picture of a line of text")
    unsharing.add_argument("text", help="the text, or - to read it from standard input")
    unsharing.add_argument("--out", type=Path, required=True, help="the .png or .tokens to write")


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
