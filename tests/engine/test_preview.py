"""Previews: fitted to the model's own decoder, small, and encoded without torch."""

from __future__ import annotations

import shutil
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from studio.engine.catalog import scan
from studio.engine.engine import Engine
from studio.engine.preview import SHIPPED_NAME, PreviewMap, draw_scene, fit, preview_map, save
from studio.engine.preview_codec import MAX_BYTES, encode_preview
from studio.engine.store import ModelStore
from studio.settings import Settings
from tests.engine.run import loaded


class LinearDecoder:
    """An autoencoder that is linear: average over 8 x 8 pixels, then a fixed 3 x 3 mix of colours to 4 channels."""

    factor = 8
    device = torch.device("cpu")
    mix = torch.tensor([[1.0, 0.2, 0.1], [0.1, 1.0, 0.3], [0.2, 0.1, 1.0], [0.5, 0.5, 0.5]])

    def encode(self, image_pm1: torch.Tensor) -> torch.Tensor:
        return torch.einsum("dc,bchw->bdhw", self.mix, F.avg_pool2d(image_pm1, 8))

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        colours = torch.einsum("cd,bdhw->bchw", torch.linalg.pinv(self.mix), latents)
        return F.interpolate(colours, scale_factor=8)


def test_a_linear_decoder_is_fitted_exactly() -> None:
    found = fit(LinearDecoder())
    assert found.r2 > 0.999 and found.patch == 1
    scene = draw_scene(100, 128)
    model = LinearDecoder()
    from studio.engine.images import to_tensor

    latents = model.encode(to_tensor(scene))
    shown = np.asarray(found(latents), dtype=float)
    true = np.asarray(scene.resize((16, 16), Image.Resampling.BOX), dtype=float)
    assert np.abs(shown - true).max() < 4


def test_cells_of_sixteen_pixels_become_four_by_four() -> None:
    weight = torch.zeros(48, 8, 3, 3)
    weight[:, 0, 1, 1] = 1
    picture = PreviewMap(weight, torch.zeros(48), 4, 1.0)(torch.rand(3, 8, 16, 16))
    assert picture.size == (3 * 64, 64) and picture.mode == "RGB"


@pytest.mark.parametrize("model_id", ["ldm", "sd1"])
def test_the_fit_of_a_loaded_model_is_kept_and_read_again(
    engine: Engine, tmp_path: Path, model_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = loaded(engine, model_id).model
    first = preview_map(model, "c" * 64, tmp_path)
    monkeypatch.setattr("studio.engine.preview.fit", lambda model: pytest.fail("fitted again"))
    again = preview_map(model, "c" * 64, tmp_path)
    assert torch.equal(first.weight, again.weight) and first.r2 == pytest.approx(again.r2, abs=1e-6)
    assert 0 < first.r2 <= 1


def test_a_maker_ships_the_map_with_the_model_and_the_checksum_stays(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = shutil.copytree(model_folder / "sd1", tmp_path / "models" / "sd1")
    (copy / SHIPPED_NAME).unlink()
    settings = Settings(data_dir=tmp_path, model_folders=(copy.parent,), device="cpu", dtype="float32")
    store, card = ModelStore(settings), scan([copy.parent]).find("sd1")
    before = store.checksums.of(copy)
    r2 = store.ship_preview(card)
    assert store.checksums.of(copy) == before
    monkeypatch.setattr("studio.engine.preview.fit", lambda model: pytest.fail("fitted again"))
    fresh = Engine(settings.model_copy(update={"data_dir": tmp_path / "other"}))
    assert loaded(fresh, "sd1").preview.r2 == pytest.approx(r2, abs=1e-6)


def test_a_map_shipped_with_its_model_is_used_unless_it_is_of_another_decoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model: Any = LinearDecoder()
    model.card = SimpleNamespace(id="linear", path=tmp_path / "linear")
    shipped = PreviewMap(torch.zeros(3, 4, 1, 1), torch.ones(3), 1, 0.5)
    save(shipped, "a" * 64, model.card.path / SHIPPED_NAME)
    assert preview_map(model, "a" * 64, tmp_path).r2 == 0.5
    assert preview_map(model, "b" * 64, tmp_path).r2 > 0.999


def test_a_damaged_kept_map_is_fitted_again_and_a_full_disk_costs_only_the_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model: Any = LinearDecoder()
    model.card = SimpleNamespace(id="linear", path=tmp_path / "linear")
    (tmp_path / f"{'d' * 32}-1.safetensors").write_bytes(b"garbage")
    assert preview_map(model, "d" * 64, tmp_path).r2 > 0.999
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert preview_map(model, "e" * 64, blocked / "folder").r2 > 0.999


@pytest.mark.parametrize("size", [(16, 16), (64, 64), (256, 64), (512, 512), (2048, 512)])
@pytest.mark.parametrize("content", ["noise", "flat", "scene"])
def test_an_encoded_preview_is_a_jpeg_of_at_most_ten_kilobytes(size: tuple[int, int], content: str) -> None:
    pictures = {
        "noise": Image.effect_noise(size, 120).convert("RGB"),
        "flat": Image.new("RGB", size, "red"),
        "scene": draw_scene(3, max(size)).resize(size),
    }
    data = encode_preview(pictures[content])
    assert 0 < len(data) <= MAX_BYTES
    with Image.open(BytesIO(data)) as decoded:
        assert decoded.format == "JPEG"
        assert decoded.width * size[1] == pytest.approx(decoded.height * size[0], rel=0.05)


def test_scenes_are_the_same_every_time() -> None:
    assert draw_scene(5, 64).tobytes() == draw_scene(5, 64).tobytes() != draw_scene(6, 64).tobytes()
