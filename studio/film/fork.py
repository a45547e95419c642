"""What can be done with a run that has been made: fork it at a step, save a frame of it, make a film of it, keep it.

A run is named by its recipe: while its trajectory is kept it is taken up from there at once, and when it is gone it
is run again, which gives the same one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterator
from typing import Any

import numpy as np
import torch
from PIL import Image

from studio.codebook.animation import save_animation
from studio.engine.denoise import LoopOptions
from studio.engine.engine import Engine, ShouldStop, facts_of, text_to_image
from studio.engine.images import to_pictures
from studio.engine.replay import Hold, Replay
from studio.engine.store import Loaded
from studio.engine.trajectories import Trajectory
from studio.errors import InvalidRequest
from studio.events import Cancelled, Decoding, Event, Finished
from studio.inpaint.masks import read_mask, require_painted
from studio.requests import Fork, KeepFilm, Request, TextToImage, Timelapse, parse

_DEEPEST = 16  # forks of forks
_LINGER = 8  # times the last frame of a film is shown


def run_fork(engine: Engine, request: Fork, should_stop: ShouldStop) -> Iterator[Event]:
    """Go on from step `request.step` of the run `request.parent` with the settings of `request`.

    With nothing changed the picture is the parent's, bit for bit. With `request.frame` the picture as predicted at
    that step is decoded instead.
    """
    parent = _parent_of(request)
    _check_fits(request, parent)
    loaded = yield from engine.load(request.model, request.vae)
    taken = yield from _trajectory(engine, parent, should_stop)
    if taken is None:
        yield Cancelled(at_step=0)
        return
    if not request.step < len(taken) + request.frame:
        raise InvalidRequest(
            f"The run has {len(taken)} steps, so it cannot be forked after step {request.step}.", field="step"
        )
    _check_model(engine, loaded, parent)
    if request.frame:
        yield from _frame(engine, request, loaded, taken)
        return
    step = _begin_of(request, parent)
    seed = request.seed if request.seed != parent.seed else None
    replay = Replay(
        taken.until(step),
        {**reseeds_of(parent, before=step), **({step: seed} if seed is not None else {})},
        renoise=seed is not None,
        hold=_hold(engine, request, taken),
    )
    root = _root_of(parent) if step else request
    result = yield from engine.sample(
        loaded, request, request.width, request.height, should_stop=should_stop,
        options=LoopOptions(replay=replay), noise_of=root,
    )  # fmt: skip
    if result is not None:
        yield result.finished(facts={**result.facts, "forked_at": request.step})


def run_timelapse(engine: Engine, request: Timelapse, should_stop: ShouldStop) -> Iterator[Event]:
    """Write the run's predicted pictures, decoded at full size, as a film; Finished.extras["file"] is its path."""
    parent = parse(request.parent)
    loaded = yield from engine.load(getattr(parent, "model", ""), getattr(parent, "vae", ""))
    taken = yield from _trajectory(engine, parent, should_stop)
    yield Decoding()
    frames: list[Image.Image] = []
    for clean in taken.clean if taken else ():
        if should_stop():
            break
        frames += _decode(loaded, clean)
    if taken is None or len(frames) < len(taken):
        yield Cancelled(at_step=len(frames))
        return
    digest = hashlib.sha256(f"{request.model_dump_json()} {loaded.checksum}".encode()).hexdigest()[:32]
    path = engine.settings.cache_dir / "timelapses" / f"{digest}.{request.format}"
    save_animation([*frames, *[frames[-1]] * _LINGER], path, fps=request.fps)
    yield Finished((), (), 0.0, facts=facts_of(loaded), extras={"file": str(path)})


def run_keep_film(engine: Engine, request: KeepFilm, should_stop: ShouldStop) -> Iterator[Event]:
    """Write the run's trajectory to a file, so that forking it needs no second run, ever."""
    parent = parse(request.parent)
    loaded = yield from engine.load(getattr(parent, "model", ""), getattr(parent, "vae", ""))
    taken = yield from _trajectory(engine, parent, should_stop)
    if taken is None:
        yield Cancelled(at_step=0)
        return
    path = engine.trajectories.save(parent, loaded.checksum, taken)
    note = f"The film is kept ({path.stat().st_size / 1e6:.1f} MB)."
    yield Finished((), (), 0.0, facts=facts_of(loaded), notes=(note,))


def reseeds_of(request: Request, *, before: int) -> dict[int, int]:
    """Return at which steps the generators of `request`'s run began anew, and with what seed, below step `before`."""
    found: dict[int, int] = {}
    while isinstance(request, Fork):
        parent = _parent_of(request)
        if request.seed != parent.seed and request.step <= before:
            found.setdefault(request.step, request.seed)
        before, request = min(before, request.step), parent
    return found


