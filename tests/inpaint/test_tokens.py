"""Method "tokens": the prior draws the masked tokens anew, and everything else stays as it is."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from studio.codebook.vqgan import Vqgan
from studio.engine.engine import Engine
from studio.engine.maskgit import HIDDEN
from studio.errors import ModelError
from studio.events import Cancelled, Step
from studio.inpaint.context import Context
from studio.inpaint.run import run_inpaint
from studio.inpaint.tokens import NO_FILM, partly_hidden
from studio.pictures import PictureStore
from tests.engine import tiny
from tests.engine.prior import save_prior
from tests.engine.run import loaded, settings_for
from tests.inpaint.test_run import asked, assert_untouched, mask_of, run
from tests.stylize.waves import waves


@pytest.fixture(scope="module")
def priors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Context]:
    """An engine with one model that has a prior beside its U-Net, and a Stable Diffusion model that has none."""
    folder, data = tmp_path_factory.mktemp("models"), tmp_path_factory.mktemp("data")
    save_prior(tiny.save_ldm(folder / "model"))
    tiny.save_sd(folder / "other")
    for name in ("model", "other"):
        tiny.ship_preview(folder / name)
    settings = settings_for(data, folder, memory_gb=4)
    engine = Engine(settings, read_picture=PictureStore(data / "inputs").get)
    vqgan = Vqgan.load(folder / "model")
    yield Context.of(engine, lambda model: vqgan)


@pytest.fixture
def shelf(priors: Context) -> PictureStore:
    return PictureStore(priors.engine.settings.data_dir / "inputs")


VALUES = {"method": "tokens", "model": "model", "size": 64}


@pytest.mark.parametrize("area", ["masked", "whole"])
def test_several_candidates_differ_inside_the_mask_and_nowhere_else(
    area: str, priors: Context, shelf: PictureStore
) -> None:
    source = waves(150, 110, seed=1)
    request = asked(shelf, source, mask_of(150, 110, (60, 40, 90, 70)), batch=3, area=area, **VALUES)
    events, finished = run(request, priors)
    assert_untouched(source, finished)
    assert finished.seeds == (3, 4, 5) and len({image.tobytes() for image in finished.images}) == 3
    previews = [event.preview for event in events if isinstance(event, Step)]
    assert len(previews) == 3 and all(preview is not None and preview.size == (450, 110) for preview in previews)
    assert finished.facts["model"] == "model-tokens"
    assert NO_FILM in finished.notes and not finished.extras["films"], "what the page has no strip for is said"


def test_a_candidate_is_the_one_made_alone_with_its_seed(priors: Context, shelf: PictureStore) -> None:
    source, mask = waves(96, 96, seed=1), mask_of(96, 96, (30, 30, 60, 60))
    both = run(asked(shelf, source, mask, batch=2, **VALUES), priors)[1]
    alone = run(asked(shelf, source, mask, seed=4, **VALUES), priors)[1]
    assert both.images[1].tobytes() == alone.images[0].tobytes()


def test_the_mask_is_grown_to_whole_cells_and_all_other_tokens_are_known(priors: Context) -> None:
    model = loaded(priors.engine, "model-tokens").model
    chances = np.zeros((64, 64), np.float32)
    chances[20:30, 10:40] = 1  # touches rows 1, columns 0 to 2 of 16 pixels
    start = partly_hidden(model, waves(64, 64, seed=2), chances, seeds=(1, 2)).start
    assert start is not None
    hidden = start.latents[:, 0] == HIDDEN
    expected = torch.zeros(4, 4, dtype=torch.bool)
    expected[1, :3] = True
    assert hidden.shape == (2, 4, 4) and all(torch.equal(row, expected) for row in hidden)
    codes = Vqgan.load(priors.engine.settings.model_folders[0] / "model").encode(waves(64, 64, seed=2)).codes
    np.testing.assert_array_equal(start.latents[0, 0][~expected].numpy() - 1, codes[~expected.numpy()])


def test_strength_is_the_chance_of_a_cell_to_be_drawn_anew(priors: Context) -> None:
    model = loaded(priors.engine, "model-tokens").model
    everything = np.ones((64, 64), np.float32)
    seeds = tuple(range(40))
    start = partly_hidden(model, waves(64, 64, seed=2), 0.25 * everything, seeds=seeds).start
    assert start is not None
    shares = (start.latents == HIDDEN).float().mean((1, 2, 3))
    assert 0.15 < float(shares.mean()) < 0.35 and len({row.numpy().tobytes() for row in start.latents}) > 20
    least = partly_hidden(model, waves(64, 64, seed=2), 1e-6 * everything, seeds=seeds).start
    assert least is not None and ((least.latents == HIDDEN).sum((1, 2, 3)) == 1).all()


def test_a_model_without_a_prior_borrows_one_and_says_whose(priors: Context, shelf: PictureStore) -> None:
    source, mask = waves(96, 96, seed=1), mask_of(96, 96, (30, 30, 60, 60))
    finished = run(asked(shelf, source, mask, **{**VALUES, "model": "other"}), priors)[1]
    assert any("Drawn with the tokens of model, fast." in note for note in finished.notes)
    assert_untouched(source, finished)


def test_without_any_prior_it_says_what_to_do(context: Context, store: PictureStore) -> None:
    request = asked(store, waves(40, 40, seed=1), mask_of(40, 40, (5, 5, 20, 20)), method="tokens")
    with pytest.raises(ModelError, match="No model here has a masked-token prior"):
        list(run_inpaint(request, context, lambda: False))


def test_a_run_stops_within_a_step(priors: Context, shelf: PictureStore) -> None:
    request = asked(shelf, waves(96, 96, seed=1), mask_of(96, 96, (30, 30, 60, 60)), **VALUES)
    answers = iter([False, False, False, True, True, True])
    events = list(run_inpaint(request, priors, lambda: next(answers)))
    assert isinstance(events[-1], Cancelled) and events[-1].at_step == 2
