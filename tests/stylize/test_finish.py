"""What happens to every result: size, structure, colours, transparency."""

from __future__ import annotations

import numpy as np
from PIL import Image

from studio.stylize.finish import finish, keep_colours, keep_structure
from studio.stylize.lab import to_lab
from studio.stylize.sheet import contact_sheet
from studio.stylize.smoothing import guided_filter

RNG = np.random.default_rng(0)
CONTENT = RNG.integers(60, 190, (40, 56, 3), np.uint8)
FLAT = np.full((40, 56, 3), (90, 120, 150), np.uint8)


def test_the_guided_filter_smooths_flat_parts_and_keeps_an_edge() -> None:
    step = np.where(np.arange(40) < 20, 0, 100).astype(np.float32)[None].repeat(40, 0)
    noisy = step + RNG.normal(0, 1, step.shape).astype(np.float32)
    smooth = guided_filter(noisy, noisy, radius=4, epsilon=16)[..., 0]
    assert np.abs(smooth[:, :15]).std() < 0.4
    assert smooth[:, 22:].mean() - smooth[:, :18].mean() > 98


def test_structure_puts_the_contents_detail_back() -> None:
    kept = [to_lab(keep_structure(FLAT, CONTENT, amount=a))[..., 0] for a in (0.0, 0.5, 1.0)]
    detail = to_lab(CONTENT)[..., 0]
    correlations = [0.0 if k.std() < 0.1 else float(np.corrcoef(k.ravel(), detail.ravel())[0, 1]) for k in kept]
    spreads = [k.std() for k in kept]
    assert correlations[0] == 0 and correlations[1] > 0.9 and correlations[2] > 0.9
    assert spreads[0] < spreads[1] < spreads[2]


def test_structure_of_nothing_is_the_result_itself() -> None:
    assert keep_structure(FLAT, CONTENT, amount=0) is FLAT


def test_kept_colours_are_the_contents() -> None:
    grey = np.full((8, 8, 3), 128, np.uint8)
    content = np.full((8, 8, 3), (150, 110, 120), np.uint8)
    kept = to_lab(keep_colours(grey, content))
    assert np.abs(kept[..., 0] - to_lab(grey)[..., 0]).max() < 0.6
    assert np.abs(kept[..., 1:] - to_lab(content)[..., 1:]).max() < 0.6


def test_a_result_has_the_contents_size_and_transparency() -> None:
    content = np.dstack([CONTENT, RNG.integers(0, 256, (40, 56), np.uint8)])
    result = finish(FLAT[:20, :28], content, structure=0.3, keeps_colours=True)
    assert result.shape == content.shape
    assert np.array_equal(result[..., 3], content[..., 3])


def test_a_contact_sheet_shows_every_picture_and_label() -> None:
    colours = ["red", "green", "blue", "white", "black"]
    sheet = contact_sheet([Image.new("RGB", (30, 60), c) for c in colours], colours, cell=64)
    assert {(255, 0, 0), (0, 128, 0), (0, 0, 255)} <= {c for _, c in sheet.getcolors(1 << 16)}
    assert sheet.width > 3 * 64 and sheet.height > 2 * 64