def _parent_of(request: Fork) -> TextToImage | Fork:
    parent = parse(request.parent)
    if not isinstance(parent, TextToImage | Fork):
        raise InvalidRequest(
            f'A run of the kind "{request.parent.get("kind")}" cannot be forked.', "Fork a picture made from a prompt."
        )
    return parent


def _begin_of(request: Fork, parent: TextToImage | Fork) -> int:
    """Return the step from which the model runs: before a fork began to differ, it cannot be forked unchanged."""
    if not isinstance(parent, Fork):
        return request.step
    own = {"kind", "parent", "step", "mask", "frame"}
    is_unchanged = request.mask is None and request.model_dump(exclude=own) == parent.model_dump(exclude=own)
    return max(request.step, parent.step) if is_unchanged else request.step


def _root_of(request: TextToImage | Fork) -> TextToImage | Fork:
    """Return the run whose noise all its forks began with; a fork at step 0 begins with its own."""
    for _ in range(_DEEPEST):
        if isinstance(request, TextToImage) or request.step == 0:
            return request
        request = _parent_of(request)
    raise InvalidRequest(f"This is a fork of more than {_DEEPEST} forks.", "Fork one of the earlier runs.")


def _check_fits(request: Fork, parent: TextToImage | Fork) -> None:
    """Raise InvalidRequest where a setting differs that decides what the kept steps mean."""
    for name in ("steps", "scheduler", "width", "height", "variation_seed", "variation_strength"):
        ours, theirs = getattr(request, name), getattr(parent, name)
        if ours != theirs and (name != "variation_seed" or request.variation_strength):
            raise InvalidRequest(
                f"A fork keeps the {name.replace('_', ' ')} of its run: {theirs}, not {ours}.",
                "Change it in a run of its own.",
                field=name,
            )
    if request.batch != 1 or parent.batch != 1:
        raise InvalidRequest("One picture is forked at a time.", "Set Pictures to 1.", field="batch")


def _check_model(engine: Engine, loaded: Loaded, parent: TextToImage | Fork) -> None:
    """Raise InvalidRequest when another model is asked to go on with latents it does not understand."""
    before, now = engine.scan().find(parent.model), loaded.card
    if before.id == now.id:
        return
    shape, scale = loaded.model.latent_shape(parent.width, parent.height), now.schedule.prediction_type
    known = engine.store.peek(before)
    fits = known is not None and known.model.latent_shape(parent.width, parent.height) == shape
    if fits and before.schedule.prediction_type == scale:
        return
    raise InvalidRequest(
        f"{now.name} cannot go on with a run of {before.name}: their latents differ.",
        f"Fork it with {before.name}.",
        field="model",
    )


def _hold(engine: Engine, request: Fork, taken: Trajectory) -> Hold | None:
    if request.mask is None:
        return None
    mask = read_mask(engine.read_picture(request.mask), (request.width, request.height)).mask  # (H, W)
    require_painted(mask)
    height, width = taken.latents[0].shape[2:]
    by_cell = mask.reshape(height, mask.shape[0] // height, width, mask.shape[1] // width)
    return Hold(taken.latents, torch.from_numpy(by_cell.max(axis=(1, 3)) > 0)[None, None].float())


def _frame(engine: Engine, request: Fork, loaded: Loaded, taken: Trajectory) -> Iterator[Event]:
    if not request.step >= 1:
        raise InvalidRequest("The first frame is that of step 1, not 0.", field="step")
    yield Decoding()
    images = _decode(loaded, taken.clean[request.step - 1])
    yield Finished(tuple(images), (request.seed,), 0.0, facts={**facts_of(loaded), "frame": request.step})


def _decode(loaded: Loaded, clean: np.ndarray) -> list[Image.Image]:
    return list(to_pictures(loaded.model.decode(torch.from_numpy(clean).to(loaded.model.device))))


def _trajectory(engine: Engine, request: Request, should_stop: ShouldStop) -> Generator[Event, None, Trajectory | None]:
    """Return the trajectory of `request`, run again if it is not kept any more; None when that was stopped."""
    run: Any = {TextToImage: text_to_image, Fork: run_fork}.get(type(request))
    if run is None:
        raise InvalidRequest(f'A run of the kind "{getattr(request, "kind", "?")}" has no film.')
    loaded = yield from engine.load(getattr(request, "model", ""), getattr(request, "vae", ""))
    for again in (False, True):
        if again:
            for event in run(engine, request, should_stop):
                if isinstance(event, Cancelled):
                    return None
                if not isinstance(event, Finished):
                    yield event
        kept = engine.trajectory(request, loaded)
        if kept is not None:
            return kept
    raise InvalidRequest("The steps of this run do not fit into memory.", "Fork a smaller picture.")
