"""What stays on the GPU: the quickest rung that fits; every rung gives the same picture; fewer bits as an option."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from studio.engine import offload
from studio.engine.catalog import scan
from studio.engine.device import DeviceChoice, Placement
from studio.engine.engine import Engine
from studio.engine.families import loader_of
from studio.engine.offload import LADDER, Need, choose_rung, need_of, rungs_from
from studio.engine.quantization import config_of
from studio.engine.store import ModelStore
from studio.errors import ModelError, OutOfMemory
from studio.events import Loading
from tests.engine.run import arrays, events_of, finish, loaded, small

GB = 10**9


@pytest.mark.parametrize(
    ("free", "rung"),
    [(30 * GB, ""), (16 * GB, ""), (15 * GB, "model"), (12 * GB, "model"), (8 * GB, "group"), (1 * GB, "sequential")],
)
def test_the_quickest_rung_that_fits_is_chosen(free: int, rung: str) -> None:
    need = Need({"unet": 8 * GB, "text_encoder": 3 * GB, "vae": 1 * GB}, activations=4 * GB)
    assert choose_rung(need, free) == rung


def test_each_rung_needs_less_and_those_below_follow() -> None:
    need = Need({"a": 100, "b": 40}, activations=10)
    sizes = [need.on_device(rung) for rung in LADDER]
    assert sizes == sorted(sizes, reverse=True) and sizes[0] == 150 and sizes[-1] == 10
    assert rungs_from("group") == ("group", "sequential") and rungs_from("") == LADDER


def test_the_need_is_read_from_headers_by_part_and_precision(model_folder: Path) -> None:
    card = scan([model_folder]).find("sd1")
    half, full = need_of(card, 2), need_of(card, 4)
    assert set(half.parts) == {"unet", "vae", "text_encoder"}
    assert all(full.parts[part] == 2 * half.parts[part] for part in half.parts)
    assert sum(full.parts.values()) == pytest.approx(card.bytes, rel=0.01)


def _load(card: Any, placement: Placement) -> Any:
    loading = loader_of(card.family)(card, placement)
    while True:
        try:
            next(loading)
        except StopIteration as stop:
            return stop.value


@pytest.mark.parametrize("rung", ["model", "group", "sequential"])
@pytest.mark.parametrize("model_id", ["sd1", "sdxl"])
def test_a_model_that_is_moved_in_piece_by_piece_gives_the_same_picture(
    engine: Engine, tmp_path: Path, model_id: str, rung: str
) -> None:
    """On the CPU "moving in" moves nothing, but the hooks are the ones that a GPU has."""
    settings = engine.settings.model_copy(update={"data_dir": tmp_path})
    own = Engine(settings, ModelStore(settings))
    kept = loaded(own, model_id)
    moved = replace(kept, model=_load(kept.card, Placement("cpu", "float32", offload=rung)))
    own.store._loaded[kept.card.id, str(kept.card.path)] = replace(
        moved, placement=replace(kept.placement, offload=rung)
    )
    mine = finish(own, model=model_id, prompt="a red cat")
    np.testing.assert_array_equal(
        arrays(mine.images), arrays(finish(engine, model=model_id, prompt="a red cat").images)
    )
    assert mine.facts["offload"] == rung and "does not fit into the GPU's memory" in " ".join(mine.notes)


class _SmallGpu(DeviceChoice):
    """A device that is the CPU but counts as a GPU with little memory."""

    def placement(self, dtype: str) -> Placement:
        return _AsGpu("cpu", self.dtype or dtype)

    def free_bytes(self) -> int:
        return 10**12


class _AsGpu(Placement):
    @property
    def torch_device(self) -> torch.device:
        return torch.device("meta")


def test_out_of_memory_while_loading_goes_down_the_ladder(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    def full(card: Any, placement: Placement) -> Iterator[Loading]:
        tried.append(placement.offload)
        yield Loading(card.name)
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("studio.engine.store.loader_of", lambda family: full)
    store = ModelStore(engine.settings, _SmallGpu("cpu", "float32"))
    with pytest.raises(OutOfMemory, match="does not fit into memory"):
        events_of(Engine(engine.settings, store), small(model="sd1"))
    assert tried == list(LADDER)


@pytest.mark.parametrize(("wanted", "first"), [("none", ""), ("group", "group")])
def test_the_setting_names_where_to_begin(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, wanted: str, first: str
) -> None:
    tried: list[str] = []

    def refuse(card: Any, placement: Placement) -> Iterator[Loading]:
        tried.append(placement.offload)
        yield Loading(card.name)
        raise ModelError("seen enough")

    monkeypatch.setattr("studio.engine.store.loader_of", lambda family: refuse)
    settings = engine.settings.model_copy(update={"offload": wanted})
    with pytest.raises(ModelError):
        events_of(Engine(settings, ModelStore(settings, _SmallGpu("cpu", "float32"))), small(model="sd1"))
    assert tried == [first]


def test_a_cpu_has_nothing_to_offload(engine: Engine) -> None:
    assert "offload" not in finish(engine, model="sd1").facts
    assert offload.note("x", "") == ()


def test_a_missing_quantization_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.engine.quantization.find_spec", lambda name: None)
    cpu = torch.device("cpu")
    assert config_of("none", device=cpu, dtype=torch.float32) is None
    with pytest.raises(ModelError, match=r"needs torchao, which is not installed.*pip install torchao"):
        config_of("int8", device=cpu, dtype=torch.float32)


def test_four_bits_are_for_nvidia_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.engine.quantization.find_spec", lambda name: True)
    with pytest.raises(ModelError, match="NVIDIA GPUs only"):
        config_of("nf4", device=torch.device("cpu"), dtype=torch.float32)


@pytest.mark.skipif(importlib.util.find_spec("torchao") is None, reason="pip install torchao to run this")
@pytest.mark.parametrize("model_id", ["sd1", "sdxl"])
def test_eight_bits_give_nearly_the_same_picture(engine: Engine, tmp_path: Path, model_id: str) -> None:
    settings = engine.settings.model_copy(update={"quantization": "int8", "data_dir": tmp_path})
    small_weights = finish(Engine(settings), model=model_id)
    exact = arrays(finish(engine, model=model_id).images).astype(float)
    assert small_weights.facts["quantization"] == "int8"
    assert 0 < np.abs(arrays(small_weights.images) - exact).mean() < 6


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="run on a machine with an NVIDIA GPU")
@pytest.mark.parametrize("rung", LADDER)
def test_every_rung_gives_the_same_picture_on_a_gpu(engine: Engine, tmp_path: Path, rung: str) -> None:
    settings = engine.settings.model_copy(
        update={"device": "cuda", "dtype": "bfloat16", "offload": rung or "none", "data_dir": tmp_path}
    )
    whole = settings.model_copy(update={"offload": "none", "data_dir": tmp_path / "whole"})
    mine, theirs = finish(Engine(settings), model="sdxl"), finish(Engine(whole), model="sdxl")
    np.testing.assert_array_equal(arrays(mine.images), arrays(theirs.images))
