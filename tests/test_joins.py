from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from studio.joins import Forms
from studio.requests import LoraUse, Reconstruct, TextToImage
from studio.settings import Settings


@pytest.fixture
def forms(tmp_path: Path) -> Forms:
    (tmp_path / "wildcards").mkdir()
    (tmp_path / "wildcards" / "pick.txt").write_text("<lora:ink:0.5>\n", encoding="utf-8")
    return Forms(Settings(data_dir=tmp_path))


def ask(**values: Any) -> TextToImage:
    return TextToImage(**{"prompt": "a cat", "seed": 1, **values})


def test_prompts_for_the_same_model_size_and_loras_have_the_same_form(forms: Forms) -> None:
    first = forms(ask())
    assert first is not None
    same = ask(prompt="a dog", seed=2, steps=50, scheduler="euler", guidance_scale=9, batch=4, negative_prompt="blur")
    assert forms(same) == first
    assert forms(ask(model=first.model)) == first  # type: ignore[attr-defined]
    by_word, by_list = forms(ask(prompt="a cat <lora:ink:0.5>")), forms(ask(loras=(LoraUse(name="ink", weight=0.5),)))
    assert by_word == by_list == forms(ask(prompt="a cat __pick__")) != first


@pytest.mark.parametrize("other", [{"width": 128}, {"height": 128}, {"vae": "other"}, {"prompt": "<lora:ink:1> a cat"}])
def test_what_changes_the_model_or_the_size_has_another_form(forms: Forms, other: dict[str, Any]) -> None:
    assert forms(ask(**other)) not in (forms(ask()), None)


@pytest.mark.parametrize(
    "request_",
    [
        ask(control="a" * 64),
        ask(model="there is none of this name"),
        ask(prompt="a __list_that_is_not_there__"),
        ask(prompt="a cat <lora:>"),
        Reconstruct(source="a" * 64),
    ],
)
def test_what_cannot_be_joined_runs_alone(forms: Forms, request_: Any) -> None:
    assert forms(request_) is None
