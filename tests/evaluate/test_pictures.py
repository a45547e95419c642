"""The measures: against references, and in the cases whose answer is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from studio.errors import InvalidRequest
from studio.evaluate import pictures
from studio.evaluate.inpaint import HIDDEN, evaluate_inpaint
from studio.evaluate.inpaint import as_table as inpaint_table
from studio.evaluate.report import Log
from studio.evaluate.style import as_table as style_table
from studio.evaluate.style import evaluate_style
from studio.inpaint import methods as inpainting
from studio.inpaint.context import Context
from studio.stylize.methods import find_method
from tests.stylize.waves import waves

RNG = np.random.default_rng(0)


def test_ssim_is_scikit_images_with_the_papers_window() -> None:
    first = RNG.integers(0, 256, (60, 70)).astype(np.float64)
    second = np.clip(first + RNG.normal(0, 20, first.shape), 0, 255)
    reference = structural_similarity(
        first, second, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    assert pictures.ssim(first, second) == pytest.approx(reference, abs=2e-3)
    assert pictures.ssim(first, first) == pytest.approx(1)


def test_a_picture_keeps_all_of_itself_and_noise_nothing() -> None:
    picture = np.asarray(waves(96, 80, seed=1))
    assert pictures.content_kept(picture, picture) == pytest.approx(1, abs=1e-6)
    assert pictures.content_kept(picture, RNG.integers(0, 256, picture.shape, np.uint8)) < 0.2


def test_style_distance_falls_with_likeness() -> None:
    fine = RNG.integers(0, 256, (96, 96, 3), np.uint8)
    other = np.random.default_rng(5).integers(0, 256, (96, 96, 3), np.uint8)
    smooth = np.asarray(waves(96, 96, seed=1))
    assert pictures.style_distance(fine, fine) < pictures.style_distance(fine, other) + 1
    assert pictures.style_distance(fine, other) < 0.3 * pictures.style_distance(fine, smooth)


def test_colour_distance_of_two_greys_is_their_difference_in_lightness_by_slices() -> None:
    dark, light = (np.full((8, 8, 3), level, np.uint8) for level in (100, 110))
    assert pictures.colour_distance(dark, dark) == 0
    assert 0 < pictures.colour_distance(dark, light) < 4.1


def test_a_step_at_the_edge_of_a_mask_shows_as_a_seam() -> None:
    picture = np.asarray(waves(96, 96, seed=1)).copy()
    mask = np.zeros((96, 96), bool)
    mask[30:60, 30:60] = True
    plain = pictures.seam_visibility(picture, mask)
    picture[mask] = np.clip(picture[mask].astype(int) + 40, 0, 255)
    assert 0.5 < plain < 1.6
    assert pictures.seam_visibility(picture, mask) > 2 * plain


def test_psnr_looks_only_where_it_is_told() -> None:
    first = np.zeros((10, 10, 3), np.uint8)
    second = first.copy()
    second[:5] = 255
    second[5:] = 16
    where = np.zeros((10, 10), bool)
    where[5:] = True
    assert pictures.psnr(first, second, where) == pytest.approx(10 * np.log10(255**2 / 16**2))


def test_methods_are_measured_on_the_shipped_pictures() -> None:
    context = Context(None, None, None)  # type: ignore[arg-type]  # colour and repair use neither
    [row] = evaluate_style(context, methods=[find_method("colour")], side=96, settings={"strength": 1.0})
    assert row.colour_after < 0.6 * row.colour_before
    assert row.style_after < row.style_before and row.content > 0.5
    assert "| colour | strength 1 |" in style_table([row])
    rows = evaluate_inpaint(context, methods=[inpainting.find_method("telea")], side=96)
    assert [row.hidden for row in rows] == list(HIDDEN)
    assert all(row.changed == 0 and row.psnr > 12 for row in rows)
    assert inpaint_table(rows).count("telea") == 3


def test_a_log_keeps_measurements_and_is_not_measured_again(tmp_path: Path) -> None:
    asked: list[int] = []

    def measure() -> dict[str, float]:
        asked.append(1)
        return {"seconds": 2.0}

    path = tmp_path / "log.jsonl"
    for _ in range(2):
        log = Log(path)
        assert log.figures({"method": "colour", "side": 96}, measure) == {"seconds": 2.0}
        assert log.figures({"side": 96, "method": "colour"}, measure) == {"seconds": 2.0}
    assert len(asked) == 1
    path.write_text("no log\n")
    with pytest.raises(InvalidRequest, match="not a log"):
        Log(path)
