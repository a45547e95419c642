"""Models are found and described without torch; what cannot be used says why."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from studio.engine.catalog import scan
from studio.errors import InvalidRequest, ModelError, UnknownName

TORCH_FREE = (
    "catalog",
    "recognise",
    "checkpoint",
    "checkpoint_keys",
    "schedulers",
    "preview_codec",
    "checksums",
    "families",
)


@pytest.mark.parametrize("module", TORCH_FREE)
def test_listing_models_loads_no_torch_and_no_gradio(module: str) -> None:
    code = f"import sys, studio.engine.{module}; sys.exit(bool({{'torch', 'diffusers', 'gradio'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_scan_without_torch_reads_real_folders(model_folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from studio.engine.catalog import scan;"
        "print(*[card.id for card in scan([Path(sys.argv[1])]).models]); assert 'torch' not in sys.modules"
    )
    found = subprocess.run([sys.executable, "-c", code, str(model_folder)], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["lcm", "ldm", "sd1", "sd2", "sdxl"]


def test_cards_describe_each_kind(model_folder: Path) -> None:
    cards = {card.id: card for card in scan([model_folder]).models}
    ldm, lcm, sd2 = cards["ldm"], cards["lcm"], cards["sd2"]
    assert (ldm.family, ldm.width, ldm.grid, ldm.schedule.zero_snr) == ("ldm", 64, 32, True)
    assert ldm.schedule.prediction_type == sd2.schedule.prediction_type == "v_prediction"
    assert lcm.schedule.is_distilled and lcm.presets[1].scheduler == "lcm" and lcm.presets[1].steps <= 8
    assert [preset.id for preset in ldm.presets] == ["draft", "standard", "fine"]
    assert all(w % ldm.grid == h % ldm.grid == 0 for w, h in ldm.sizes) and ldm.sizes[0] == (64, 64)
    assert all(
        preset.scheduler in [c.id for c in card.schedulers] for card in cards.values() for preset in card.presets
    )


def _copy(model_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(model_folder / "ldm", tmp_path / "copy"))


def test_the_makers_words_are_read(model_folder: Path, tmp_path: Path) -> None:
    copy = _copy(model_folder, tmp_path)
    (copy / "studio.toml").write_text(
        'name = "Tessera"\nstyles = ["3d style"]\nexamples = ["a red apple"]\nlicence = "CC0"\n'
        '[presets.draft]\nsteps = 6\nscheduler = "unipc"\nguidance_scale = 3.5\n'
        '[presets.fine]\nsteps = 60\nscheduler = "dpmpp_2m_karras"\nguidance_scale = 3.5\n'
    )
    (card,) = scan([tmp_path]).models
    assert (card.name, card.styles, card.examples, card.licence) == ("Tessera", ("3d style",), ("a red apple",), "CC0")
    assert (card.preset("draft").steps, card.preset("draft").scheduler) == (6, "unipc")
    assert card.preset("fine").scheduler == "dpmpp_2m"  # Karras does not fit zero terminal SNR


@pytest.mark.parametrize("text", ["name = ", "colour = 1", 'styles = "3d"', "[presets.draft]\nsteps = 0"])
def test_words_that_cannot_be_read_are_a_problem_of_that_model_only(
    model_folder: Path, tmp_path: Path, text: str
) -> None:
    (_copy(model_folder, tmp_path) / "studio.toml").write_text(text)
    (bad,) = scan([tmp_path]).unusable
    assert "studio.toml" in bad.reason


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"_class_name": ["custom", "Pipeline"]}, "its own code"),
        ({"_class_name": "CogVideoXPipeline"}, "is a CogVideoXPipeline model"),
        ({"unet": ["my_module", "MyUNet"]}, "names 'MyUNet' as its unet; UNet2DConditionModel is needed"),
        ({"unet": None}, "names None as its unet"),
    ],
)
def test_folders_that_name_other_code_are_refused(
    model_folder: Path, tmp_path: Path, change: dict[str, object], said: str
) -> None:
    index = _copy(model_folder, tmp_path) / "model_index.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), **change}))
    (bad,) = scan([tmp_path]).unusable
    assert said in bad.reason and bad.id == "copy"


@pytest.mark.parametrize("part", ["unet", "vqvae", "bert"])
def test_a_part_without_weights_or_with_a_pickle_is_named(model_folder: Path, tmp_path: Path, part: str) -> None:
    copy = _copy(model_folder, tmp_path)
    (weights,) = (copy / part).glob("*.safetensors")
    weights.rename(weights.with_name("pytorch_model.bin"))
    (bad,) = scan([tmp_path]).unusable
    assert "pickle" in bad.reason and part in bad.reason
    (copy / part / "pytorch_model.bin").unlink()
    assert "has no weights" in scan([tmp_path]).unusable[0].reason


def test_a_missing_shard_and_a_shard_outside_the_folder_are_refused(model_folder: Path, tmp_path: Path) -> None:
    unet = _copy(model_folder, tmp_path) / "unet"
    index = unet / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "x-00001-of-00002.safetensors"}}))
    assert "lacks 1 of 1 weight files" in scan([tmp_path]).unusable[0].reason
    index.write_text(json.dumps({"weight_map": {"a": "../../secret.safetensors"}}))
    assert "outside its folder" in scan([tmp_path]).unusable[0].reason


def test_finding_by_name(model_folder: Path, tmp_path: Path) -> None:
    found = scan([model_folder])
    assert found.find("").id == "lcm" and found.find("sdxl").architecture == "sdxl"
    with pytest.raises(UnknownName, match='Did you mean "sdxl"'):
        found.find("sdx")
    with pytest.raises(ModelError, match="no model yet"):
        scan([tmp_path / "none"]).find("")
    (tmp_path / "bad.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match="empty"):
        scan([tmp_path]).find("bad")


def test_two_models_of_one_name_get_two_ids(model_folder: Path, tmp_path: Path) -> None:
    for place in ("one", "two"):
        shutil.copytree(model_folder / "ldm", tmp_path / place / "ldm")
    found = scan([tmp_path / "one", tmp_path / "two", tmp_path / "one"])
    assert [card.id for card in found.models] == ["ldm", "ldm 2"]


def test_a_size_off_the_grid_says_the_nearest(model_folder: Path) -> None:
    card = scan([model_folder]).find("ldm")
    card.check_size(64, 96)
    with pytest.raises(InvalidRequest, match="multiple of 32 between 64 and 2048 for ldm, not 200"):
        card.check_size(200, 64)
