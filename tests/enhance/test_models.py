"""Models that cannot refine or walk say so, before anything of them is loaded."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PIL import Image

from studio.engine.catalog import Scan, scan
from studio.engine.engine import Engine
from studio.errors import ModelError
from studio.events import Loading
from studio.handlers import handlers
from studio.inpaint.repaint import loop_options
from studio.pictures import PictureStore
from studio.requests import Request, Upscale, Walk
from tests.engine import tiny, tiny_stock
from tests.engine.prior import save_prior
from tests.engine.run import loaded, never, settings_for


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> PictureStore:
    return PictureStore(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def engine(pictures: PictureStore, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder = tmp_path_factory.mktemp("models")
    save_prior(tiny.save_ldm(folder / "ldm"))
    tiny_stock.save_sd3(folder / "sd3")
    settings = settings_for(tmp_path_factory.mktemp("data"), folder)
    return Engine(settings, read_picture=pictures.get, handlers=handlers(settings))


@pytest.mark.parametrize(
    ("model", "says"), [("sd3", "sd3 only makes pictures from prompts"), ("ldm-tokens", "ldm, fast draws tokens")]
)
@pytest.mark.parametrize("kind", ["walk", "refine"])
def test_a_model_that_cannot_is_refused_before_it_is_loaded(
    engine: Engine, pictures: PictureStore, kind: str, model: str, says: str
) -> None:
    request: Request = Walk(prompt="a", model=model, width=64, height=64)
    if kind == "refine":
        request = Upscale(source=pictures.put(Image.new("RGB", (16, 16))), method="refine", model=model)
    said = []
    with pytest.raises(ModelError, match=says) as caught:
        said += engine.run(request, never)
    assert caught.value.hint and not any(isinstance(event, Loading) for event in said)


def test_an_inpainting_model_is_sent_to_its_tab(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    card = scan(engine.settings.checkpoint_folders).find("ldm")
    monkeypatch.setattr(engine, "scan", lambda: Scan((replace(card, is_inpainting=True),), ()))
    with pytest.raises(ModelError, match="is an inpainting model") as caught:
        list(engine.run(Walk(prompt="a", width=64, height=64), never))
    assert "Inpaint tab" in caught.value.hint


def test_inpainting_and_style_are_told_the_same_of_a_stock_pipeline(engine: Engine) -> None:
    with pytest.raises(ModelError, match="sd3 only makes pictures from prompts"):
        loop_options(loaded(engine, "sd3"), Image.new("RGB", (64, 64)), strength=0.5, mask=None, soft=False)
