"""Downloads through the real client, from a hub that speaks its protocol on a line that breaks."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from studio.errors import InvalidRequest, ModelError
from studio.library.download import Progress, Stopped, download
from studio.library.downloads import Downloads
from studio.library.hub import choose, look
from studio.library.leftovers import unfinished
from studio.library.shelf import Shelf
from studio.library.sources import changed_since, read_source
from studio.settings import Settings
from tests.library.hub_server import COMMIT, FakeHub


def fetch(hub: FakeHub, folder: Path, repo: str, **options: object) -> Path:
    plan = look(repo, endpoint=hub.address)
    return download(plan, folder, endpoint=hub.address, pause_seconds=0, **options)  # type: ignore[arg-type]


def test_a_whole_model_arrives_without_what_the_studio_has_no_use_for(hub: FakeHub, settings: Settings) -> None:
    seen: list[Progress] = []
    folder = fetch(hub, settings.data_dir / "models", "owner/tiny_sd", report=seen.append)
    shelf = Shelf(settings)
    item = shelf.find("tiny_sd", "model")
    assert item.path == folder and item.base == "sd1" and item.is_own
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert "README.md" in names and "unet/diffusion_pytorch_model.safetensors" in names
    assert not [name for name in names if name.endswith((".bin", ".ckpt", ".part")) or "safety" in name]
    counted = [progress.bytes_done for progress in seen]
    assert counted == sorted(counted) and counted[-1] == seen[-1].bytes_total


def test_a_download_is_pinned_and_can_be_verified_later(hub: FakeHub, settings: Settings) -> None:
    folder = fetch(hub, settings.data_dir / "models", "owner/ink")
    source = read_source(folder / "ink.safetensors")
    assert source and (source.repo, source.revision, source.licence) == ("owner/ink", COMMIT, "cc0-1.0")
    assert changed_since(folder, source) == []
    (folder / "ink.safetensors").write_bytes(b"changed")
    (folder / "README.md").unlink()
    assert sorted(changed_since(folder, source)) == ["README.md", "ink.safetensors"]


def test_cut_connections_go_on_where_they_broke(hub: FakeHub, tmp_path: Path) -> None:
    hub.cuts = [2_000_000, 1_000_000, 0, 1_500_000]
    folder = fetch(hub, tmp_path, "owner/big")
    data = hub.repos["owner/big"].files["big.safetensors"]
    assert (folder / "big.safetensors").read_bytes() == data
    starts = [start for _, start in hub.asked]
    assert starts[0] == 0 and all(a <= b for a, b in itertools.pairwise(starts)) and starts[-1] > 3_500_000
    assert hub.sent <= len(data) + 4 * 2**19  # no more than a buffer is sent twice at each cut


def test_a_server_without_ranges_sends_it_all_again(hub: FakeHub, tmp_path: Path) -> None:
    hub.cuts, hub.ignores_ranges = [2_000_000], True
    folder = fetch(hub, tmp_path, "owner/big")
    assert (folder / "big.safetensors").read_bytes() == hub.repos["owner/big"].files["big.safetensors"]


def test_a_line_that_is_dead_gives_up_and_keeps_what_came(hub: FakeHub, tmp_path: Path) -> None:
    hub.cuts = [3_000_000, 0, 0, 0, 0, 0, 0, 0]
    with pytest.raises(ModelError, match=r"cannot be reached .*start the download again to go on"):
        fetch(hub, tmp_path, "owner/big")
    hub.cuts = []
    fetch(hub, tmp_path, "owner/big")
    assert hub.asked[-1][1] > 2_000_000


@pytest.mark.slow
def test_a_studio_killed_in_mid_download_goes_on_when_asked_again(hub: FakeHub, tmp_path: Path) -> None:
    hub.hold_after = 4_000_000
    command = [sys.executable, "-m", "studio.cli", "models", "download", "owner/big", "--data-dir", str(tmp_path)]
    environment = {**os.environ, "HF_ENDPOINT": hub.address, "HF_HUB_OFFLINE": "0"}
    first = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        assert hub.held.wait(120), "the download never began"
        _wait_for_bytes(tmp_path / "models", 3_000_000)
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
    assert not (tmp_path / "models" / "big").exists()
    assert not Shelf(Settings(data_dir=tmp_path)).items() or "big" not in _ids(tmp_path)
    hub.hold_after = 0
    hub.resume.set()
    again = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert again.returncode == 0, again.stderr
    assert hub.asked[-1][1] >= 3_000_000 and "big" in _ids(tmp_path)


def _ids(data_dir: Path) -> list[str]:
    return [item.id for item in Shelf(Settings(data_dir=data_dir)).items()]


def _wait_for_bytes(folder: Path, count: int) -> None:
    pause = threading.Event()
    while sum(path.stat().st_size for path in folder.rglob("*.part")) < count:
        pause.wait(0.02)


def test_a_stopped_download_keeps_what_came_and_goes_on_later(hub: FakeHub, tmp_path: Path) -> None:
    arrived: list[int] = []

    def report(progress: Progress) -> None:
        arrived.append(progress.bytes_done)

    with pytest.raises(Stopped):
        fetch(hub, tmp_path, "owner/big", report=report, should_stop=lambda: len(arrived) > 8)
    assert [path.name for path in tmp_path.iterdir()] == [".owner--big.download"]
    fetch(hub, tmp_path, "owner/big")
    assert hub.asked[-1][1] > 1_000_000


def test_leftovers_of_another_revision_are_not_mixed_in(hub: FakeHub, tmp_path: Path) -> None:
    plan = look("owner/big", endpoint=hub.address)
    part = tmp_path / ".owner--big.download"
    part.mkdir()
    (part / "plan.json").write_text('{"repo": "owner/big", "revision": "older"}')
    (part / "big.safetensors.part").write_bytes(b"x" * 1000)
    assert unfinished(tmp_path, plan) == part and not part.exists()


def test_wrong_bytes_are_found_by_their_checksum(hub: FakeHub, tmp_path: Path) -> None:
    hub.damage = True
    with pytest.raises(ModelError, match="arrived damaged"):
        fetch(hub, tmp_path, "owner/ink")
    hub.damage = False
    fetch(hub, tmp_path, "owner/ink")


def test_what_is_no_model_after_all_is_not_kept(hub: FakeHub, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not a Stable Diffusion checkpoint"):
        fetch(hub, tmp_path, "owner/nonsense")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("repo", "said"),
    [
        ("owner/absent", "has no model owner/absent, or it is private"),
        ("owner/gated", "is gated: its owner wants to know"),
        ("owner/pickles", "only pickles"),
    ],
)
def test_what_cannot_be_had_says_why(hub: FakeHub, tmp_path: Path, repo: str, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        fetch(hub, tmp_path, repo)


def test_a_revision_that_does_not_exist_says_so(hub: FakeHub) -> None:
    with pytest.raises(ModelError, match="no such revision"):
        look("owner/ink", revision="v9", endpoint=hub.address)


def test_one_of_several_files_must_be_named(hub: FakeHub, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"holds 2 models.*a\.safetensors, b\.safetensors"):
        look("owner/many", endpoint=hub.address)
    with pytest.raises(InvalidRequest, match=r'no file "c\.safetensors".*a\.safetensors'):
        look("owner/many", file="c.safetensors", endpoint=hub.address)
    plan = look("owner/many", file="b.safetensors", endpoint=hub.address)
    assert [file.name for file in plan.files] == ["b.safetensors"]


@pytest.mark.parametrize("repo", ["tiny", "a/b/c", "../etc/passwd", "owner/", "owner/na me"])
def test_what_is_not_owner_and_name_is_refused(repo: str) -> None:
    with pytest.raises(InvalidRequest, match="is not a repository"):
        look(repo)


def test_offline_and_unreachable_hubs_say_so(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match="cannot be reached"):
        look("owner/ink", endpoint="http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="set to stay offline"):
        look("owner/ink", endpoint=hub.address)


def test_a_full_disk_is_said_before_the_first_byte(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 1_000_000})()
    monkeypatch.setattr("studio.library.shelf.shutil.disk_usage", lambda path: usage)
    with pytest.raises(InvalidRequest, match=r"This needs 0\.0 GB; 0\.0 GB is free"):
        fetch(hub, tmp_path, "owner/big")
    assert not hub.asked


def test_a_name_that_is_taken_is_refused(hub: FakeHub, tmp_path: Path) -> None:
    fetch(hub, tmp_path, "owner/ink")
    with pytest.raises(ModelError, match='already a "ink"'):
        fetch(hub, tmp_path, "owner/ink")


FULL = ["model_index.json", "unet/config.json", "unet/w.safetensors", "vae/w.safetensors", "vae/config.json"]
HALF = ["unet/w.fp16.safetensors", "vae/w.fp16.safetensors"]
SHARDS = ["unet/w-00001-of-00002.safetensors", "unet/w-00002-of-00002.safetensors", "unet/w.safetensors.index.json"]


def test_half_precision_is_taken_where_every_part_has_it() -> None:
    parts = ["unet", "vae"]
    assert "unet/w.fp16.safetensors" in choose([*FULL, *HALF], parts=parts)
    assert "unet/w.safetensors" not in choose([*FULL, *HALF], parts=parts)
    assert "unet/w.safetensors" in choose([*FULL, *HALF], variant="", parts=parts)
    assert "unet/w.safetensors" in choose([*FULL, HALF[0]], parts=parts)  # the VAE has no half
    only_half = [name for name in [*FULL, *HALF] if not name.endswith("w.safetensors")]
    with pytest.raises(ModelError, match="comes only as fp16"):
        choose(only_half, variant="", parts=parts)


def test_shards_come_with_their_index_and_parts_of_others_stay() -> None:
    names = ["model_index.json", "unet/config.json", *SHARDS, "onnx/model.safetensors"]
    chosen = choose(names, parts=["unet"])
    assert set(SHARDS) <= set(chosen) and "onnx/model.safetensors" not in chosen


def test_an_ip_adapter_brings_its_image_encoder() -> None:
    names = ["models/ip-adapter_sd15.safetensors", "models/image_encoder/config.json",
             "models/image_encoder/model.safetensors", "models/image_encoder/pytorch_model.bin"]  # fmt: skip
    assert choose(names, file=names[0]) == names[:3]


def test_downloads_run_in_the_background_and_say_how_far_they_are(hub: FakeHub, tmp_path: Path) -> None:
    downloads = Downloads(tmp_path, endpoint=hub.address)
    hub.hold_after = 2_000_000
    first = downloads.start(look("owner/big", endpoint=hub.address))
    assert hub.held.wait(60)
    assert downloads.start(look("owner/big", endpoint=hub.address)).id == first.id  # it runs already
    (state,) = downloads.states()
    assert state.phase == "running" and state.bytes_total > 6_000_000
    downloads.stop(first.id)
    hub.resume.set()
    downloads.close()
    (state,) = downloads.states()
    assert state.phase == "stopped" and 0 < state.bytes_done < state.bytes_total


def test_a_download_that_fails_says_why(hub: FakeHub, tmp_path: Path) -> None:
    plan = look("owner/ink", endpoint=hub.address)
    (tmp_path / "ink").mkdir()
    downloads = Downloads(tmp_path, endpoint=hub.address)
    downloads.start(plan)
    downloads.close()
    (state,) = downloads.states()
    assert state.phase in ("failed", "stopped") and ("already" in state.message or state.phase == "stopped")
