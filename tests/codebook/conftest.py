"""A tiny VQGAN that has learnt a few pictures: small enough for every test, real enough to paint with."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from codebook.drawing import drawn
from studio.codebook.atlas import open_atlas
from studio.codebook.neighbours import CodeSpace
from studio.codebook.vqgan import Vqgan


@pytest.fixture(scope="session")
def model_folder() -> Path:
    """A folder of models with one in it: `tiny/vqvae`, learnt by make_tiny.py; tests must not write there."""
    return Path(__file__).parent / "models"


@pytest.fixture(scope="session")
def vqgan(model_folder: Path) -> Vqgan:
    """8 pixels a token, 64 codes, no attention; has learnt a few pictures."""
    return Vqgan.load(model_folder / "tiny")


@pytest.fixture(scope="session")
def space(vqgan: Vqgan, tmp_path_factory: pytest.TempPathFactory) -> CodeSpace:
    """The tiny VQGAN's codes with the colours of its atlas."""
    return open_atlas(vqgan, tmp_path_factory.mktemp("atlas")).space(vqgan.vectors)


@pytest.fixture
def picture() -> Image.Image:
    """A picture that is off the grid: 93 x 70 pixels, so 12 x 9 tokens."""
    return drawn(93, 70, seed=9)
