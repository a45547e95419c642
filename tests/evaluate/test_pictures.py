"""The measures: against references, and in the cases whose answer is known."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from studio.engine.engine import Engine
from studio.errors import InvalidRequest
from studio.evaluate import pictures
from studio.evaluate.inpaint import HIDDEN, InpaintRow, evaluate_inpaint
from studio.evaluate.inpaint import as_table as inpaint_table
from studio.evaluate.report import Log, Missing
from studio.evaluate.style import (
    CONTENTS,
    STYLE_PRESETS,
    STYLES,
    WORDS,
    StyleRow,
    all_chains,
    evaluate_style,
    read_chain,
)
from studio.evaluate.style import as_table as style_table
from studio.inpaint import methods as inpainting
from studio.inpaint.context import Context
from studio.stylize.presets import load_presets
from tests.engine.prior import save_prior
from tests.engine.run import settings_for
from tests.engine.tiny import save_ldm, save_sd
from tests.stylize.waves import waves

RNG = np.random.default_rng(0)


def real_context(folder: Path) -> Context:
    """An engine on the models in `folder / "models"`; no VQGAN."""
    return Context.of(Engine(settings_for(folder, folder / "models")), lambda model: None)  # type: ignore[arg-type, return-value]


@pytest.fixture(autouse=True)
def nothing_shipped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Only the models made here are there, whatever ships with the studio."""
    monkeypatch.setattr("studio.settings.ROOT", tmp_path / "nothing shipped")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Context:
    """A Stable Diffusion of random weights, no prior and no adapter."""
    folder = tmp_path_factory.mktemp("measured")
    save_sd(folder / "models" / "tiny-sd")
    return real_context(folder)


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


@pytest.mark.thorough
def test_methods_are_measured_on_the_shipped_pictures() -> None:
    context = Context(None, None, None)  # type: ignore[arg-type]  # colour and repair use neither
    [row] = evaluate_style(context, chains=[read_chain("colour")], side=96, settings={"strength": 1.0})
    assert isinstance(row, StyleRow)
    assert row.colour_after < 0.6 * row.colour_before
    assert row.style_after < row.style_before and row.content > 0.5
    assert "| colour | strength 1 |" in style_table([row])
    rows = evaluate_inpaint(context, methods=[inpainting.find_method("telea")], side=96)
    filled = [row for row in rows if isinstance(row, InpaintRow)]
    assert [row.hidden for row in filled] == list(HIDDEN)
    assert all(row.changed == 0 and row.psnr > 12 for row in filled)
    assert inpaint_table(rows).count("telea") == 3


@pytest.mark.thorough
def test_repainting_with_words_is_measured_with_the_words_of_each_pair(models: Context, tmp_path: Path) -> None:
    """Alone and as a refinement; the default model's own preset decides the steps."""
    kept = tmp_path / "log.jsonl"
    chains = [read_chain("diffusion"), read_chain("colour+diffusion")]
    small = {"size": 64, "strength": 0.2}
    rows = evaluate_style(models, chains=chains, side=64, settings=small, log=Log(kept))
    assert [row.method for row in rows] == ["diffusion", "colour+diffusion"]
    assert all(isinstance(row, StyleRow) and row.seconds > 0 for row in rows)
    asked = [json.loads(line)["what"]["prompt"] for line in kept.read_text().splitlines()]
    assert len(asked) == 18 and len(set(asked)) == 9 and "woodblock print of a cat" in asked[1]
    assert style_table(rows).count("strength 0.2") == 2


def test_every_style_picture_and_content_has_its_words() -> None:
    assert set(STYLE_PRESETS) == set(STYLES) and set(WORDS) == set(CONTENTS)
    assert set(STYLE_PRESETS.values()) <= set(load_presets())
    assert {chain[-1].name for chain in all_chains() if len(chain) > 1} == {"diffusion"}


def test_a_method_that_cannot_run_keeps_a_row_that_says_why_and_what_to_do(models: Context) -> None:
    rows = evaluate_inpaint(models, methods=[inpainting.find_method("tokens")], side=64)
    assert rows == [Missing("tokens", rows[0].missing)]  # type: ignore[union-attr]
    assert inpaint_table(rows).splitlines()[-1].startswith("| – | tokens | – | – | – | cannot run: No model here has a")
    assert "train a prior: studio train tokens." in inpaint_table(rows)
    styles = evaluate_style(models, chains=[read_chain("reference")], side=64)
    assert "no IP-Adapter" in style_table(styles)
    assert asdict(styles[0]).keys() == {"method", "missing"}


def test_tokens_are_measured_where_a_prior_is(tmp_path: Path) -> None:
    """The tiny model with a prior beside it, as a model folder ships one."""
    save_prior(save_ldm(tmp_path / "models" / "tiny"))
    rows = evaluate_inpaint(
        real_context(tmp_path), methods=[inpainting.find_method("tokens")], side=64, settings={"steps": 2}
    )
    assert [row.hidden for row in rows if isinstance(row, InpaintRow)] == list(HIDDEN)
    assert all(row.changed == 0 for row in rows if isinstance(row, InpaintRow))


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
