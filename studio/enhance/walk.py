"""Walks through a model's latent space: between two prompts, two seeds, or both, as a film.

Start noises are mixed on the great circle (slerp, Shoemake 1985), so that every frame begins with noise of the usual
length; `studio.enhance.between` has the prompts. Random words are drawn at each end with that end's own seed.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from studio.codebook.animation import save_animation
from studio.engine import memory
from studio.engine.adapters import put_on
from studio.engine.denoise import LoopOptions, Plan, Script, Variation, denoise
from studio.engine.engine import Engine, ShouldStop
from studio.engine.guidance import interval_of
from studio.engine.images import to_pictures
from studio.engine.result import facts_of, offload_note
from studio.engine.sample import speak
from studio.engine.script import read_prompts
from studio.engine.store import Loaded
from studio.enhance.between import loras_between, script_between
from studio.enhance.models import model_for_enhancing
from studio.events import Cancelled, Decoding, Event, Finished, Step
from studio.requests import LoraUse, Walk


@dataclass(frozen=True, slots=True)
class _End:
    """What one end of a walk asks of the model, and what is told of it."""

    script: Script
    loras: tuple[LoraUse, ...]
    facts: dict[str, Any]
    notes: tuple[str, ...]


def run_walk(engine: Engine, request: Walk, should_stop: ShouldStop) -> Iterator[Event]:
    """Make `request.frames` pictures from (prompt, seed) to (to_prompt, to_seed) and write them as a film.

    Finished.extras["file"] is its path. The first and the last frame are the pictures of the two ends made alone;
    a LoRA that the ends use differently goes evenly from one weight to the other. Finished.facts["ends"] has what
    was drawn and put on at each.
    """
    model_for_enhancing(engine, request.model).check_size(request.width, request.height)
    loaded = yield from engine.load(request.model, request.vae)
    memory.check_fits(loaded.model, request.width, request.height, 1, engine.store.device.free_bytes())
    began = time.perf_counter()
    frames: list[Image.Image] = []
    ends = _ends(engine, loaded, request)
    options, total = LoopOptions(guidance=interval_of(request)), request.frames * request.steps
    for number in range(request.frames):
        share = _eased(number / (request.frames - 1), request.ease)
        if ends[0].loras != ends[1].loras:
            _wear(engine, loaded.model, loras_between(ends[0].loras, ends[1].loras, share))
        plan = Plan(
            conditioning=(script_between(ends[0].script, ends[1].script, share),),
            shape=loaded.model.latent_shape(request.width, request.height),
            scheduler=request.scheduler,
            steps=request.steps,
            seeds=(request.seed,),
            variation=Variation((request.to_seed,), share) if share and request.to_seed != request.seed else None,
        )
        last = None
        for last in denoise(loaded.model, plan, options, should_stop=should_stop):
            preview = loaded.preview(last.clean) if last.is_last else None
            taken = number * request.steps + last.index * request.steps // last.total
            yield Step(taken, total, preview, time.perf_counter() - began)
        if last is None or not last.is_last or should_stop():
            yield Cancelled(at_step=number * request.steps + (last.index if last else 0))
            return
        frames += to_pictures(loaded.model.decode(last.latents))
    yield Decoding()
    facts = {**facts_of(loaded), "ends": [end.facts for end in ends]}
    path = _written(engine, request, frames, facts)
    notes = tuple(dict.fromkeys((*ends[0].notes, *ends[1].notes, *offload_note(loaded))))
    seconds = time.perf_counter() - began
    yield Finished((), (), seconds, facts=facts, notes=notes, extras={"file": str(path), "frames": len(frames)})


def _written(engine: Engine, request: Walk, frames: list[Image.Image], facts: dict[str, Any]) -> Any:
    made_with = json.dumps([facts["checksum"], facts["ends"]], sort_keys=True)
    digest = hashlib.sha256(f"{request.model_dump_json()} {made_with}".encode()).hexdigest()[:32]
    path = engine.settings.cache_dir / "timelapses" / f"{digest}.{request.format}"
    save_animation(frames, path, fps=request.fps, bounce=request.bounce)
    return path


def _ends(engine: Engine, loaded: Loaded, request: Walk) -> tuple[_End, _End]:
    """Return both ends; the second one's LoRAs are on."""
    other = {"prompt": request.to_prompt or request.prompt, "seed": request.to_seed}
    first, second = _end(engine, loaded, request), _end(engine, loaded, request.model_copy(update=other))
    if (compiled := getattr(loaded.model, "compiled", None)) is not None:
        compiled.is_on = False  # as the run before left it; a walk tells of no wait
    return first, second


def _end(engine: Engine, loaded: Loaded, request: Walk) -> _End:
    """Return the end at `request`'s own prompt and seed."""
    said, worn = speak(engine, loaded.model, request, (request.seed,))
    read = read_prompts(
        loaded.model,
        worn.prompts,
        steps=request.steps,
        guidance_scale=request.guidance_scale,
        size=(request.width, request.height),
    )
    loras = tuple(LoraUse(name=one["name"], weight=one["weight"]) for one in worn.facts.get("loras", ()))
    return _End(read.scripts[0], loras, {**worn.facts, **said[0].facts}, (*read.notes, *worn.notes))


def _wear(engine: Engine, model: Any, loras: Sequence[LoraUse]) -> None:
    folders, checksums = engine.settings.checkpoint_folders, engine.store.checksums
    put_on(model, [("", "")], loras, folders=folders, checksums=checksums)


def _eased(share: float, ease: bool) -> float:
    """Return a share that starts and ends slowly (smoothstep)."""
    return share * share * (3 - 2 * share) if ease else share
