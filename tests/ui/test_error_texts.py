"""Errors in Chinese: each sentence that has a translation is one that is really raised, and comes out whole."""

from __future__ import annotations

import io
import re
import string
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image

from studio import atomic
from studio.engine import control, denoise, film_files, memory, stock_sample
from studio.engine.catalog import ModelCard, Scan
from studio.engine.checkpoint import read_header
from studio.engine.control_maps import fitted
from studio.errors import StudioError, UnknownName
from studio.events import Finished
from studio.gallery import space
from studio.inpaint import masks
from studio.inpaint.tokens import NO_FILM
from studio.jobs import JobRunner
from studio.pictures import PictureStore, open_picture
from studio.process.host import _explain
from studio.requests import ControlUse, Stylize, TextToImage, parse
from studio.stylize.run import _check, _untried
from studio.ui.error_texts import SENTENCES, in_chinese, told
from studio.ui.film_page.opening import _drawn_anew
from studio.ui.inpaint_form import InpaintForm
from studio.ui.stream import stage_value
from studio.ui.style_form import StyleForm
from studio.ui.tabs.enhance import _upscale

CHINESE = re.compile(r"[\u4e00-\u9fff]")
HUNGRY: Any = SimpleNamespace(
    estimate_bytes=lambda width, height, rows: width * height * rows * 1000, card=SimpleNamespace(grid=64)
)
GONE: Any = SimpleNamespace(is_kept=lambda entry: False, of=lambda entry, session: None)
NAN: Any = SimpleNamespace(pending=None, model=SimpleNamespace(device=torch.device("cpu")), timesteps=range(20))
STOCK: Any = SimpleNamespace(name="A model", family="pipeline")
TOKENS: Any = SimpleNamespace(name="A model", family="masked_tokens", architecture="tokens")


def raised(error: Exception) -> None:
    raise error


def asked(**values: Any) -> Callable[[], object]:
    return partial(parse, {"kind": "text_to_image", "prompt": "a", **values})


def submitted(**bounds: int) -> None:
    JobRunner(lambda request, stop: iter(()), lambda job, done: done, **bounds).submit(
        TextToImage(prompt="a"), owner="A"
    )


def styled(method: str, **values: Any) -> Callable[[], object]:
    return lambda: _check(Stylize(content="a" * 64, methods=(method,), **values))


def painted(canvas: object) -> None:
    InpaintForm(lambda: []).read({"canvas": canvas, **dict.fromkeys(("left", "top", "right", "bottom"))})


def steered() -> None:
    model: Any = SimpleNamespace(card=SimpleNamespace(family="ldm", name="tiny"))
    request = TextToImage(prompt="a", control="a" * 64)
    nothing: Any = None
    list(control.control_of(request, model, (64, 64), read_picture=nothing, folders=(), checksums=nothing))


def encoded(format: str) -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((40, 40), 50).save(buffer, format)
    return buffer.getvalue()


