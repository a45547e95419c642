"""Tokens from the prior: whole pictures and other tokens at some cells, as maps to choose from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from codebook.drawing import drawn
from studio.codebook.neighbours import CodeSpace
from studio.codebook.operations import Write
from studio.codebook.share import share, unshare
from studio.codebook.vqgan import Vqgan
from studio.engine.engine import Engine
from studio.errors import InvalidRequest, ModelError
from studio.events import Cancelled, Event, Finished, Step
from studio.handlers import Codebooks, handlers
from studio.requests import DrawTokens, parse
from tests.engine import tiny
from tests.engine.prior import save_prior
from tests.engine.run import settings_for


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """The studio's own engine over two models: "model" has a prior, "plain" has none."""
    folder, data = tmp_path_factory.mktemp("models"), tmp_path_factory.mktemp("data")
    save_prior(tiny.save_ldm(folder / "model"))
    tiny.save_ldm(folder / "plain")
    for name in ("model", "plain"):
        tiny.ship_preview(folder / name)
    settings = settings_for(data, folder, memory_gb=4)
    return Engine(settings, handlers=handlers(settings, Codebooks(settings)))


@pytest.fixture(scope="module")
def vqgan(engine: Engine) -> Vqgan:
    return Vqgan.load(engine.settings.model_folders[0] / "model")


def asked(**values: Any) -> DrawTokens:
    request = parse({"kind": "draw_tokens", "model": "model", "steps": 3, "seed": 5, "batch": 2, **values})
    assert isinstance(request, DrawTokens)
    return request


def run(engine: Engine, request: DrawTokens) -> tuple[list[Event], Finished]:
    events = list(engine.run(request, lambda: False))
    assert isinstance(events[-1], Finished)
    return events, events[-1]


def test_a_random_draw_gives_maps_that_decode_to_the_pictures_shown(engine: Engine, vqgan: Vqgan) -> None:
    events, ending = run(engine, asked(prompt="a cat", width=96, height=64))
    codes, texts, pictures = (ending.extras[name] for name in ("codes", "tokens", "pictures"))
    assert codes.shape == (2, 4, 6) and pictures.shape == (2, 64, 96, 3) and len(texts) == 2
    for text, grid, pixels in zip(texts, codes, pictures, strict=True):
        tokens = unshare(text, checksum=vqgan.checksum)
        assert np.array_equal(tokens.codes, grid) and tokens.size == (96, 64)
        assert np.abs(np.asarray(vqgan.decode(tokens)).astype(int) - pixels).max() <= 1
    assert not np.array_equal(codes[0], codes[1]) and ending.seeds == (5, 6)
    assert ending.images == (), "nothing is recorded"
    assert [event.total for event in events if isinstance(event, Step)] == [3, 3, 3]


def test_only_the_chosen_cells_are_drawn_anew(engine: Engine, vqgan: Vqgan) -> None:
    start = vqgan.encode(drawn(93, 70, seed=9))  # 6 x 5 tokens, off the grid
    cells = ((1, 1), (1, 2), (2, 2), (4, 5))
    ending = run(engine, asked(tokens=share(start), cells=cells, batch=3, temperature=2.0))[1]
    chosen = np.zeros(start.shape, bool)
    chosen[tuple(zip(*cells, strict=True))] = True
    for text, grid in zip(ending.extras["tokens"], ending.extras["codes"], strict=True):
        assert np.array_equal(grid[~chosen], start.codes[~chosen])
        written = Write(cells=cells, codes=tuple(int(grid[cell]) for cell in cells))
        space = CodeSpace(vqgan.vectors, checksum=vqgan.checksum)
        assert np.array_equal(written.apply(start.codes, space), unshare(text).codes)
    assert ending.extras["pictures"].shape == (3, 70, 93, 3)
    assert len({grid.tobytes() for grid in ending.extras["codes"]}) > 1


def test_the_same_seed_draws_the_same_and_an_alternative_is_the_one_drawn_alone(engine: Engine) -> None:
    both, again = run(engine, asked())[1], run(engine, asked())[1]
    assert both.extras["tokens"] == again.extras["tokens"]
    assert run(engine, asked(seed=6, batch=1))[1].extras["tokens"] == both.extras["tokens"][1:]


def test_without_a_prompt_guidance_costs_nothing_and_changes_nothing(engine: Engine) -> None:
    assert (
        run(engine, asked(prompt=" ", guidance_scale=9))[1].extras["tokens"]
        == run(engine, asked(prompt="", guidance_scale=1))[1].extras["tokens"]
    )


def test_a_draw_stops_within_a_step(engine: Engine) -> None:
    seen: list[Event] = []
    for event in engine.run(asked(), lambda: sum(isinstance(e, Step) for e in seen) >= 1):
        seen.append(event)
    assert seen[-1] == Cancelled(at_step=1)


@pytest.mark.parametrize(
    ("values", "error", "said"),
    [
        ({"model": "plain"}, ModelError, "plain has no masked-token prior, so nothing can draw its tokens"),
        ({"model": "modle"}, InvalidRequest, '"model"'),
        ({"cells": ()}, InvalidRequest, "No tokens are selected"),
        ({"scheduler": "ddim"}, InvalidRequest, "Use maskgit"),
        ({"tokens": "tessera.nonsense"}, InvalidRequest, ""),
    ],
)
def test_what_cannot_be_drawn_says_why(
    engine: Engine, values: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        list(engine.run(asked(**values), lambda: False))


def test_cells_outside_the_map_and_maps_of_another_model_are_refused(
    engine: Engine, vqgan: Vqgan, tmp_path: Path
) -> None:
    start = vqgan.encode(Image.new("RGB", (64, 64), "red"))
    with pytest.raises(InvalidRequest, match="outside the grid of 4 rows and 4 columns"):
        list(engine.run(asked(tokens=share(start), cells=((1, 4),)), lambda: False))
    foreign = Vqgan.load(Path(__file__).parent / "models" / "tiny").encode(Image.new("RGB", (64, 64)))
    with pytest.raises(InvalidRequest, match="another model"):
        list(engine.run(asked(tokens=share(foreign), cells=((0, 0),)), lambda: False))


def test_bounds_are_held(engine: Engine) -> None:
    for values in ({"temperature": 5}, {"batch": 17}, {"steps": 0}, {"width": 4000}):
        with pytest.raises(InvalidRequest):
            asked(**values)
