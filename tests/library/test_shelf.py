"""What is on the shelf, and adding, removing, verifying and converting, as the command line does it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from studio.cli import main
from studio.engine.checksums import Checksums
from studio.errors import InvalidRequest, ModelError, UnknownName
from studio.library.shelf import Shelf, check_usable, parts_of
from studio.settings import Settings
from tests.engine import tiny
from tests.engine.prior import save_prior
from tests.library.conftest import lora


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The user's other folder: a model "meadow" and a LoRA "ink"."""
    folder = tmp_path_factory.mktemp("elsewhere")
    tiny.save_sd(folder / "meadow")
    (folder / "Lora").mkdir()
    (folder / "Lora" / "ink.safetensors").write_bytes(lora())
    return folder


@pytest.fixture
def shelf(tmp_path: Path, elsewhere: Path) -> Shelf:
    return Shelf(Settings(data_dir=tmp_path / "data", model_folders=(elsewhere,)))


def test_everything_is_listed_with_its_kind_and_the_shipped_vqgan_is_there(shelf: Shelf) -> None:
    (shelf.own).mkdir(parents=True)
    (shelf.own / "broken.safetensors").write_bytes(b"x")
    found = {(item.kind, item.id): item for item in shelf.items()}
    assert found["model", "meadow"].base == "sd1" and not found["model", "meadow"].is_own
    assert found["lora", "ink"].base_title == "SD 1.x"
    assert "empty or cut off" in found["unusable", "broken"].problem
    assert any(kind == "vqgan" and name.startswith("tessera") for kind, name in found)


def test_a_model_is_added_by_copy_or_link_and_removed_again(shelf: Shelf, elsewhere: Path) -> None:
    copied = shelf.add(elsewhere / "meadow")
    assert copied.is_own and copied.path == shelf.own / "meadow" and copied.base == "sd1"
    linked = shelf.add(elsewhere / "Lora" / "ink.safetensors", link=True)
    assert linked.path.is_symlink() and linked.kind == "lora"
    with pytest.raises(ModelError, match='already a "meadow"'):
        shelf.add(elsewhere / "meadow")
    for item in (copied, linked):
        shelf.remove(item)
    assert not list(shelf.own.iterdir())
    assert (elsewhere / "Lora" / "ink.safetensors").is_file()  # what a link points to stays


def test_what_lies_in_the_users_other_folders_is_not_removed(shelf: Shelf, elsewhere: Path) -> None:
    with pytest.raises(ModelError, match="does not lie in the studio's own folder"):
        shelf.remove(shelf.find("meadow"))
    shelf.own.mkdir(parents=True)
    (shelf.own / "linked").symlink_to(elsewhere / "Lora", target_is_directory=True)
    (item,) = [item for item in shelf.items() if item.is_own]
    shelf.remove(item)
    assert (elsewhere / "Lora" / "ink.safetensors").is_file() and not (shelf.own / "linked").exists()


def test_removing_one_of_a_folder_leaves_the_others(shelf: Shelf) -> None:
    (shelf.own / "pack").mkdir(parents=True)
    for name in ("a", "b"):
        (shelf.own / "pack" / f"{name}.safetensors").write_bytes(lora())
    shelf.remove(shelf.find("a", "lora"))
    assert [path.name for path in (shelf.own / "pack").iterdir()] == ["b.safetensors"]
    shelf.remove(shelf.find("b", "lora"))
    assert not (shelf.own / "pack").exists()


def test_what_is_no_model_is_not_added(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "page.safetensors").write_bytes(b"<html></html>")
    with pytest.raises(ModelError, match="web page"):
        shelf.add(tmp_path / "page.safetensors")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError):
        shelf.add(tmp_path / "empty")
    with pytest.raises(InvalidRequest, match="nothing at"):
        shelf.add(tmp_path / "absent")
    assert not shelf.own.exists() or not list(shelf.own.iterdir())


def test_a_folder_of_loras_can_be_added_whole(shelf: Shelf, elsewhere: Path) -> None:
    check_usable(elsewhere / "Lora")
    assert shelf.add(elsewhere / "Lora").kind == "lora"


def test_finding_suggests_the_nearest(shelf: Shelf) -> None:
    assert shelf.find("MEADOW").id == "meadow"
    with pytest.raises(UnknownName, match='Did you mean "meadow"'):
        shelf.find("medow")
    with pytest.raises(UnknownName, match="no lora"):
        shelf.find("meadow", "lora")


