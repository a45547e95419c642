"""Control pictures: bit for bit what the stock ControlNet pipelines give, from folders and single files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diffusers import ControlNetModel, StableDiffusionControlNetPipeline, StableDiffusionXLControlNetPipeline
from PIL import Image
from safetensors.torch import load_file, save_file

from studio.engine.control import Hint
from studio.engine.control_maps import fitted, prepared
from studio.engine.engine import Engine
from studio.engine.noise import generators_of, seeds_of
from studio.engine.schedulers import make
from studio.errors import InvalidRequest, ModelError, UnknownName
from studio.pictures import PictureStore
from studio.settings import Settings
from tests.engine import tiny, tiny_stock
from tests.engine.control_files import save_controlnet, save_one_file, save_original
from tests.engine.run import arrays, finish, loaded, settings_for, small
from tests.engine.stock import CHOICES, STOCK, Stock

PIPELINES: dict[str, Any] = {"sd1": StableDiffusionControlNetPipeline, "sdxl": StableDiffusionXLControlNetPipeline}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny "sd1" and "sdxl"; ControlNets "edges" (folder), "original" and "named" (files, the same), "edges-xl",
    "file-xl" (the same), "second-xl"."""
    folder = tiny.save_pair(tmp_path_factory.mktemp("models"))
    nets = folder / "ControlNet"
    net = save_controlnet(folder / "sd1", nets / "edges")
    save_original(net, nets / "original.safetensors")
    save_one_file(net, nets / "named.safetensors")
    save_one_file(save_controlnet(folder / "sdxl", nets / "edges-xl", seed=1), nets / "file-xl.safetensors")
    save_controlnet(folder / "sdxl", nets / "second-xl", seed=2)
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> PictureStore:
    return PictureStore(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def engine(folder: Path, pictures: PictureStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    data = tmp_path_factory.mktemp("data")
    settings = settings_for(data, folder)
    yield Engine(settings, read_picture=pictures.get)


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    y, x = np.mgrid[0:96, 0:96]
    disc = np.hypot(x - 50, y - 40) < 25
    return Image.fromarray(np.stack([disc * 220, x * 2, y * 2], axis=-1).astype(np.uint8))


def theirs(folder: Path, picture: Any, *, net: Any, start: Any = 0.0, end: Any = 1.0, **values: Any) -> Any:
    """Return what the stock ControlNet pipeline of a tiny model makes; with lists, with several ControlNets."""
    request = small(**values)
    stock = Stock(folder / request.model, STOCK[request.model])
    cls = PIPELINES[request.model]
    extra = {"requires_safety_checker": False} if request.model == "sd1" else {"add_watermarker": False}
    names, scale = (
        ([net], request.control_scale) if isinstance(net, str) else (net, [use.scale for use in request.controls])
    )
    nets = [ControlNetModel.from_pretrained(folder / "ControlNet" / name) for name in names]
    net_model = nets[0] if isinstance(net, str) else nets
    pipe = cls.from_pipe(stock.pipeline, controlnet=net_model, **extra)
    pipe.set_progress_bar_config(disable=True)
    pipe.scheduler = make(CHOICES[request.scheduler], stock.config)
    return arrays(
        pipe(
            prompt=request.prompt,
            negative_prompt=request.negative_prompt or None,
            image=picture,
            width=request.width,
            height=request.height,
            num_inference_steps=request.steps,
            guidance_scale=request.guidance_scale,
            controlnet_conditioning_scale=scale,
            control_guidance_start=start,
            control_guidance_end=end,
            generator=generators_of(seeds_of(request.seed, 1)),
        ).images
    )


@pytest.mark.parametrize(
    ("model", "net", "values"),
    [
        ("sd1", "edges", {"scheduler": "ddim", "negative_prompt": "blurry"}),
        ("sd1", "edges", {"scheduler": "euler_a", "guidance_scale": 1.0, "control_scale": 0.6, "width": 96}),
        ("sdxl", "edges-xl", {"scheduler": "dpmpp_2m", "negative_prompt": "blurry", "control_scale": 1.4}),
    ],
)
def test_a_control_picture_gives_the_stock_controlnet_pipelines_pixels(
    engine: Engine, folder: Path, pictures: PictureStore, photo: Image.Image, model: str, net: str, values: Any
) -> None:
    said = {"model": model, "steps": 4, "height": 64, **values}
    fitting = photo.resize((said.get("width", 64), 64))
    mine = finish(engine, control=pictures.put(fitting), control_net=net, **said)
    np.testing.assert_array_equal(arrays(mine.images), theirs(folder, fitting, net=net, **said))
    assert mine.facts["control"]["name"] == net and len(mine.facts["control"]["checksum"]) == 64
    assert not np.array_equal(arrays(mine.images), arrays(finish(engine, **said).images))


@pytest.mark.parametrize(("start", "end"), [(0.0, 0.5), (0.3, 0.9)])
def test_it_acts_in_the_stock_pipelines_steps(
    engine: Engine, folder: Path, pictures: PictureStore, photo: Image.Image, start: float, end: float
) -> None:
    said: dict[str, Any] = {"model": "sd1", "steps": 5, "scheduler": "dpmpp_sde"}
    mine = finish(
        engine, control=pictures.put(photo), control_net="edges", control_start=start, control_end=end, **said
    )
    wanted = theirs(folder, photo, net="edges", start=start, end=end, **said)
    np.testing.assert_array_equal(arrays(mine.images), wanted)


@pytest.mark.parametrize(("model", "nets"), [("sd1", ("edges", "named")), ("sdxl", ("edges-xl", "second-xl"))])
def test_several_control_pictures_add_up_as_in_the_stock_pipelines(
    engine: Engine, folder: Path, pictures: PictureStore, photo: Image.Image, model: str, nets: tuple[str, str]
) -> None:
    """Each with a weight, a beginning and an end of its own; in the first of the steps one acts alone."""
    shapes = photo.resize((64, 64)), photo.rotate(90).resize((64, 64))
    first = {"control": pictures.put(shapes[0]), "control_net": nets[0], "control_scale": 0.9, "control_end": 0.7}
    second = {"picture": pictures.put(shapes[1]), "net": nets[1], "scale": 0.5, "start": 0.4}
    said: dict[str, Any] = {"model": model, "steps": 5, "scheduler": "euler", **first, "more_controls": [second]}
    mine = finish(engine, **said)
    theirs_nets = [net.replace("named", "edges") for net in nets]
    wanted = theirs(folder, list(shapes), net=theirs_nets, start=[0.0, 0.4], end=[0.7, 1.0], **said)
    np.testing.assert_array_equal(arrays(mine.images), wanted)
    assert mine.facts["more_controls"][0]["name"] == nets[1]
    assert len(loaded(engine, model).model.controls.nets) == 2


def test_pictures_without_a_network_of_their_own_take_one_each(
    engine: Engine, pictures: PictureStore, photo: Image.Image
) -> None:
    ref = pictures.put(photo)
    more = [{"picture": ref}, {"picture": ref, "net": "edges-xl"}]
    facts = finish(engine, model="sdxl", control=ref, more_controls=more).facts
    assert [facts["control"]["name"], *(it["name"] for it in facts["more_controls"])] == [
        "file-xl",
        "second-xl",
        "edges-xl",
    ]


def test_more_pictures_than_networks_is_said(pictures: PictureStore, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "sd1").symlink_to(folder / "sd1")
    (tmp_path / "edges").symlink_to(folder / "ControlNet" / "edges")
    settings = Settings(data_dir=tmp_path / "d", model_folders=(tmp_path,), device="cpu", dtype="float32")
    ref = pictures.put(Image.new("RGB", (64, 64)))
    with pytest.raises(ModelError, match=r"The 2 control pictures need a ControlNet each, .* has 1 for SD 1.x"):
        alone = Engine(settings, read_picture=pictures.get)
        finish(alone, model="sd1", control=ref, more_controls=[{"picture": ref}])


def test_a_single_file_is_its_folder_under_other_names(
    engine: Engine, pictures: PictureStore, photo: Image.Image
) -> None:
    ref = pictures.put(photo)
    by_net = {
        net: arrays(finish(engine, model="sd1", control=ref, control_net=net).images)
        for net in ("edges", "original", "named")
    }
    np.testing.assert_array_equal(by_net["edges"], by_net["original"])
    np.testing.assert_array_equal(by_net["edges"], by_net["named"])
    xl = [finish(engine, model="sdxl", control=ref, control_net=net) for net in ("edges-xl", "file-xl")]
    np.testing.assert_array_equal(arrays(xl[0].images), arrays(xl[1].images))


def test_without_a_name_the_first_that_fits_the_model_is_taken(
    engine: Engine, pictures: PictureStore, photo: Image.Image
) -> None:
    ref = pictures.put(photo)
    assert finish(engine, model="sd1", control=ref).facts["control"]["name"] == "edges"
    assert finish(engine, model="sdxl", control=ref).facts["control"]["name"] == "edges-xl"


def test_each_picture_of_a_batch_is_the_one_made_alone(
    engine: Engine, pictures: PictureStore, photo: Image.Image
) -> None:
    said: dict[str, Any] = {"model": "sd1", "control": pictures.put(photo), "control_preprocessor": "canny"}
    both = finish(engine, batch=2, seed=7, **said)
    for place, seed in enumerate((7, 8)):
        np.testing.assert_array_equal(arrays([both.images[place]]), arrays(finish(engine, seed=seed, **said).images))


def test_without_a_control_picture_the_model_is_as_before(
    engine: Engine, folder: Path, pictures: PictureStore, photo: Image.Image
) -> None:
    finish(engine, model="sd1", control=pictures.put(photo))
    plain = finish(engine, model="sd1")
    np.testing.assert_array_equal(arrays(plain.images), Stock(folder / "sd1", STOCK["sd1"])(small(model="sd1")))
    assert "control" not in plain.facts


def test_the_network_stays_loaded_and_counts_as_memory(
    engine: Engine, pictures: PictureStore, photo: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = pictures.put(photo)
    finish(engine, model="sd1", control=ref, control_net="edges")
    model = loaded(engine, "sd1").model
    (net,) = model.controls.nets
    assert model.nbytes > sum(value.nbytes for value in net.state_dict().values())
    finish(engine, model="sd1", control=ref, control_net="edges", seed=9)
    assert model.controls.nets == (net,)


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"control_net": "edgse"}, UnknownName, 'no ControlNet "edgse".*Did you mean "edges"'),
        ({"control_net": "edges-xl"}, ModelError, '"edges-xl" does not fit sd1.*64 wide instead of 32'),
        ({"control_net": "broken"}, ModelError, '"broken" does not fit sd1.*is missing'),
        ({"control_net": "several"}, ModelError, '"several" does not fit sd1.*no place for "task_embedding"'),
        ({"control_start": 0.5, "control_end": 0.5}, InvalidRequest, "is no part of the run"),
        ({"more_controls": [{"picture": "0" * 64, "start": 0.7, "end": 0.2}]}, InvalidRequest, "from 0.7 until 0.2"),
    ],
)
def test_what_cannot_steer_is_explained_and_the_next_job_works(
    engine: Engine, folder: Path, pictures: PictureStore, photo: Image.Image, values: Any, error: Any, message: str
) -> None:
    nets = folder / "ControlNet"
    weights = load_file(nets / "named.safetensors")
    save_file({k: v for k, v in weights.items() if not k.startswith("mid_block")}, nets / "broken.safetensors")
    save_file({**weights, "task_embedding": weights["conv_in.bias"].clone()}, nets / "several.safetensors")
    ref = pictures.put(photo)
    with pytest.raises(error, match=message):
        finish(engine, model="sd1", control=ref, **values)
    assert finish(engine, model="sd1", control=ref, control_net="edges").images


