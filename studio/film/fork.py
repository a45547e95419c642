"""What can be done with a run that has been made: fork it at a step, save a frame of it, make a film of it, keep it.

A run is named by its recipe: while its trajectory is kept it is taken up from there at once, and when it is gone it
is run again, which gives the same one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterator
from dataclasses import replace

import numpy as np
import torch
from PIL import Image

from studio.codebook.animation import save_animation
from studio.engine.engine import Engine, ShouldStop
from studio.engine.film import codebook_of, film_of
from studio.engine.images import to_pictures
from studio.engine.replay import Hold, Replay, TakeUp
from studio.engine.result import facts_of
from studio.engine.store import Loaded
from studio.engine.trajectories import Trajectory
from studio.errors import InvalidRequest
from studio.events import Cancelled, Decoding, Event, Finished
from studio.film.runs import Root, changed, root_of, run_root
from studio.inpaint.context import Context
from studio.inpaint.masks import read_mask, require_painted
from studio.requests import Fork, KeepFilm, Request, TextToImage, Timelapse, parse

_LINGER = 8  # times the last frame of a film is shown


def run_fork(engine: Engine, request: Fork, should_stop: ShouldStop, context: Context) -> Iterator[Event]:
    """Go on from step `request.step` of the run `request.parent` with the settings of `request`.

    With nothing changed the picture is the parent's, bit for bit. With `request.frame` the picture as predicted at
    that step is decoded instead.
    """
    parent, root = _parent_of(request), root_of(request)
    _check_fits(request, parent, root)
    loaded = yield from engine.load(request.model, request.vae)
    taken = yield from _trajectory(engine, parent, context, should_stop)
    if taken is None:
        yield Cancelled(at_step=0)
        return
    if not request.step < len(taken) + request.frame:
        raise InvalidRequest(
            f"The run has {len(taken)} steps, so it cannot be forked after step {request.step}.", field="step"
        )
    _check_model(engine, loaded, parent, root)
    if request.frame and not request.step >= 1:
        raise InvalidRequest("The first frame is that of step 1, not 0.", field="step")
    if request.frame and isinstance(root, TextToImage):
        yield from _frame(request, loaded, taken)
        return
    take_up = _frame_of(request, parent, taken) if request.frame else _take_up(engine, request, parent, taken)
    said = {"frame": request.step} if request.frame else {"forked_at": request.step}
    for event in run_root(engine, changed(root, request), context, should_stop, take_up):
        yield replace(event, facts={**event.facts, **said}) if isinstance(event, Finished) else event


def run_timelapse(engine: Engine, request: Timelapse, should_stop: ShouldStop, context: Context) -> Iterator[Event]:
    """Write the run's predicted pictures, decoded at full size, as a film; Finished.extras["file"] is its path.

    Of an inpainting that is the part worked on.
    """
    parent = parse(request.parent)
    loaded = yield from engine.load(getattr(parent, "model", ""), getattr(parent, "vae", ""))
    taken = yield from _trajectory(engine, parent, context, should_stop)
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


def run_keep_film(engine: Engine, request: KeepFilm, should_stop: ShouldStop, context: Context) -> Iterator[Event]:
    """Write the run's trajectory and its film to a file: looking at it needs no model, and forking it no second run."""
    parent = parse(request.parent)
    loaded = yield from engine.load(getattr(parent, "model", ""), getattr(parent, "vae", ""))
    taken = yield from _trajectory(engine, parent, context, should_stop)
    if taken is None:
        yield Cancelled(at_step=0)
        return
    film = film_of(taken, loaded.preview, codebook_of(loaded.model))
    path = engine.films.save(parent, loaded.checksum, taken, film)
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


def _take_up(engine: Engine, request: Fork, parent: Root | Fork, taken: Trajectory) -> TakeUp:
    """Return how `request` goes on with the run of its parent."""
    step = _begin_of(request, parent)
    reseeds = reseeds_of(parent, before=step)
    if is_new := request.seed != parent.seed:
        reseeds[step] = request.seed
    replay = Replay(taken.until(step), reseeds, renoise=is_new, hold=_hold(engine, request, taken))
    return TakeUp(replay, noise_of=_noise_of(parent) if step else request, known_as=request)


