"""The model that ships: whole, small enough, in every way of installing, and what the stock classes load and draw."""

from __future__ import annotations

import hashlib
import subprocess
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import LDMTextToImagePipeline, UVit2DModel, VQModel

from studio.engine.catalog import scan
from studio.engine.engine import Engine
from studio.requests import TextToImage
from studio.settings import ROOT, Settings
from tests.engine.run import arrays, finished

FOLDER = ROOT / "checkpoints" / "tessera-pictograms"


def test_its_sums_hold_and_name_every_file() -> None:
    listed = dict(line.split(maxsplit=1)[::-1] for line in (FOLDER / "SHA256SUMS").read_text().splitlines())
    found = {it.relative_to(FOLDER).as_posix(): it for it in FOLDER.rglob("*") if it.is_file()}
    assert listed.keys() == found.keys() - {"SHA256SUMS"}
    for name, checksum in listed.items():
        assert hashlib.sha256(found[name].read_bytes()).hexdigest() == checksum, name


def test_it_takes_at_most_80_mb() -> None:
    assert sum(it.stat().st_size for it in FOLDER.rglob("*") if it.is_file()) <= 80e6


def test_pip_installs_every_file_of_it_and_of_the_assets_that_the_studio_reads() -> None:
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["data-files"]
    tracked = subprocess.run(
        ["git", "ls-files", "checkpoints", "assets"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    read = [it for it in tracked if not it.startswith(("assets/docs/", "assets/screenshots/"))]
    assert len(read) > 20
    for path in read:
        place = f"share/tessera-studio/{Path(path).parent.as_posix()}"
        assert any(fnmatch(path, shape) for shape in told.get(place, ())), f"pip install leaves {path} out"


def test_the_stock_classes_load_it_and_the_stock_pipeline_draws_the_engine_s_picture(tmp_path: Path) -> None:
    card = scan([ROOT / "checkpoints"]).find("tessera-pictograms")
    assert isinstance(VQModel.from_pretrained(FOLDER / "vqvae"), VQModel)
    assert isinstance(UVit2DModel.from_pretrained(FOLDER / "transformer"), UVit2DModel)
    pipeline = LDMTextToImagePipeline.from_pretrained(FOLDER, torch_dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    expected = pipeline(
        ["a red apple"],
        num_inference_steps=3,
        guidance_scale=4.0,
        height=card.height // 2,  # the stock pipeline takes the autoencoder's factor for 8, and this one's is 16
        width=card.width // 2,
        generator=torch.Generator().manual_seed(1),
    ).images
    request = TextToImage(
        prompt="a red apple", model=card.id, steps=3, seed=1, guidance_scale=4.0, scheduler="ddim",
        width=card.width, height=card.height,
    )  # fmt: skip
    ours = finished(Engine(Settings(data_dir=tmp_path, device="cpu", dtype="float32")), request)
    np.testing.assert_array_equal(arrays(ours.images), arrays(expected))


@pytest.mark.parametrize("part", ["unet", "transformer"])
def test_its_weights_are_in_half_precision(part: str) -> None:
    from safetensors import safe_open

    with safe_open(FOLDER / part / "diffusion_pytorch_model.safetensors", "pt") as weights:
        kinds = {weights.get_slice(name).get_dtype() for name in weights.keys()}  # noqa: SIM118
    assert kinds == {"F16"}
