"""A tiny VQGAN that has learnt a few pictures: small enough for every test, real enough to paint with.

Torch is loaded by the `vqgan` fixture only: most of codebook exploration needs none, and its tests hold that.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from codebook.drawing import drawn
from studio.codebook.neighbours import CodeSpace
from studio.codebook.tokens import TokenMap

if TYPE_CHECKING:
    from studio.codebook.vqgan import Vqgan

CHECKSUM = "0123456789abcdef" * 4
CODES = 64


@pytest.fixture(scope="session")
def model_folder() -> Path:
    """A folder of models with one in it: `tiny/vqvae`, learnt by make_tiny.py; tests must not write there."""
    return Path(__file__).parent / "models"


@pytest.fixture(scope="session")
def vqgan(model_folder: Path) -> Vqgan:
    """8 pixels a token, 64 codes, no attention; has learnt a few pictures."""
    from studio.codebook.vqgan import Vqgan

    return Vqgan.load(model_folder / "tiny")


@pytest.fixture(scope="session")
def space() -> CodeSpace:
    """64 codes with drawn vectors, colours and textures, of a model that is nowhere."""
    rng = np.random.default_rng(5)
    lab = rng.uniform((5, -60, -60), (95, 60, 60), (CODES, 3)).astype(np.float32)
    vectors = rng.normal(size=(CODES, 4)).astype(np.float32)
    return CodeSpace(vectors, lab, rng.random(CODES).astype(np.float32), CHECKSUM)


@pytest.fixture
def tokens() -> TokenMap:
    """A 12 x 9 map of 93 x 70 pixels with codes from 0 to 63, of the same model as `space`."""
    codes = np.random.default_rng(7).integers(CODES, size=(9, 12))
    return TokenMap(codes.astype(np.int32), (93, 70), 8, CODES, CHECKSUM)


@pytest.fixture
def picture() -> Image.Image:
    """A picture that is off the grid: 93 x 70 pixels, so 12 x 9 tokens."""
    return drawn(93, 70, seed=9)
