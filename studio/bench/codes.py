"""How fast codebook exploration is: encode, decode, a brush dab, the atlas, palettes, and the search for codes."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import mean
from typing import Any

import numpy as np
import torch
from diffusers import VQModel
from PIL import Image, ImageOps

from studio.bench.ratio import latency, ratio, time_interleaved
from studio.codebook.atlas import Atlas, make_atlas
from studio.codebook.boxes import Box
from studio.codebook.live import LivePicture
from studio.codebook.local import LocalDecoder
from studio.codebook.lookup import Codebook
from studio.codebook.palettes import Palette, transfer
from studio.codebook.tokens import TokenMap
from studio.codebook.vqgan import Vqgan
from studio.errors import ModelError
from studio.evaluate.style import CONTENTS, EXAMPLES
from studio.handlers import Codebooks
from studio.settings import Settings

SIZES = (256, 512)
DAB_GOAL_MS = 60  # from a brush dab to its picture, 256 px on 2 cores
DABS_PER_STROKE = 12
DAB_SECONDS = 0.1
AGAIN = "again "  # before the name of an arm that does the same work once more
LOOKUPS = ((1024, 1024, 8), (16384, 1024, 8), (4096, 16384, 8))  # vectors, codes, dimensions


def run(rounds: int) -> dict[str, Any]:
    """Time every part on the shipped VQGAN, in interleaved rounds.

    Args:
        rounds: Timings of each kind; the atlas is made once.

    Returns:
        "model", "dtype" (of the decoder, as on the page), "threads", and a dictionary of "p50_ms", "interval_ms",
        "p95_ms" and "rounds" for each part; where two do the same ("lookup / cdist ...") the median of their paired
        ratios with its interval, and for those marked "(noise)" that of an arm against itself. "dab ..." are the
        single dabs of strokes of a brush two tokens wide, from edit to the bytes the page draws, with the exact
        decodes beside them and those waited for; "error" is the mean, over all dabs, and "worst_error" the largest
        mean difference of the whole picture shown from the exact decode, in levels of 255. "dab 256" has a
        "goal_ms". Lookups say whether the "same_indices" as torch.cdist's were found.
    """
    vqgan = _model()
    began = time.perf_counter()
    atlas = make_atlas(vqgan)
    atlas_seconds = time.perf_counter() - began
    decoder = LocalDecoder(vqgan)
    calls: dict[str, Callable[[], object]] = {}
    for size in SIZES:
        calls |= _at_size(vqgan, decoder, atlas, size)
    checks = {}
    for n, codes, d in LOOKUPS:
        pair, checks[f"lookup {n} x {codes} x {d}"] = _lookup(n, codes, d)
        calls |= pair
    seconds = time_interleaved(calls, rounds=max(rounds, 1))
    timings = {name: latency(values) for name, values in seconds.items() if not name.startswith(AGAIN)}
    for name, same in checks.items():
        timings[name]["same_indices"] = same
    for size in SIZES:
        timings[f"dab {size}"] = _strokes(vqgan, decoder, size, rounds)
    timings["dab 256"]["goal_ms"] = DAB_GOAL_MS
    dtype = str(vqgan.dtype).removeprefix("torch.")
    facts = {"model": vqgan.name, "codes": vqgan.codebook_size, "factor": vqgan.factor, "dtype": dtype}
    reach = decoder.reach._asdict() if decoder.reach else None
    return {
        **facts,
        "threads": torch.get_num_threads(),
        "reach": reach,
        "atlas_seconds": round(atlas_seconds, 2),
        **timings,
        **_ratios(seconds),
    }


def _ratios(seconds: dict[str, list[float]]) -> dict[str, dict[str, Any]]:
    """Return each pair of arms that do the same, and each arm beside itself."""
    found = {}
    for ours, theirs in (("lookup", "cdist"), ("local re-decode", "exact decode")):
        for name in [name for name in seconds if name.startswith(ours)]:
            at = name.removeprefix(ours)
            found[f"{ours} / {theirs}{at}"] = ratio(seconds[name], seconds[theirs + at]).as_row()
    for again in [name for name in seconds if name.startswith(AGAIN)]:
        name = again.removeprefix(AGAIN)
        found[f"{name} / itself (noise)"] = ratio(seconds[again], seconds[name]).as_row()
    return found


def _model() -> Vqgan:
    """Return the first VQGAN as the page loads it, or one of its shape with random weights: the same arithmetic."""
    try:
        return Codebooks(Settings()).load("")
    except ModelError:  # there is none
        torch.manual_seed(0)
    model = VQModel(
        block_out_channels=(16, 32, 96, 160, 192),
        down_block_types=("DownEncoderBlock2D",) * 5,
        up_block_types=("UpDecoderBlock2D",) * 5,
        norm_num_groups=4,
        latent_channels=8,
        vq_embed_dim=8,
        num_vq_embeddings=1024,
        mid_block_add_attention=False,
    )
    return Vqgan(model, name="random weights")


def _at_size(vqgan: Vqgan, decoder: LocalDecoder, atlas: Atlas, size: int) -> dict[str, Callable[[], object]]:
    picture = _picture(size)
    tokens = vqgan.encode(picture)
    space = atlas.space(vqgan.vectors)
    palette = Palette.of(vqgan.encode(picture.rotate(90).point(lambda value: 255 - value)))
    return {
        f"encode {size}": lambda: vqgan.encode(picture),
        f"exact decode {size}": lambda: vqgan.decode(tokens),
        f"{AGAIN}exact decode {size}": lambda: vqgan.decode(tokens),
        **_local(decoder, tokens),
        f"palette transfer {size}": lambda: transfer(tokens.codes, palette, space, method="transport"),
    }


def _local(decoder: LocalDecoder, tokens: TokenMap) -> dict[str, Callable[[], object]]:
    """Return the decode of the patch of a one-token dab in the middle; nothing where the model has no local form."""
    if decoder.reach is None:
        return {}
    recording = decoder.record(tokens)[1]
    row, column = tokens.shape[0] // 2, tokens.shape[1] // 2
    box = Box(row, column, row + 1, column + 1).grown(decoder.reach.paste, tokens.shape)
    name = f"local re-decode {tokens.size[0]}"
    return {name: lambda: decoder.decode(tokens, box, recording)}


def _picture(size: int) -> Image.Image:
    """Return soft blots of colour, `size` pixels on a side."""
    blots = np.random.default_rng(size).integers(256, size=(8, 8, 3)).astype(np.uint8)
    return Image.fromarray(blots).resize((size, size), Image.Resampling.BICUBIC)


def _strokes(vqgan: Vqgan, decoder: LocalDecoder, size: int, rounds: int) -> dict[str, Any]:
    """Time every dab of `rounds` strokes over the shipped photographs, a code of another one each; the first warms up.

    Dabs begin DAB_SECONDS apart, as from a hand that crosses ten tokens a second.
    """
    rng, taken, errors = np.random.default_rng(size), [], []
    maps = [vqgan.encode(_photograph(name, size)) for name in CONTENTS]
    for stroke in range(max(rounds, 1) + 1):
        tokens, palette = maps[stroke % len(maps)], maps[(stroke + 1) % len(maps)]
        live, shown = LivePicture(decoder, tokens), []
        code, row = int(rng.choice(palette.codes.ravel())), int(rng.integers(tokens.shape[0] - 1))
        for column in range(min(DABS_PER_STROKE, tokens.shape[1] - 1)):
            codes = live.tokens.codes.copy()
            codes[row : row + 2, column : column + 2] = code
            began = time.perf_counter()
            patch = live.edit(live.tokens.with_codes(codes))
            if patch is not None:
                patch.image.tobytes()
            seconds = time.perf_counter() - began
            if stroke:
                taken.append(seconds)
                shown.append((live.tokens, live.image))
            time.sleep(max(0, DAB_SECONDS - seconds))
        errors += [_error(vqgan, *moment) for moment in shown]
        live.settle()
    each = min(DABS_PER_STROKE, maps[0].shape[1] - 1)
    return {**latency(taken, together=each), "error": round(mean(errors), 2), "worst_error": round(max(errors), 2)}


def _photograph(name: str, size: int) -> Image.Image:
    with Image.open(EXAMPLES / name) as picture:
        return ImageOps.fit(picture.convert("RGB"), (size, size), Image.Resampling.LANCZOS)


def _error(vqgan: Vqgan, tokens: TokenMap, shown: Image.Image) -> float:
    """Return the mean difference of `shown` from the exact decode over all pixels and channels, in levels of 255."""
    return float(np.abs(np.asarray(shown, np.float32) - np.asarray(vqgan.decode(tokens), np.float32)).mean())


def _lookup(n: int, codes: int, d: int) -> tuple[dict[str, Callable[[], object]], bool]:
    generator = torch.Generator().manual_seed(n)
    vectors, z = torch.randn(codes, d, generator=generator), torch.randn(n, d, generator=generator)
    book = Codebook(vectors)
    same = torch.equal(book.nearest(z), torch.cdist(z, vectors).argmin(1))
    name = f"{n} x {codes} x {d}"
    return {
        f"lookup {name}": lambda: book.nearest(z),
        f"{AGAIN}lookup {name}": lambda: book.nearest(z),
        f"cdist {name}": lambda: torch.cdist(z, vectors).argmin(1),
    }, same