def test_where_a_model_came_from_does_not_change_its_checksum(elsewhere: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(elsewhere / "meadow", tmp_path / "copy"))
    (copy / "source.json").write_text("{}")
    sums = Checksums(tmp_path / "kept.json")
    assert sums.of(copy) == sums.of(elsewhere / "meadow")


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = main(["models", *words])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_what_goes_with_a_model_is_said_and_a_part_alone_stays(
    shelf: Shelf, capsys: pytest.CaptureFixture[str], own_data_dir: Path
) -> None:
    shelf = Shelf(Settings(data_dir=own_data_dir))
    tiny.save_ldm(shelf.own / "moss")
    save_prior(shelf.own / "moss")
    items = shelf.items()
    whole = shelf.find("moss", "model")
    assert [(part.kind, part.id) for part in parts_of(whole, items)] == [("model", "moss-tokens"), ("vqgan", "moss")]
    for kind, name in (("model", "moss-tokens"), ("vqgan", "moss")):
        with pytest.raises(ModelError, match=f'"{name}" is a part of "moss"'):
            shelf.remove(shelf.find(name, kind))
    status, _, error = run(capsys, "remove", "moss")
    assert status == 2 and '"moss" with "moss-tokens" would be deleted' in error
    assert run(capsys, "remove", "moss", "--yes")[0] == 0
    assert not [item for item in shelf.items() if item.is_own]


def test_the_command_line_adds_lists_informs_and_removes(
    capsys: pytest.CaptureFixture[str], elsewhere: Path, own_data_dir: Path
) -> None:
    assert run(capsys, "add", str(elsewhere / "Lora" / "ink.safetensors"))[0] == 0
    _, out, _ = run(capsys, "list")
    assert "ink" in out and "SD 1.x" in out
    _, out, _ = run(capsys, "list", "--json")
    assert "ink" in [item["id"] for item in json.loads(out)["items"]]
    _, out, _ = run(capsys, "info", "ink")
    assert len(json.loads(out)["checksum"]) == 64 and json.loads(out)["kind"] == "lora"
    status, _, error = run(capsys, "remove", "ink")
    assert status == 2 and "--yes" in error
    assert run(capsys, "remove", "ink", "--yes")[0] == 0
    assert not list((own_data_dir / "models").iterdir())


def test_verify_finds_a_changed_file_and_says_when_there_is_nothing_to_compare(
    capsys: pytest.CaptureFixture[str], elsewhere: Path, own_data_dir: Path
) -> None:
    run(capsys, "add", str(elsewhere / "Lora" / "ink.safetensors"))
    status, _, error = run(capsys, "verify", "ink")
    assert status == 1 and "came without checksums" in error
    folder = own_data_dir / "models" / "sums"
    folder.mkdir()
    (folder / "x.safetensors").write_bytes(lora())
    (folder / "SHA256SUMS").write_text(f"{'0' * 64}  x.safetensors\n")
    status, out, _ = run(capsys, "verify", "x")
    assert status == 1 and "changed or missing: x.safetensors" in out


ESRGAN = {"conv_first.weight": torch.zeros(4, 3, 3, 3), "body.0.rdb1.conv1.weight": torch.zeros(1)}


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ({"params_ema": ESRGAN}, "upscaler"),
        ({"string_to_param": {"*": torch.zeros(2, 768)}, "name": "neg", "step": 5}, "embedding"),
    ],
)
def test_upscalers_and_embeddings_kept_as_pickles_are_converted(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, content: object, kind: str
) -> None:
    torch.save(content, tmp_path / "old.pt")
    status, out, error = run(capsys, "convert", str(tmp_path / "old.pt"), "--to", "new")
    assert status == 0 and kind in out, error
    _, out, _ = run(capsys, "info", "new")
    assert json.loads(out)["kind"] == kind


def test_an_addon_is_no_longer_an_unusable_model_for_the_doctor(tmp_path: Path) -> None:
    save_file({"emb_params": torch.zeros(1, 768)}, tmp_path / "neg.safetensors")
    items = Shelf(Settings(data_dir=tmp_path / "data", model_folders=(tmp_path,))).items()
    assert [item.kind for item in items if item.path.parent == tmp_path] == ["embedding"]