ERRORS: dict[str, Callable[[], object]] = {
    "an empty prompt": asked(prompt=""),
    "a long prompt": asked(prompt="a" * 5000),
    "a seed": asked(seed=2**40),
    "a guidance": asked(guidance_scale=99),
    "a width": asked(width=100),
    "a width off the grid": lambda: ModelCard.check_size(SimpleNamespace(grid=64, name="A model"), 100, 64),  # type: ignore[arg-type]
    "a model for prompts alone": lambda: ModelCard.check_loop(STOCK),
    "a model that draws tokens": lambda: ModelCard.check_loop(TOKENS),
    "no model": lambda: Scan((), ()).find(""),
    "an unknown model": lambda: raised(UnknownName("model", "sd", ["sd1"])),
    "an unknown scheduler": lambda: raised(UnknownName("scheduler", "x", ["euler", "ddim"])),
    "a missing model": lambda: read_header(Path("away.safetensors")),
    "a setting that does not fit": lambda: memory.check_fits(HUNGRY, 1024, 1024, 1, 200_000_000),
    "no memory for a picture": lambda: raised(memory.explain(HUNGRY, 512, 512, 1, 10**12)),
    "no memory for a batch": lambda: raised(memory.explain(HUNGRY, 512, 512, 4, 10**12)),
    "no memory": lambda: raised(memory.explain(None, 0, 0, 1, 0)),
    "a full queue": lambda: submitted(queue_size=0),
    "a full share of the queue": lambda: submitted(queue_per_session=0),
    "a killed engine": lambda: raised(_explain(-9, "")),
    "a crashed engine": lambda: raised(_explain(1, "")),
    "NaN": lambda: denoise._Sampler._check(NAN, 3, torch.tensor(False)),
    "no picture to repaint": lambda: painted(None),
    "no picture to give a style": lambda: StyleForm._request(NAN, {"content": None, "references": None}, ()),
    "no picture to enlarge": lambda: _upscale(NAN, {"well": None}),
    "nothing painted": lambda: painted({"source": "a" * 64}),
    "an empty mask": lambda: masks.require_painted(torch.zeros(4, 4).numpy()),
    "a text as a picture": lambda: open_picture(b"hello", name="notes.txt"),
    "a GIF": lambda: open_picture(encoded("GIF")),
    "half a picture": lambda: open_picture(encoded("PNG")[:900]),
    "a large picture": lambda: open_picture(encoded("PNG"), limit_megapixels=0.001),
    "a picture that is gone": lambda: PictureStore(Path("nowhere")).get("a" * 64),
    "a control that never acts": lambda: control._check_times([ControlUse(picture="a" * 64, start=0.5, end=0.2)]),
    "a control picture for a model that takes none": lambda: steered(),
    "a control picture for a method that takes none": styled("colour", references=("b" * 64,), control="c" * 64),
    "no style at all": styled("all"),
    "no style picture": styled("colour"),
    "no style words": styled("diffusion"),
    "no ControlNet": lambda: raised(control._too_few(1, 0, "SD 1.x")),
    "too few ControlNets": lambda: raised(control._too_few(3, 2, "SDXL")),
    "a disk nearly full": lambda: space.admit(Path(), 1),
    "a disk nearly full of films": lambda: film_files.admit(Path(), 2**60),
    "a film that is gone": lambda: _drawn_anew(NAN, GONE, NAN, ""),
    "a full disk": lambda: raised(atomic.disk_error(OSError(28, "No space left on device"), Path())),
}


NOTES = [
    NO_FILM,
    stock_sample.NO_FILM,
    *fitted(Image.new("RGB", (300, 100)), (64, 64))[1],
    *_untried(Stylize(content="a" * 64)),
]


@pytest.fixture(autouse=True)
def little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(space, "free_bytes", lambda folder: 3 * 2**20)


def error_of(call: Callable[[], object]) -> StudioError:
    with pytest.raises(StudioError) as caught:
        call()
    return caught.value


@pytest.mark.parametrize("what", ERRORS)
def test_an_error_that_artists_meet_is_told_in_chinese(what: str) -> None:
    error = error_of(ERRORS[what])
    for text in filter(None, (error.message, error.hint)):
        chinese = in_chinese(text)
        assert CHINESE.search(chinese), text
        assert "{" not in chinese
        assert set(re.findall(r"\d+", text)) == set(re.findall(r"\d+", chinese)), "every value is told"
    assert told(error.message, error.hint)["zh"]["message"] == in_chinese(error.message)


def test_every_translated_sentence_is_one_that_is_raised() -> None:
    """A sentence that was reworded where it is raised would silently stay English."""
    said = {in_chinese(text) for call in ERRORS.values() for text in (error_of(call).message, error_of(call).hint)}
    said |= {in_chinese(note) for note in NOTES}
    for english, chinese in SENTENCES.items():
        fields = [name for _, name, _, _ in string.Formatter().parse(english) if name]
        assert sorted(fields) == sorted(name for _, name, _, _ in string.Formatter().parse(chinese) if name), english
        pattern = re.sub(r"\\\{\w+\\\}", ".+", re.escape(chinese))
        assert any(re.fullmatch(pattern, it) for it in said), english


def test_what_a_result_says_of_itself_comes_in_chinese_too() -> None:
    value = stage_value(Finished((), (), 1.0, notes=(*NOTES, "A note of another kind.")))
    assert all(CHINESE.search(note) for note in value["notes_zh"][:-1]) and len(NOTES) == 5
    assert "马赛克（最近）；马赛克（按明暗）" in value["notes_zh"][3], "the methods' titles too"
    assert value["notes_zh"][-1] == "A note of another kind." == value["notes"][-1]


@pytest.mark.parametrize(
    "text", ["Try again.", "Use a .safetensors file.", "There is nothing to export.", "The file is empty.", ""]
)
def test_what_has_no_chinese_stays_english(text: str) -> None:
    assert in_chinese(text) == text
