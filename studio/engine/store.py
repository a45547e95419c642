"""Loaded models by id: each once, for all tabs; the least recently used go when memory runs short.

Loading is a generator of Loading events. A model that cannot be loaded leaves the others as they are.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from typing import Any

from studio.engine import offload
from studio.engine.addons import scan_addons
from studio.engine.catalog import ModelCard
from studio.engine.checksums import Checksums
from studio.engine.compiled import Compiled, keep_code_in
from studio.engine.device import DeviceChoice, Placement, choose_device
from studio.engine.families import loader_of
from studio.engine.memory import is_out_of_memory, release
from studio.engine.precision import Precisions, measure
from studio.engine.preview import SHIPPED_NAME, PreviewMap, fit, preview_map, save
from studio.engine.tiny_decoder import TinyPreview, best_preview
from studio.errors import OutOfMemory
from studio.events import Loading
from studio.settings import Settings

logger = logging.getLogger(__name__)

_OFFLOADING = ("stable_diffusion", "pipeline")  # families around a stock pipeline, which can move its parts


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model ready to run: the loop's Denoiser, its checksum and its preview map.

    `sharp` is a tiny decoder for live previews, where one of the user's fits. `vae` is the name and the checksum of
    the autoencoder that stands in the place of the model's own, if one does.
    """

    card: ModelCard
    model: Any
    checksum: str
    preview: PreviewMap
    placement: Placement
    sharp: TinyPreview | None = None
    vae: dict[str, str] = field(default_factory=dict)


