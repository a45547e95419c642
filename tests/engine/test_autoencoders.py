"""Another autoencoder in a model's place: bit for bit the stock pipeline with `vae=`, and gone when not asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from PIL import Image
from safetensors.torch import save_file

from studio.engine.engine import Engine
from studio.errors import ModelError, UnknownName
from studio.handlers import handlers
from studio.pictures import PictureStore
from studio.requests import Upscale
from studio.settings import Settings
from tests.engine import tiny
from tests.engine.original import vae_weights
from tests.engine.run import arrays, events_of, finish, loaded, settings_for, small
from tests.engine.stock import STOCK, Stock


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny "sd1" and "sdxl"; a VAE as "sharp" (folder), "named" and "original" (files), and some that do not fit."""
    folder = tiny.save_pair(tmp_path_factory.mktemp("models"))
    vaes = folder / "VAE"
    torch.manual_seed(9)
    vae = AutoencoderKL.from_config(AutoencoderKL.load_config(folder / "sd1" / "vae"))
    vae.save_pretrained(vaes / "sharp")
    save_file({key: value.contiguous() for key, value in vae.state_dict().items()}, vaes / "named.safetensors")
    original = {key: value.contiguous() for key, value in vae_weights(vae).items()}
    save_file(original, vaes / "original.safetensors")
    save_file(original, vaes / "for-xl.safetensors", metadata={"modelspec.architecture": "stable-diffusion-xl-v1-base"})
    save_file({k: v for k, v in original.items() if "mid" not in k}, vaes / "broken.safetensors")
    vae.register_to_config(scaling_factor=0.5)
    vae.save_pretrained(vaes / "other-scale")
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> PictureStore:
    return PictureStore(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def engine(folder: Path, pictures: PictureStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    data = tmp_path_factory.mktemp("data")
    settings = settings_for(data, folder)
    yield Engine(settings, read_picture=pictures.get, handlers=handlers(settings))


@pytest.mark.parametrize("model", ["sd1", "sdxl"])
def test_another_autoencoder_gives_the_stock_pipelines_pixels_with_it(engine: Engine, folder: Path, model: str) -> None:
    stock: Any = Stock(folder / model, STOCK[model])
    own = stock(small(model=model))
    stock.pipeline.vae = AutoencoderKL.from_pretrained(folder / "VAE" / "sharp")
    mine = finish(engine, model=model, vae="sharp")
    np.testing.assert_array_equal(arrays(mine.images), stock(small(model=model)))
    assert mine.facts["vae"]["name"] == "sharp" and len(mine.facts["vae"]["checksum"]) == 64
    after = finish(engine, model=model)
    np.testing.assert_array_equal(arrays(after.images), own)
    assert "vae" not in after.facts and not np.array_equal(own, arrays(mine.images))


def test_a_single_file_is_its_folder_under_other_names(engine: Engine) -> None:
    by_name = {
        name: arrays(finish(engine, model="sd1", vae=name).images) for name in ("sharp", "named", "original", "sharp")
    }
    for name in ("named", "original"):
        np.testing.assert_array_equal(by_name[name], by_name["sharp"])
    model = loaded(engine, "sd1").model
    assert len(model.autoencoders.all) == 2  # one chosen stays, whatever came before


def test_it_encodes_too(engine: Engine, pictures: PictureStore) -> None:
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
    asked: dict[str, Any] = {"source": pictures.put(photo), "method": "refine", "model": "sd1", "steps": 4, "seed": 1}
    by_vae = {vae: events_of(engine, Upscale(vae=vae, **asked))[-1] for vae in ("", "sharp")}
    assert by_vae["sharp"].facts["vae"]["name"] == "sharp"  # type: ignore[union-attr]
    assert by_vae[""].images[0].tobytes() != by_vae["sharp"].images[0].tobytes()  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("vae", "error", "message"),
    [
        ("shrap", UnknownName, 'no VAE "shrap".*"sharp"'),
        ("for-xl", ModelError, '"for-xl" does not fit sd1: it was made for SDXL models'),
        ("other-scale", ModelError, "its scaling_factor is 0.5 instead of 0.18215"),
        ("broken", ModelError, '"broken" does not fit sd1.*is missing'),
    ],
)
def test_what_does_not_fit_is_explained_and_the_next_job_works(
    engine: Engine, vae: str, error: Any, message: str
) -> None:
    before = finish(engine, model="sd1")
    with pytest.raises(error, match=message):
        finish(engine, model="sd1", vae=vae)
    np.testing.assert_array_equal(arrays(finish(engine, model="sd1").images), arrays(before.images))


def test_models_with_an_autoencoder_of_their_own_say_so(folder: Path, tmp_path: Path) -> None:
    tiny.save_ldm(tmp_path / "ldm")
    tiny.ship_preview(tmp_path / "ldm")
    settings = Settings(data_dir=tmp_path / "d", model_folders=(tmp_path, folder), device="cpu", dtype="float32")
    with pytest.raises(ModelError, match="ldm has only its own autoencoder"):
        finish(Engine(settings), model="ldm", scheduler="ddim", vae="sharp")
