"""Upscaling and latent walks, on tiny models."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file

from studio.engine.engine import Engine
from studio.engine.upscalers import Upscaler
from studio.errors import InvalidRequest, UnknownName
from studio.events import Cancelled, Finished, Loading, Step
from studio.handlers import handlers
from studio.pictures import PictureStore
from studio.requests import Upscale, Walk
from tests.engine import tiny
from tests.engine.run import events_of, events_until, finished, settings_for, small


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> PictureStore:
    return PictureStore(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def engine(pictures: PictureStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    folder = tmp_path_factory.mktemp("models")
    for name, save in (("ldm", tiny.save_ldm), ("sd1", tiny.save_sd)):
        save(folder / name)
        tiny.ship_preview(folder / name)
    data = tmp_path_factory.mktemp("data")
    settings = settings_for(data, folder)
    yield Engine(settings, read_picture=pictures.get, handlers=handlers(settings))


def gradient(width: int, height: int) -> Image.Image:
    y, x = np.mgrid[:height, :width]
    pixels = np.stack([x * 255 // width, y * 255 // height, (x + y) % 256], -1).astype(np.uint8)
    return Image.fromarray(pixels)


def test_plain_upscaling_is_lanczos_and_keeps_transparency(engine: Engine, pictures: PictureStore) -> None:
    source = gradient(40, 24)
    larger = finished(engine, Upscale(source=pictures.put(source), scale=2))
    expected = source.resize((80, 48), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(np.asarray(larger.images[0]), np.asarray(expected))
    clear = source.copy()
    clear.putalpha(Image.new("L", source.size, 90))
    assert np.asarray(finished(engine, Upscale(source=pictures.put(clear), scale=4)).images[0])[..., 3].mean() == 90


@pytest.mark.parametrize("size", [(72, 40), (20, 30), (64, 64)])
def test_refining_gives_the_scaled_size_and_the_same_picture_twice(
    engine: Engine, pictures: PictureStore, size: tuple[int, int]
) -> None:
    request = Upscale(source=pictures.put(gradient(*size)), scale=2, method="refine", model="ldm", steps=4,
                      scheduler="ddim", strength=0.5, seed=1)  # fmt: skip
    said = events_of(engine, request)
    first = said[-1]
    assert isinstance(first, Finished)
    assert first.images[0].size == (2 * size[0], 2 * size[1])
    done = [event for event in said if isinstance(event, Step)]
    assert [event.index for event in done] == list(range(1, done[-1].total + 1))
    assert done[0].preview is not None
    np.testing.assert_array_equal(np.asarray(first.images[0]), np.asarray(finished(engine, request).images[0]))


def test_all_tiles_are_refined_with_the_words_that_are_told(engine: Engine, pictures: PictureStore) -> None:
    asked: dict[str, Any] = {"source": pictures.put(gradient(72, 40)), "method": "refine", "model": "ldm", "steps": 2,
                             "scheduler": "ddim", "strength": 0.5, "seed": 1}  # fmt: skip
    ending = finished(engine, Upscale(prompt="{red|green|blue|grey} apple", **asked))
    drawn = ending.facts["pictures"][0]["drawn"]["prompt"]
    assert drawn in {f"{word} apple" for word in ("red", "green", "blue", "grey")}
    again = finished(engine, Upscale(prompt=drawn, **asked))
    np.testing.assert_array_equal(np.asarray(ending.images[0]), np.asarray(again.images[0]))
    assert "pictures" not in again.facts


def test_stopping_between_tiles_ends_the_run(engine: Engine, pictures: PictureStore) -> None:
    request = Upscale(source=pictures.put(gradient(100, 100)), scale=2, method="refine", model="ldm", steps=4,
                      scheduler="ddim", strength=0.5)  # fmt: skip
    ending = events_until(engine, request, 3)[-1]
    assert ending == Cancelled(at_step=3)


def test_what_cannot_be_upscaled_is_said(engine: Engine, pictures: PictureStore) -> None:
    with pytest.raises(InvalidRequest, match="64 megapixels"):
        events_of(engine, Upscale(source=pictures.put(Image.new("RGB", (3000, 3000))), scale=4))
    with pytest.raises(UnknownName, match="4x-sharp"):
        events_of(engine, Upscale(source=pictures.put(gradient(16, 16)), upscaler="4x-sharp"))


@pytest.fixture
def network(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Path]]:
    """An upscaler "3x-dots" that repeats pixels three times, as spandrel would load it; and the files loaded."""
    folder = engine.settings.data_dir / "models"
    folder.mkdir(exist_ok=True)
    path, loaded = folder / "3x-dots.safetensors", list[Path]()
    save_file({"model.0.weight": torch.zeros(8, 3), "model.1.sub.0.RDB1.conv1.0.weight": torch.zeros(4)}, path)

    def load(path: Path, device: torch.device) -> Upscaler:
        loaded.append(path)
        return Upscaler("3x-dots", 3, lambda x: F.interpolate(x, scale_factor=3), 1, device)

    monkeypatch.setattr("studio.enhance.networks.load_upscaler", load)
    yield loaded
    path.unlink()


def test_a_network_enlarges_tile_by_tile_and_stays_loaded(
    engine: Engine, pictures: PictureStore, network: list[Path]
) -> None:
    source = gradient(300, 40)
    request = Upscale(source=pictures.put(source), scale=2, upscaler="3x-dots")
    said = events_of(engine, request)
    steps = [(event.index, event.total) for event in said if isinstance(event, Step)]
    assert isinstance(said[0], Loading) and "3x-dots" in said[0].what and steps == [(1, 2), (2, 2)]
    ending = said[-1]
    assert isinstance(ending, Finished) and ending.facts == {"upscaler": "3x-dots", "upscaler_scale": 3}
    expected = source.resize((900, 120), Image.Resampling.NEAREST).resize((600, 80), Image.Resampling.LANCZOS)
    difference = np.abs(np.asarray(ending.images[0], int) - np.asarray(expected, int))
    assert difference.max() <= 1, "blending rounds"
    again = events_of(engine, request)
    assert not isinstance(again[0], Loading) and len(network) == 1
    os.utime(network[0], (1, 1))
    events_of(engine, request)
    assert len(network) == 2, "another file under that name is loaded"


def test_a_network_is_stopped_within_a_tile(engine: Engine, pictures: PictureStore, network: list[Path]) -> None:
    request = Upscale(source=pictures.put(gradient(600, 40)), scale=2, upscaler="3x-dots", method="refine", model="ldm")
    said = events_until(engine, request, 1)
    assert said[-1] == Cancelled(at_step=1) and sum(isinstance(event, Step) for event in said) == 1


@pytest.mark.parametrize("model", ["ldm", "sd1"])
def test_a_walk_begins_and_ends_with_the_pictures_of_its_ends(engine: Engine, model: str) -> None:
    own: dict[str, Any] = {"model": model, "width": 64, "height": 64, "steps": 3}
    request = Walk(prompt="a red apple", seed=3, to_prompt="a blue boat", to_seed=4, frames=4, format="webp", **own)
    said = events_of(engine, request)
    ending = said[-1]
    assert isinstance(ending, Finished) and ending.extras["frames"] == 4
    frames = imageio.imread(Path(ending.extras["file"]), index=...)
    assert len(frames) == 4
    assert [event.index for event in said if isinstance(event, Step)] == list(range(1, 13))
    ends = [finished(engine, small(prompt=prompt, seed=seed, model=model)).images[0]
            for prompt, seed in (("a red apple", 3), ("a blue boat", 4))]  # fmt: skip
    for frame, own_end, other in ((frames[0], *ends), (frames[3], *reversed(ends))):
        assert 2 * distance(frame, own_end) < distance(frame, other), "the film is lossy, its ends are known again"


def distance(frame: np.ndarray, picture: Image.Image) -> float:
    return float(np.abs(frame[..., :3].astype(int) - np.asarray(picture, int)).mean())


def test_a_walk_can_be_stopped(engine: Engine) -> None:
    request = Walk(prompt="a", to_seed=9, frames=5, width=64, height=64, steps=3, model="ldm")
    assert isinstance(events_until(engine, request, 4)[-1], Cancelled)