def _frame_of(request: Fork, parent: Root | Fork, taken: Trajectory) -> TakeUp:
    """Return the run of the parent up to the frame that `request` asks for: no step of the model's is left."""
    replay = Replay(taken, reseeds_of(parent, before=len(taken)))
    return TakeUp(replay, noise_of=_noise_of(parent), known_as=request, ends_at=request.step)


def _parent_of(request: Fork) -> Root | Fork:
    parent = parse(request.parent)
    return parent if isinstance(parent, Fork) else root_of(parent)


def _begin_of(request: Fork, parent: Root | Fork) -> int:
    """Return the step from which the model runs: before a fork began to differ, it cannot be forked unchanged."""
    if not isinstance(parent, Fork):
        return request.step
    own = {"kind", "parent", "step", "mask", "frame"}
    is_unchanged = request.mask is None and request.model_dump(exclude=own) == parent.model_dump(exclude=own)
    return max(request.step, parent.step) if is_unchanged else request.step


def _noise_of(request: Root | Fork) -> Root | Fork:
    """Return the run whose noise all its forks began with; a fork at step 0 begins with its own."""
    while isinstance(request, Fork) and request.step:
        request = _parent_of(request)
    return request


def _check_fits(request: Fork, parent: Root | Fork, root: Root) -> None:
    """Raise InvalidRequest where a setting differs that decides what the kept steps mean."""
    sizes = ("width", "height") if isinstance(root, TextToImage) else ()
    if request.mask is not None and not sizes:
        raise InvalidRequest("Only a fork of a picture from a prompt takes a mask.", "Leave it out.", field="mask")
    for name in ("steps", "scheduler", *sizes, "variation_seed", "variation_strength"):
        ours, theirs = getattr(request, name), getattr(parent, name)
        if ours != theirs and (name != "variation_seed" or request.variation_strength):
            raise InvalidRequest(
                f"A fork keeps the {name.replace('_', ' ')} of its run: {theirs}, not {ours}.",
                "Change it in a run of its own.",
                field=name,
            )
    if request.batch != 1 or parent.batch != 1:
        raise InvalidRequest("One picture is forked at a time.", "Set Pictures to 1.", field="batch")


def _check_model(engine: Engine, loaded: Loaded, parent: Root | Fork, root: Root) -> None:
    """Raise InvalidRequest when another model is asked to go on with latents it does not understand."""
    before, now = engine.scan().find(parent.model), loaded.card
    if before.id == now.id:
        return
    known, side = engine.store.peek(before), (512, 512)
    fits = known is not None and known.model.latent_shape(*side) == loaded.model.latent_shape(*side)
    if not isinstance(root, TextToImage):  # these work at the model's own size
        fits = fits and (before.width, before.height, before.grid) == (now.width, now.height, now.grid)
    if fits and before.schedule.prediction_type == now.schedule.prediction_type:
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


def _frame(request: Fork, loaded: Loaded, taken: Trajectory) -> Iterator[Event]:
    yield Decoding()
    images = _decode(loaded, taken.clean[request.step - 1])
    yield Finished(tuple(images), (request.seed,), 0.0, facts={**facts_of(loaded), "frame": request.step})


def _decode(loaded: Loaded, clean: np.ndarray) -> list[Image.Image]:
    return list(to_pictures(loaded.model.decode(torch.from_numpy(clean).to(loaded.model.device))))


def _trajectory(
    engine: Engine, request: Request, context: Context, should_stop: ShouldStop
) -> Generator[Event, None, Trajectory | None]:
    """Return the trajectory of `request`, run again if it is not kept any more; None when that was stopped."""
    root = root_of(request)
    loaded = yield from engine.load(getattr(request, "model", ""), getattr(request, "vae", ""))
    if loaded.card.family == "pipeline":
        raise InvalidRequest(f"{loaded.card.name} keeps no steps.", "Fork a picture of an SD model or of ours.")
    kept = engine.trajectory(request, loaded)
    if kept is not None:
        return kept
    if isinstance(request, Fork):
        again = run_fork(engine, request, should_stop, context)
    else:
        again = run_root(engine, root, context, should_stop)
    for event in again:
        if isinstance(event, Cancelled):
            return None
        if not isinstance(event, Finished):
            yield event
    kept = engine.trajectory(request, loaded)
    if kept is None:
        raise InvalidRequest("The steps of this run do not fit into memory.", "Fork a smaller picture.")
    return kept