class ModelStore:
    """Models in memory, within a budget.

    Args:
        settings: `memory_gb` is the budget (0: half of the device's memory); `cache_dir` keeps what was computed.
        device: Where models go; None: chosen from the settings.
    """

    def __init__(self, settings: Settings, device: DeviceChoice | None = None) -> None:
        self.device = device or choose_device(settings)
        self.budget_bytes = int(settings.memory_gb * 1e9) or self.device.total_bytes() // 2
        self.checksums = Checksums(settings.cache_dir / "checksums.json")
        self._precisions = Precisions(settings.cache_dir / "precision.json")
        self._preview_folder = settings.cache_dir / "previews"
        self._folders = settings.checkpoint_folders
        self._offload, self._quantization = settings.offload, settings.quantization
        self._compiles = settings.compile_models and settings.joined_jobs == 1
        if self._compiles:
            keep_code_in(settings.cache_dir / "compiled")
        self._loaded: OrderedDict[tuple[str, str], Loaded] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, card: ModelCard) -> Generator[Loading, None, Loaded]:
        """Yield what is being loaded, if anything has to be; return the model.

        Raises:
            ModelError: The model is damaged or of another kind.
            OutOfMemory: It does not fit, even alone.
        """
        key = (card.id, str(card.path))
        kept = self._loaded.get(key)
        if kept is not None and self._is_current(kept):
            self._loaded.move_to_end(key)
            return kept
        yield Loading(card.name)
        with self._lock:
            kept = self._loaded.get(key)  # another thread may have loaded it meanwhile
            if kept is None or not self._is_current(kept):
                self._loaded.pop(key, None)
                kept = None
                kept = yield from self._load(card)
                self._loaded[key] = kept
            self._loaded.move_to_end(key)
        return kept

    def ship_preview(self, card: ModelCard) -> float:
        """Fit the preview map of the folder of `card`, write it there, and return its R^2: done once, by its maker.

        Raises:
            ModelError, OutOfMemory: The model cannot be loaded.
            OSError: The folder cannot be written.
        """
        loading = self.get(card)
        while True:
            try:
                next(loading)
            except StopIteration as stop:
                fitted = fit(stop.value.model)
                save(fitted, self._decoder_checksum(card), card.path / SHIPPED_NAME)
                return fitted.r2

    def peek(self, card: ModelCard) -> Loaded | None:
        """Return the model of `card` if it is loaded."""
        return self._loaded.get((card.id, str(card.path)))

    def forget(self, model_id: str) -> None:
        """Free the model called `model_id`, if it is loaded (its files may be about to change)."""
        for key in [key for key in self._loaded if key[0] == model_id]:
            del self._loaded[key]
        release()

    def forget_others(self, card: ModelCard) -> None:
        """Free every model but the one of `card`."""
        for key in [key for key in self._loaded if key != (card.id, str(card.path))]:
            del self._loaded[key]
        release()

    def forget_all(self) -> None:
        """Free every model."""
        self._loaded.clear()
        release()

    @property
    def used_bytes(self) -> int:
        """Bytes that the weights in memory take."""
        return sum(loaded.model.nbytes for loaded in self._loaded.values())

    def _is_current(self, loaded: Loaded) -> bool:
        return self.checksums.of(loaded.card.path) == loaded.checksum

    def _load(self, card: ModelCard) -> Generator[Loading, None, Loaded]:
        checksum = self.checksums.of(card.path)
        placement = self.device.placement("float32")
        self._make_room(card, placement)
        try:
            if not self.device.dtype and card.family != "pipeline":
                placement = self.device.placement((yield from self._measured_dtype(card, checksum)))
            placement = replace(placement, quantization=self._quantization)
            model, placement = yield from self._on_the_ladder(card, placement)
            if self._compiles and card.family == "stable_diffusion" and not placement.offload:
                model.compiled = Compiled(model.unet)
            yield Loading(f"{card.name}: preview", 0.95)
            preview, sharp = self._previews(card, getattr(model, "first_stage", model))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            self._loaded.clear()
            release(error)
            raise OutOfMemory(
                f"{card.name} needs about {card.bytes / 1e9:.1f} GB and does not fit into memory.",
                "Close other programs, or use a smaller model.",
            ) from error
        return Loaded(card, model, checksum, preview, placement, sharp)

    def _on_the_ladder(self, card: ModelCard, placement: Placement) -> Generator[Loading, None, tuple[Any, Placement]]:
        """Load `card` whole where it fits, else with the quickest offload that does; further down when it does not."""
        rungs: tuple[str, ...] = (offload.WHOLE,)
        if placement.torch_device.type != "cpu" and card.family in _OFFLOADING:
            need = offload.need_of(card, placement.torch_dtype.itemsize)
            wanted = self._offload if self._offload != "auto" else offload.choose_rung(need, self.device.free_bytes())
            rungs = offload.rungs_from("" if wanted == "none" else wanted)
        for rung in rungs:
            placed = replace(placement, offload=rung)
            try:
                if rung:
                    yield Loading(f"{card.name}: {offload.TITLES[rung]}")
                return (yield from loader_of(card.family)(card, placed)), placed
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or rung == rungs[-1]:
                    raise
                logger.info("%s does not fit with offload %r: going on with less", card.id, rung)
                release(error)
        raise AssertionError("the last rung returns or raises")

    def _previews(self, card: ModelCard, first_stage: Any) -> tuple[PreviewMap, TinyPreview | None]:
        """Return the previews of a model's autoencoder; one that is not known here shows nothing."""
        if first_stage is None:
            return PreviewMap.of_nothing(), None
        decoder = self._decoder_checksum(card)
        linear = preview_map(first_stage, decoder, self._preview_folder)
        tiny = scan_addons(self._folders, "tiny_vae")
        kept_at = self._preview_folder / "decoders.json"
        return linear, best_preview(first_stage, decoder, tiny, checksums=self.checksums, kept_at=kept_at)

    def _decoder_checksum(self, card: ModelCard) -> str:
        parts = [part for part in (card.path / "vqvae", card.path / "vae") if part.is_dir()]
        return self.checksums.of(parts[0] if parts else card.path)

    def _measured_dtype(self, card: ModelCard, checksum: str) -> Generator[Loading, None, str]:
        key = checksum if card.family != "masked_tokens" else f"tokens {checksum}"  # beside a U-Net in one folder
        measured = self._precisions.known(key)
        if measured is None:
            exact = yield from loader_of(card.family)(card, self.device.placement("float32"))
            yield Loading(f"{card.name}: measuring which precision is faster here")
            rounded = yield from loader_of(card.family)(card, self.device.placement("bfloat16"))
            measured = measure(exact, rounded)
            logger.info("%s: bfloat16 is x%.2f, off by %.4f", card.id, measured.gain, measured.error)
            self._precisions.remember(key, measured)
        return measured.dtype

    def _make_room(self, card: ModelCard, placement: Placement) -> None:
        need = card.bytes
        while self._loaded and self.used_bytes + need > self.budget_bytes:
            key, _ = self._loaded.popitem(last=False)
            logger.info("freed %s to make room for %s", key[0], card.id)
            release()
