"""Tiny preview decoders: the one that agrees with the model's own decoder is found by trying, and remembered."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderTiny
from safetensors.torch import load_file, save_file

from studio.engine.addons import scan_addons
from studio.engine.checksums import Checksums
from studio.engine.engine import Engine
from studio.engine.tiny_decoder import TinyPreview, best_preview, load_tiny
from studio.errors import ModelError
from studio.events import Step
from tests.engine.run import events_of, loaded, small


@pytest.fixture
def tiny_folder(tmp_path: Path) -> Path:
    """A tiny autoencoder of random weights in a folder "taesd", and its decoder alone as TAESD's own file."""
    torch.manual_seed(0)
    model = AutoencoderTiny(encoder_block_out_channels=(8, 8, 8, 8), decoder_block_out_channels=(64, 64, 64, 64))
    model.save_pretrained(tmp_path / "taesd", safe_serialization=True)
    weights = load_file(tmp_path / "taesd" / "diffusion_pytorch_model.safetensors")
    own = {
        f"{int(key.split('.')[2]) + 1}.{key.split('.', 3)[3]}": value
        for key, value in weights.items()
        if key.startswith("decoder.")
    }
    save_file(own, tmp_path / "taesd_decoder.safetensors")
    return tmp_path


def test_a_folder_and_taesds_own_file_give_the_same_decoder(tiny_folder: Path) -> None:
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    of_folder = load_tiny(tiny_folder / "taesd").decode(latents).sample
    of_file = load_tiny(tiny_folder / "taesd_decoder.safetensors").decode(latents).sample
    torch.testing.assert_close(of_folder, of_file, rtol=0, atol=0)
    assert of_folder.shape == (1, 3, 64, 64)


def test_both_are_recognised_as_preview_decoders(tiny_folder: Path) -> None:
    assert [(addon.kind, addon.id) for addon in scan_addons([tiny_folder])] == [
        ("tiny_vae", "taesd"),
        ("tiny_vae", "taesd_decoder"),
    ]


def test_one_that_does_not_agree_is_not_used(engine: Engine, tiny_folder: Path) -> None:
    model, kept = loaded(engine, "sd1").model, tiny_folder / "kept.json"
    addons, sums = scan_addons([tiny_folder], "tiny_vae"), Checksums(tiny_folder / "sums.json")
    assert best_preview(model, "0" * 64, addons, checksums=sums, kept_at=kept) is None
    assert kept.is_file()


def test_the_best_one_is_taken_and_asked_only_once(
    engine: Engine, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, kept = loaded(engine, "sd1").model, tiny_folder / "kept.json"
    addons, sums = scan_addons([tiny_folder], "tiny_vae"), Checksums(tiny_folder / "sums.json")
    scores = {"taesd": 0.91, "taesd_decoder": 0.95}
    monkeypatch.setattr("studio.engine.tiny_decoder._agreement", lambda model, addon: scores[addon.id])
    first = best_preview(model, "1" * 64, addons, checksums=sums, kept_at=kept)
    assert first is not None and first.name == "taesd_decoder" and first.r2 == 0.95
    monkeypatch.setattr("studio.engine.tiny_decoder._agreement", lambda *a: pytest.fail("tried again"))
    assert best_preview(model, "1" * 64, addons, checksums=sums, kept_at=kept) is not None
    picture = first(torch.zeros(2, 4, 8, 8))
    assert picture.size == (128, 64) and 0 < first.seconds < first.period


def test_agreement_with_oneself_is_whole(engine: Engine, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = loaded(engine, "sd1").model
    (addon, _) = scan_addons([tiny_folder], "tiny_vae")

    class Same:
        config = type("Config", (), {"latent_channels": 4})()

        def to(self, device: torch.device) -> Same:
            return self

        def decode(self, latents: torch.Tensor) -> object:
            return type("Out", (), {"sample": model.decode(latents)})()

    monkeypatch.setattr("studio.engine.tiny_decoder.load_tiny", lambda path: Same())
    from studio.engine.tiny_decoder import _agreement

    assert _agreement(model, addon) == pytest.approx(1.0)


def test_previews_stay_within_their_share_of_the_time() -> None:
    preview = TinyPreview(None, "x", 1.0)
    preview.seconds = 0.5
    assert preview.period == pytest.approx(10.0)


def test_what_is_no_tiny_autoencoder_says_so(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors")
    with pytest.raises(ModelError, match="not a tiny autoencoder"):
        load_tiny(tmp_path / "a.safetensors")


def test_live_previews_are_the_tiny_decoders_and_films_stay_quick(
    engine: Engine, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("studio.engine.tiny_decoder._agreement", lambda model, addon: 0.9)
    folders = (*engine.settings.model_folders, tiny_folder)
    own = Engine(engine.settings.model_copy(update={"model_folders": folders, "data_dir": tiny_folder / "data"}))
    steps = [event for event in events_of(own, small(model="sd1")) if isinstance(event, Step)]
    assert steps[0].preview is not None and steps[0].preview.size == (64, 64)  # full size; the linear map gives 8 x 8
    assert loaded(own, "sd1").sharp is not None
