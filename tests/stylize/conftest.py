"""A tiny VQGAN of random weights, pictures by hash, and a context around them."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path

import pytest
import torch
from diffusers import VQModel

from studio.codebook.vqgan import Vqgan
from studio.errors import ModelError
from studio.events import Loading
from studio.inpaint.context import Context
from studio.pictures import PictureStore
from tests.stylize.waves import waves


@pytest.fixture(scope="session")
def vqgan() -> Vqgan:
    """8 pixels a token, 32 codes, random weights."""
    torch.manual_seed(0)
    model = VQModel(
        block_out_channels=(8, 16, 16, 16),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        norm_num_groups=4,
        latent_channels=4,
        num_vq_embeddings=32,
        scaling_factor=1.0,
        mid_block_add_attention=False,
    )
    model.quantize.embedding.weight.data.normal_(std=0.5)
    return Vqgan(model, name="tiny")


@pytest.fixture
def store(tmp_path: Path) -> PictureStore:
    """Pictures by hash, in a folder of the test."""
    return PictureStore(tmp_path / "inputs")


class NoModels:
    """An engine in a studio without a diffusion model."""

    def load(self, model_id: str, vae: str = "") -> Generator[Loading, None, None]:
        yield Loading("a model")
        raise ModelError("There is no model here.")


@pytest.fixture
def context(vqgan: Vqgan, store: PictureStore, tmp_path: Path) -> Context:
    """The tiny VQGAN and no diffusion model."""
    return Context(NoModels(), store.get, lambda model: vqgan, cache_dir=tmp_path / "cache")  # type: ignore[arg-type]


@pytest.fixture
def picture_ref(store: PictureStore) -> Callable[..., str]:
    """Draw a picture and return its hash."""
    return lambda width, height, seed: store.put(waves(width, height, seed=seed))
