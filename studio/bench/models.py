"""Models: how long loading takes beside stock diffusers, coming back after eviction, and switching LoRAs.

The model is the default one (load, swap); LoRAs are switched on a Stable Diffusion of random weights, small on a
CPU and of full SD 1.5 size on a GPU.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import diffusers
import torch
from safetensors.torch import save_file

from studio.bench.random_models import random_loaded
from studio.bench.ratio import latency, ratio, time_interleaved
from studio.engine.addons import scan_addons
from studio.engine.catalog import ModelCard, scan
from studio.engine.checkpoint import read_json
from studio.engine.store import ModelStore
from studio.settings import Settings

GOALS = {"load": 1.1, "switch": 0.2}
_RANK = 8


def run(settings: Settings, rounds: int) -> dict[str, Any]:
    """Measure everything; without a model only the LoRAs."""
    models = scan(settings.checkpoint_folders).models
    result: dict[str, Any] = {}
    if models:
        result |= _loading(settings, models[0], rounds)
    else:
        result["loading"] = "skipped: there is no model to load"
    on_gpu = torch.cuda.is_available()
    name, device, dtype = ("sd15", "cuda:0", "bfloat16") if on_gpu else ("small", "cpu", "float32")
    return result | switching(name, rounds, device=device, dtype=dtype)


def _loading(settings: Settings, card: ModelCard, rounds: int) -> dict[str, Any]:
    """A fresh store loading the model, against `from_pretrained` and itself; and getting it when it is in memory."""
    settings = settings.model_copy(update={"dtype": "float32" if not torch.cuda.is_available() else "bfloat16"})
    kept = ModelStore(settings)
    _load(kept, card)  # fits and keeps the preview map, which is done once per model

    def fresh() -> object:
        return _load(ModelStore(settings), card)

    arms: dict[str, Callable[[], object]] = {"engine": fresh, "again": fresh, "kept": lambda: _load(kept, card)}
    if card.path.is_dir():
        arms["stock"] = _stock(settings, card)
    seconds = time_interleaved(arms, rounds=rounds)
    result: dict[str, Any] = {
        "model": card.id,
        "megabytes": card.bytes / 1e6,
        "load_seconds": statistics.median(seconds["engine"]),
        "already_in_memory_ms": 1000 * statistics.median(seconds["kept"]),
        "load": latency(seconds["engine"]),
        "load / load (noise)": ratio(seconds["again"], seconds["engine"]).as_row(),
    }
    if "stock" in seconds:
        found = ratio(seconds["engine"], seconds["stock"])
        result["load engine / stock"] = found.as_row(goal=GOALS["load"], met=found.low <= GOALS["load"])
    return result


def switching(name: str, rounds: int, *, device: str, dtype: str) -> dict[str, Any]:
    """Two LoRAs in turn: switched while loaded, against loaded anew each time, as stock diffusers is often used."""
    ours, theirs = (random_loaded(name, device=device, dtype=dtype).model for _ in range(2))
    pipeline, rack = theirs.pipeline, ours.adapters.loras
    with tempfile.TemporaryDirectory(prefix="tessera-bench-") as place, torch.inference_mode():
        folder = Path(place)
        for seed, title in enumerate(("first", "second")):
            _random_lora(pipeline.unet, folder / f"{title}.safetensors", seed)
        cards = {addon.id: addon for addon in scan_addons([folder], "lora")}
        turn, other = count(), count()

        def switch() -> None:
            rack.use([(cards[("first", "second")[next(turn) % 2]], 0.8)])

        def reload() -> None:
            title = ("first", "second")[next(other) % 2]
            pipeline.unload_lora_weights()
            pipeline.load_lora_weights(place, weight_name=f"{title}.safetensors", adapter_name="stock")

        switch()
        switch()  # both are loaded now
        seconds = time_interleaved({"hot": switch, "again": switch, "cold": reload}, rounds=rounds)
    found = ratio(seconds["hot"], seconds["cold"])
    return {
        "lora_model": name,
        "switch_ms": 1000 * statistics.median(seconds["hot"]),
        "switch": latency(seconds["hot"]),
        "switch / switch (noise)": ratio(seconds["again"], seconds["hot"]).as_row(),
        "LoRA switched / loaded anew": found.as_row(goal=GOALS["switch"], met=found.low <= GOALS["switch"]),
    }


def _random_lora(unet: Any, path: Path, seed: int) -> None:
    dice = torch.Generator().manual_seed(seed)
    weights: dict[str, torch.Tensor] = {}
    for layer, module in unet.named_modules():
        if isinstance(module, torch.nn.Linear) and layer.rsplit(".", 1)[-1] in ("to_q", "to_k", "to_v"):
            weights[f"unet.{layer}.lora_A.weight"] = torch.randn(_RANK, module.in_features, generator=dice) / 100
            weights[f"unet.{layer}.lora_B.weight"] = torch.randn(module.out_features, _RANK, generator=dice) / 100
    save_file(weights, path)


def _stock(settings: Settings, card: ModelCard) -> Callable[[], object]:
    cls = getattr(diffusers, str(read_json(card.path / "model_index.json")["_class_name"]))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = getattr(torch, settings.dtype)
    return lambda: cls.from_pretrained(card.path, dtype=dtype, local_files_only=True, use_safetensors=True).to(device)


def _load(store: ModelStore, card: ModelCard) -> object:
    loading = store.get(card)
    while True:
        try:
            next(loading)
        except StopIteration as stop:
            return stop.value