def test_models_that_take_no_control_picture_say_so(pictures: PictureStore, photo: Image.Image, tmp_path: Path) -> None:
    tiny.save_ldm(tmp_path / "ldm")
    tiny.ship_preview(tmp_path / "ldm")
    tiny_stock.save_amused(tmp_path / "amused")
    settings = Settings(data_dir=tmp_path / "d", model_folders=(tmp_path,), device="cpu", dtype="float32")
    alone = Engine(settings, read_picture=pictures.get)
    for name, scheduler in (("ldm", "ddim"), ("amused", "own")):
        with pytest.raises(ModelError, match=f"{name} takes no control picture"):
            finish(alone, model=name, scheduler=scheduler, control=pictures.put(photo))


def test_a_model_without_any_controlnet_says_where_to_get_one(
    folder: Path, pictures: PictureStore, photo: Image.Image, tmp_path: Path
) -> None:
    (tmp_path / "sd1").symlink_to(folder / "sd1")
    settings = Settings(data_dir=tmp_path / "d", model_folders=(tmp_path,), device="cpu", dtype="float32")
    with pytest.raises(ModelError, match=r"There is no ControlNet for SD 1.x models"):
        finish(Engine(settings, read_picture=pictures.get), model="sd1", control=pictures.put(photo))


def test_a_picture_of_another_shape_is_cut_never_stretched(photo: Image.Image) -> None:
    wide = Image.new("RGB", (300, 100), "blue")
    wide.paste(photo.resize((100, 100)), (100, 0))
    middle, notes = fitted(wide, (64, 64))
    whole = np.asarray(photo.resize((64, 64), Image.Resampling.LANCZOS), dtype=float)
    assert np.abs(np.asarray(middle, dtype=float)[2:-2, 2:-2] - whole[2:-2, 2:-2]).mean() < 1
    assert notes and "cut to the middle" in notes[0]
    assert fitted(photo, (64, 64))[1] == ()
    odd = photo.resize((96, 97))
    assert fitted(odd, (64, 64), shape=(96, 97))[1] == (), "a run rounded to the grid cuts nothing"


def test_preprocessors_make_control_maps(photo: Image.Image) -> None:
    edges = prepared(photo, "canny")
    assert set(np.unique(edges)) == {0, 1} and 0.005 < (edges > 0).mean() < 0.2
    clear = Image.new("RGBA", (8, 8), (255, 255, 255, 0))
    black = fitted(clear, (8, 8))[0]
    assert prepared(black, "none").max() == 0
    np.testing.assert_array_equal(prepared(black, "invert"), 1)
    half = Image.new("RGBA", (2, 1), (255, 0, 0, 255))
    half.putpixel((1, 0), (255, 0, 0, 0))
    np.testing.assert_array_equal(prepared(half, "inpaint"), [[[1, 0, 0], [-1, -1, -1]]])
    np.testing.assert_array_equal(prepared(half, "none"), [[[1, 0, 0], [1, 0, 0]]])
    with pytest.raises(InvalidRequest, match="no painted part"):
        prepared(photo, "inpaint")


def test_the_share_of_the_run_in_which_it_acts() -> None:
    hint = Hint(None, None, 1.0, 0.25, 0.75)  # type: ignore[arg-type]
    assert [hint.acts(index, 8) for index in range(8)] == [False, False, *[True] * 4, False, False]
