"""Control pictures in inpainting: the stock ControlNet inpainting pipelines' pixels, and what of them a run sees."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    ControlNetModel,
    StableDiffusionControlNetImg2ImgPipeline,
    StableDiffusionControlNetInpaintPipeline,
)
from PIL import Image

from studio.engine.engine import Engine
from studio.engine.images import to_tensor
from studio.errors import InvalidRequest
from studio.events import Finished
from studio.inpaint.canvas import prepare
from studio.inpaint.context import Context
from studio.inpaint.diffusion import lay_control
from studio.inpaint.run import run_inpaint
from studio.pictures import PictureStore
from tests.engine.control_files import save_controlnet, save_one_file
from tests.engine.run import loaded
from tests.inpaint.test_repaint import MASK, PICTURE, asked, ours, stock
from tests.stylize.waves import waves

SHAPES = (waves(96, 64, seed=4), waves(96, 64, seed=5))
NOTHING = np.zeros((64, 128), np.float32)
"""A mask of nothing, of a picture that got 32 columns more."""


@pytest.fixture(scope="module")
def nets(models: Path) -> list[ControlNetModel]:
    """ControlNets "one" (a folder) and "two" (a single file) for the tiny SD models."""
    folder = models / "ControlNet"
    one = save_controlnet(models / "tiny-sd", folder / "one")
    two = save_controlnet(models / "tiny-sd", folder.parent / "two-as-saved", seed=1)
    save_one_file(two, folder / "two.safetensors")
    return [one, two]


@pytest.fixture
def controls(store: PictureStore) -> dict[str, Any]:
    """Two control pictures, the second for a part of the run."""
    more = {"picture": store.put(SHAPES[1]), "net": "two", "scale": 0.7, "start": 0.2, "end": 0.8}
    return {"control": store.put(SHAPES[0]), "control_net": "one", "control_scale": 1.2, "more_controls": [more]}


STOCK_CONTROL = {
    "control_image": list(SHAPES),
    "controlnet_conditioning_scale": [1.2, 0.7],
    "control_guidance_start": [0.0, 0.2],
    "control_guidance_end": [1.0, 0.8],
}


@pytest.mark.parametrize("strength", [0.6, 1.0])
@pytest.mark.parametrize("model", ["tiny-sd", "tiny-sd-inpainting"])
def test_repainting_under_control_is_the_stock_pipelines(
    engine: Engine, models: Path, nets: list[ControlNetModel], controls: dict[str, Any], model: str, strength: float
) -> None:
    request = asked(scheduler="euler_a", **controls)
    kind = StableDiffusionControlNetInpaintPipeline
    pipeline, shared = stock(kind, models / model, engine, request, controlnet=nets)
    encode = loaded(engine, model).model.encode
    pipeline._encode_vae_image = lambda image, generator: encode(image)  # the posterior's mean, as ours
    expected = pipeline(
        image=to_tensor(PICTURE),
        mask_image=torch.from_numpy(MASK)[None, None],
        strength=strength,
        height=64,
        width=96,
        **STOCK_CONTROL,
        **shared,
    ).images[0]
    _, result = ours(engine, model, request, strength=strength, mask=MASK)
    assert result.images[0].tobytes() == expected.tobytes()
    assert [result.facts["control"]["name"], result.facts["more_controls"][0]["name"]] == ["one", "two"]


def test_a_network_for_inpainting_sees_the_picture_without_the_painted_part(
    engine: Engine, models: Path, nets: list[ControlNetModel], context: Context, painted: Callable[..., dict[str, Any]]
) -> None:
    values = painted(grow=0, feather=0, area="whole", size=80, match_colours=False)
    request = asked(
        **{
            **values,
            "scheduler": "euler_a",
            "control": values["source"],
            "control_preprocessor": "inpaint",
            "control_net": "one",
        }
    )
    canvas = prepare(request, context.read_picture)
    pipeline, shared = stock(
        StableDiffusionControlNetInpaintPipeline, models / "tiny-sd", engine, request, controlnet=nets[0]
    )
    encode = loaded(engine, "tiny-sd").model.encode
    pipeline._encode_vae_image = lambda image, generator: encode(image)
    known = np.asarray(PICTURE, np.float32) / 255
    known[MASK > 0.5] = -1  # diffusers' documentation, "make_inpaint_condition"
    expected = pipeline(
        image=to_tensor(PICTURE),
        mask_image=torch.from_numpy(MASK)[None, None],
        control_image=torch.from_numpy(known).permute(2, 0, 1)[None],
        controlnet_conditioning_scale=1.0,
        strength=1.0,
        height=64,
        width=96,
        **shared,
    ).images[0]
    lay = partial(lay_control, canvas=canvas, extend=(0, 0, 0, 0), mask=MASK)
    _, result = ours(engine, "tiny-sd", request, strength=1.0, mask=MASK, lay_control=lay)
    assert result.images[0].tobytes() == expected.tobytes()
    _, plain = ours(engine, "tiny-sd", request.with_changes(control_preprocessor="none"), strength=1.0, mask=MASK)
    assert plain.images[0].tobytes() != expected.tobytes()
    ending = list(run_inpaint(request, context, lambda: False))[-1]
    assert isinstance(ending, Finished) and ending.facts["control"]["name"] == "one"


def test_image_to_image_under_control_is_the_stock_pipelines(
    engine: Engine, models: Path, nets: list[ControlNetModel], controls: dict[str, Any]
) -> None:
    request = asked(scheduler="dpmpp_2m", negative_prompt="a dog", **controls)
    kind = StableDiffusionControlNetImg2ImgPipeline
    pipeline, shared = stock(kind, models / "tiny-sd", engine, request, controlnet=nets)
    latents = loaded(engine, "tiny-sd").model.encode(to_tensor(PICTURE))
    said = {**STOCK_CONTROL, **shared, "height": 64, "width": 96}
    expected = pipeline(image=latents, strength=0.8, **said).images[0]
    _, result = ours(engine, "tiny-sd", request, strength=0.8)
    assert result.images[0].tobytes() == expected.tobytes()


@pytest.fixture
def painted(store: PictureStore) -> Callable[..., dict[str, Any]]:
    """Values of a request to repaint a part of the waves."""
    mask = Image.new("L", (96, 64))
    mask.paste(255, (16, 8, 48, 32))
    values = {"source": store.put(PICTURE), "mask": store.put(mask), "model": "tiny-sd", "steps": 3, "size": 64}
    return lambda **more: {**values, **more}


@pytest.mark.usefixtures("nets")
def test_a_run_sees_the_part_of_the_control_picture_that_it_works_on(
    context: Context, controls: dict[str, Any], painted: Callable[..., dict[str, Any]]
) -> None:
    plain, steered = (
        list(run_inpaint(asked(**painted(**more)), context, lambda: False))[-1] for more in ({}, controls)
    )
    assert isinstance(plain, Finished) and isinstance(steered, Finished)
    assert plain.images[0].tobytes() != steered.images[0].tobytes()
    assert steered.facts["changed_outside_mask"] == 0 and "control" not in plain.facts


def test_a_control_picture_of_the_sources_size_lies_on_the_source(
    context: Context, painted: Callable[..., dict[str, Any]]
) -> None:
    request = asked(**painted(mask=None, extend=(0, 0, 32, 0), area="whole"))
    canvas = prepare(request, context.read_picture)
    seen, notes = lay_control(SHAPES[0], canvas=canvas, extend=request.extend, mask=NOTHING)
    np.testing.assert_array_equal(np.asarray(seen.convert("RGB"))[:, :96], np.asarray(SHAPES[0]))
    assert not np.asarray(seen.convert("RGB"))[:, 96:].any() and notes == ()
    wide = waves(256, 128, seed=4)
    seen, notes = lay_control(wide, canvas=canvas, extend=request.extend, mask=NOTHING)
    assert np.asarray(seen.convert("RGB"))[:, 96:].any() and notes == ()
    _, notes = lay_control(waves(64, 64, seed=4), canvas=canvas, extend=request.extend, mask=NOTHING)
    assert notes == ("The control picture was cut to the middle, to fit 128×64.",)


def test_the_part_is_cut_where_the_canvas_is_cut(context: Context, painted: Callable[..., dict[str, Any]]) -> None:
    canvas = prepare(asked(**painted(padding=0, grow=0, feather=0)), context.read_picture)
    assert canvas.box.width < 96
    whole = np.zeros((canvas.box.height, canvas.box.width), np.float32)
    seen, _ = lay_control(SHAPES[0], canvas=canvas, extend=(0, 0, 0, 0), mask=whole)
    part = (canvas.box.left, canvas.box.top, canvas.box.right, canvas.box.bottom)
    np.testing.assert_array_equal(np.asarray(seen.convert("RGB")), np.asarray(SHAPES[0].crop(part)))


@pytest.mark.parametrize("method", ["telea", "tokens"])
def test_other_methods_say_that_they_take_no_control_picture(
    context: Context, controls: dict[str, Any], painted: Callable[..., dict[str, Any]], method: str
) -> None:
    request = asked(**painted(method=method), **controls)
    with pytest.raises(InvalidRequest, match=f'"{method}" takes no control picture'):
        list(run_inpaint(request, context, lambda: False))
