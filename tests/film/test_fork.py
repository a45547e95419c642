"""Forks, frames, films: what is done with a run that was made."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import save_file

from studio.engine.engine import Engine
from studio.engine.trajectories import film_name
from studio.errors import InvalidRequest
from studio.events import Cancelled, Finished, Step
from studio.gallery.recipe import parents_of
from studio.pictures import PictureStore
from studio.requests import Fork, Inpaint, KeepFilm, Request, Stylize, Timelapse
from studio.sharing.own_inputs import picture_refs
from tests.engine.control_files import save_controlnet
from tests.engine.run import events_of, events_until, finished, small

SCHEDULERS = ["ddim", "euler", "euler_a", "dpmpp_2m", "dpmpp_sde", "unipc"]


def fork(parent: Request, step: int, **changes: Any) -> Fork:
    own = {name: value for name, value in parent.model_dump().items() if name not in ("kind", "parent", "step")}
    own = {
        name: value
        for name, value in own.items()
        if name in Fork.model_fields and name not in ("mask", "frame", "source")
    }
    return Fork.model_validate({**own, "parent": parent.model_dump(mode="json"), "step": step, **changes})


def same(first: Finished, second: Finished) -> bool:
    return np.array_equal(np.asarray(first.images[0]), np.asarray(second.images[0]))


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("model", ["ldm", "sd1"])
def test_a_fork_with_nothing_changed_is_the_identical_picture(engine: Engine, model: str, scheduler: str) -> None:
    parent = small(model=model, scheduler=scheduler, steps=6, seed=3)
    whole = finished(engine, parent)
    for step in (0, 1, 4):
        said = events_of(engine, fork(parent, step))
        assert same(said[-1], whole)  # type: ignore[arg-type]
        done = [event.index for event in said if isinstance(event, Step)]
        assert done[0] == step + 1, "the kept steps are not run again"


def test_a_run_whose_steps_are_not_kept_any_more_is_run_again(engine: Engine) -> None:
    parent = small(model="ldm", scheduler="euler_a", steps=5, seed=8)
    whole = finished(engine, parent)
    engine.trajectories.clear()
    said = events_of(engine, fork(parent, 3))
    assert same(said[-1], whole)  # type: ignore[arg-type]
    assert [event.index for event in said if isinstance(event, Step)] == [1, 2, 3, 4, 5, 4, 5]


@pytest.mark.parametrize("scheduler", ["ddim", "dpmpp_2m", "euler_a"])
def test_forks_of_forks_with_new_seeds_go_on_exactly(engine: Engine, scheduler: str) -> None:
    parent = small(model="sd1", scheduler=scheduler, steps=7, seed=1)
    first = fork(parent, 2, seed=100)
    second = fork(first, 4, prompt="a blue boat")
    assert not same(finished(engine, first), finished(engine, parent))
    whole = finished(engine, second)
    for step in (3, 5):
        assert same(finished(engine, fork(second, step)), whole)
    engine.trajectories.clear()
    assert same(finished(engine, fork(second, 5)), whole), "the same from nothing"


def test_a_new_seed_forks_a_run_without_chance_in_its_steps(engine: Engine) -> None:
    parent = small(model="ldm", scheduler="ddim", steps=6, seed=5)
    whole = finished(engine, parent)
    forked = finished(engine, fork(parent, 4, seed=6))
    strips = (np.asarray(one.extras["films"][0].frames) for one in (whole, forked))  # six frames side by side
    frames = [np.array_equal(a, b) for a, b in zip(*(np.split(strip, 6, axis=1) for strip in strips), strict=True)]
    assert frames == [True] * 4 + [False] * 2


def test_prompt_guidance_and_model_may_change(engine: Engine) -> None:
    parent = small(model="sd1", steps=5, seed=2)
    whole = finished(engine, parent)
    for changes in (
        {"prompt": "a green house"},
        {"guidance_scale": 9.0},
        {"guidance_end": 0.5},
        {"negative_prompt": "red"},
    ):
        assert not same(finished(engine, fork(parent, 2, **changes)), whole)
    other = finished(engine, fork(parent, 2, model="sd1-too"))
    assert other.facts["model"] == "sd1-too" and other.facts["forked_at"] == 2


def test_with_a_mask_the_rest_stays_on_the_parents_way(engine: Engine, pictures: PictureStore) -> None:
    parent = small(model="sd1", steps=6, seed=4)
    finished(engine, parent)
    mask = Image.new("L", (64, 64), 0)
    mask.paste(255, (0, 0, 32, 64))
    asked = fork(parent, 2, prompt="a blue boat", mask=pictures.put(mask.convert("RGB")))
    forked = finished(engine, asked)
    kept = engine.trajectories.of(parent, forked.facts["checksum"])
    now = engine.trajectories.of(asked, forked.facts["checksum"])
    assert kept is not None and now is not None
    np.testing.assert_array_equal(now.latents[-1][..., 4:], kept.latents[-1][..., 4:])
    assert not np.array_equal(now.latents[-1][..., :4], kept.latents[-1][..., :4])


def test_a_frame_is_the_picture_as_it_stood_and_the_last_is_the_result(engine: Engine) -> None:
    parent = small(model="ldm", scheduler="ddim", steps=5, seed=9)
    whole = finished(engine, parent)
    frames = [finished(engine, fork(parent, step, frame=True)) for step in (1, 3, 5)]
    assert same(frames[-1], whole)
    assert not same(frames[0], frames[1])
    assert frames[0].facts["frame"] == 1


@pytest.mark.parametrize("kind", ["mp4", "gif", "webp"])
def test_a_timelapse_has_every_step_and_lingers_on_the_last(engine: Engine, kind: str) -> None:
    parent = small(model="ldm", steps=4, seed=11)
    ending = finished(engine, Timelapse(parent=parent.model_dump(mode="json"), format=kind, fps=8))
    assert ending.images == ()
    with open(ending.extras["file"], "rb") as file:  # noqa: PTH123
        frames = imageio.imread(io.BytesIO(file.read()), extension=f".{kind}", index=None if kind == "mp4" else ...)
    assert len(frames) in (12, 4, 5), "repeated frames may be stored as one that lasts"
    assert frames.shape[1:3] == (64, 64)


def test_a_kept_film_survives_a_restart(engine: Engine) -> None:
    parent = small(model="ldm", scheduler="euler_a", steps=5, seed=12)
    whole = finished(engine, parent)
    finished(engine, KeepFilm(parent=parent.model_dump(mode="json")))
    path = engine.settings.data_dir / "films" / film_name(parent, whole.facts["checksum"])
    assert path.is_file()
    engine.trajectories.clear()
    said = events_of(engine, fork(parent, 3))
    assert [event.index for event in said if isinstance(event, Step)] == [4, 5], "nothing is run again"
    assert same(said[-1], whole)  # type: ignore[arg-type]
    path.write_bytes(b"damaged")
    engine.trajectories.clear()
    assert same(finished(engine, fork(parent, 3)), whole), "a damaged file is as good as none"


@pytest.mark.parametrize("is_fork", [False, True])
def test_a_film_kept_before_a_setting_existed_is_that_of_its_default(engine: Engine, is_fork: bool) -> None:
    root = small(model="ldm", scheduler="euler_a", steps=5, seed=16 + is_fork)
    parent = fork(root, 1, prompt="a blue boat") if is_fork else root
    whole = finished(engine, parent)
    finished(engine, KeepFilm(parent=parent.model_dump(mode="json")))
    path = engine.settings.data_dir / "films" / film_name(parent, whole.facts["checksum"])
    with safe_open(path, framework="numpy") as file:
        metadata, arrays = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    stored = json.loads(metadata["request"])
    for recipe in [stored, stored["parent"]] if is_fork else [stored]:
        del recipe["control_scale"], recipe["temperature"]
    path.unlink()
    save_file(arrays, path.with_name("as_it_was_called_then.safetensors"), {**metadata, "request": json.dumps(stored)})
    engine.trajectories.clear()
    said = events_of(engine, fork(parent, 3))
    assert [event.index for event in said if isinstance(event, Step)] == [4, 5], "nothing is run again"
    assert same(said[-1], whole)  # type: ignore[arg-type]
    engine.trajectories.clear()
    others = events_of(engine, fork(parent.with_changes(temperature=0.5), 3))
    assert sum(isinstance(event, Step) for event in others) > 2, "the film is of the default, and of nothing else"


def test_stopping_a_fork_stops_the_run_that_is_made_again_too(engine: Engine) -> None:
    parent = small(model="ldm", steps=5, seed=13)
    engine.trajectories.clear()
    assert isinstance(events_until(engine, fork(parent, 3), 2)[-1], Cancelled)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 9}, "keeps the steps of its run: 4, not 9"),
        ({"scheduler": "ddim"}, "keeps the scheduler of its run"),
        ({"width": 128}, "keeps the width of its run: 64, not 128"),
        ({"batch": 2}, "One picture is forked at a time"),
        ({"step": 4}, "has 4 steps, so it cannot be forked after step 4"),
        ({"model": "ldm"}, "their latents differ"),
    ],
)
def test_what_a_fork_cannot_change_is_said(engine: Engine, changes: dict[str, Any], message: str) -> None:
    parent = small(model="sd1", steps=4, seed=14)
    finished(engine, parent)
    with pytest.raises(InvalidRequest, match=message):
        events_of(engine, fork(parent, changes.pop("step", 2), **changes))


def test_only_runs_from_a_prompt_can_be_forked(engine: Engine) -> None:
    parent = small(model="ldm", steps=3)
    asked = fork(parent, 1).model_copy(update={"parent": {"kind": "reconstruct", "source": "0" * 64}})
    with pytest.raises(InvalidRequest, match='"reconstruct" cannot be forked'):
        events_of(engine, asked)


def test_a_fork_keeps_its_runs_control_picture_or_drops_it(
    engine: Engine, model_folder: Path, pictures: PictureStore
) -> None:
    save_controlnet(model_folder / "sd1", model_folder / "ControlNet" / "shapes")
    parent = small(model="sd1", steps=5, seed=15, control=pictures.put(Image.new("RGB", (64, 64), "white")))
    whole = finished(engine, parent)
    assert same(finished(engine, fork(parent, 2)), whole)
    assert not same(finished(engine, fork(parent, 2, control=None)), whole)
    assert not same(finished(engine, fork(parent, 2, control_scale=0.3)), whole)


@pytest.fixture(scope="module")
def painted(pictures: PictureStore) -> dict[str, Request]:
    """An inpainting of a part of a picture, and a style transfer by words; both begin from a picture."""
    noise = np.random.default_rng(0).integers(0, 255, (96, 128, 3), dtype=np.uint8)
    mask = Image.new("L", (128, 96), 0)
    mask.paste(255, (20, 30, 60, 70))
    source, marked = pictures.put(Image.fromarray(noise)), pictures.put(mask)
    shared: dict[str, Any] = {"model": "sd1", "steps": 6, "seed": 3, "size": 64, "scheduler": "dpmpp_sde"}
    return {
        "inpaint": Inpaint(prompt="", source=source, mask=marked, strength=0.8, soft=True, **shared),
        "stylize": Stylize(
            prompt="ink",
            content=source,
            methods=("colour", "diffusion"),
            references=(marked,),
            **{**shared, "steps": 13},  # as a refinement it runs a third of them
        ),
    }


@pytest.mark.parametrize("kind", ["inpaint", "stylize"])
def test_forks_of_inpaintings_and_style_transfers_go_on_exactly(
    engine: Engine, painted: dict[str, Any], kind: str
) -> None:
    parent = painted[kind]
    whole = finished(engine, parent)
    steps = whole.extras["films"][0].count
    assert 3 < steps < 6, "it begins from a picture"
    again = events_of(engine, fork(parent, steps - 1))
    assert same(again[-1], whole)  # type: ignore[arg-type]
    others = kind == "stylize"  # the chain's first method, which is no denoising, tells one step of its own
    assert sum(isinstance(event, Step) for event in again) == 1 + others, "the kept steps are not run again"
    first = fork(parent, 1, prompt="a blue boat", seed=9)
    second = finished(engine, fork(first, 2))
    assert same(second, finished(engine, first)) and not same(second, whole)
    engine.trajectories.clear()
    assert same(finished(engine, fork(first, 2)), second), "the same from nothing"


@pytest.mark.parametrize("kind", ["inpaint", "stylize"])
def test_frames_and_films_of_them_show_the_whole_picture(engine: Engine, painted: dict[str, Any], kind: str) -> None:
    parent = painted[kind]
    whole = finished(engine, parent)
    steps = whole.extras["films"][0].count
    last, first = (finished(engine, fork(parent, step, frame=True)) for step in (steps, 1))
    assert same(last, whole) and not same(first, whole)
    assert first.images[0].size == whole.images[0].size and first.facts["frame"] == 1
    if kind == "inpaint":
        assert first.facts["changed_outside_mask"] == 0
    assert same(finished(engine, fork(parent, 2)), whole), "looking at frames leaves the run as it was"
    film = finished(engine, Timelapse(parent=parent.model_dump(mode="json"), format="gif"))
    assert film.extras["file"]


def test_what_was_not_made_in_steps_says_so(engine: Engine, painted: dict[str, Any], pictures: PictureStore) -> None:
    parent = painted["inpaint"]
    with pytest.raises(InvalidRequest, match="takes a mask"):
        events_of(engine, fork(parent, 1, mask=parent.mask))
    for changed in (parent.with_changes(method="telea"), painted["stylize"].with_changes(methods=("colour",))):
        with pytest.raises(InvalidRequest, match="not made in steps that are kept"):
            events_of(engine, fork(changed, 1))


def test_the_pictures_of_a_forked_run_are_among_what_it_was_made_of(painted: dict[str, Any]) -> None:
    parent = painted["inpaint"]
    found = {one.role: one.ref for one in parents_of(fork(fork(parent, 1), 2))}
    assert (found["source"], found["mask"]) == (parent.source, parent.mask)
    assert picture_refs(fork(parent, 1)) == [parent.source, parent.mask]
