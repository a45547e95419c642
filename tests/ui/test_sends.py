"""Pictures and settings handed from tab to tab."""

from __future__ import annotations

from collections.abc import Callable

import gradio as gr
import pytest

from studio.ui.sends import Sends, picture_id


def test_a_pictures_id_is_found_in_whatever_holds_it() -> None:
    stage = {"pictures": [{"id": "a"}, {"id": "b"}], "chosen": 1}
    assert [picture_id(it) for it in ("x", {"id": "y"}, stage, {"pictures": []}, None, 5)] == [
        "x",
        "y",
        "b",
        "",
        "",
        "",
    ]


@pytest.mark.parametrize("chosen", [-1, 2, "1", None])
def test_a_choice_that_is_none_gives_the_first_picture(chosen: object) -> None:
    assert picture_id({"pictures": [{"id": "a"}, {"id": "b"}], "chosen": chosen}) == "a"


def test_a_tab_that_says_it_receives_must_say_how() -> None:
    sends = Sends(["codebook"])
    with gr.Blocks(analytics_enabled=False), gr.Tabs() as tabs:
        shown = gr.Textbox()
        assert sends.buttons(shown, source="codebook") == []
        sends.buttons(shown, source="create")
        with pytest.raises(RuntimeError, match="codebook"):
            sends.connect(tabs, recipe_of=lambda record, request: {})


def test_buttons_lead_to_every_other_tab_that_receives() -> None:
    sends = Sends(["codebook"])
    with gr.Blocks(analytics_enabled=False) as blocks, gr.Tabs() as tabs:
        shown = gr.Textbox()
        assert len(sends.buttons(shown, source="gallery")) == len(sends.buttons(shown, source="create")) == 1
        sends.receive("codebook", take=lambda record, request: record, outputs=[shown])
        sends.connect(tabs, recipe_of=lambda record, request: {})
    assert len(blocks.fns) == 2


def test_names_must_fit_the_outputs_they_name() -> None:
    sends = Sends([])
    with gr.Blocks(analytics_enabled=False), pytest.raises(ValueError, match="1 names for 2 outputs"):
        boxes = [gr.Textbox(), gr.Textbox()]
        sends.receive_recipes("text_to_image", tab="create", fill=lambda recipe: [], outputs=boxes, names=["prompt"])


def recalled(kind: str, what: str) -> dict[str, object]:
    """Return what an event of a script brings back into the controls of the one tab there is, by label."""
    sends = Sends([])
    with gr.Blocks(analytics_enabled=False), gr.Tabs() as tabs:
        names = ["prompt", "steps", "seed"]
        controls = [gr.Textbox(label=name) for name in names]
        script = gr.HTML(js_on_load="/* events: 'send', 'reuse' */")
        sends.receive_recipes(
            "text_to_image", tab="create", fill=lambda it: [it[name] for name in names], outputs=controls, names=names
        )
        wired: list[Callable[..., dict[object, object]]] = []
        nothing: Callable[..., None] = lambda *_, **__: None  # noqa: E731
        sends.listen(send=nothing, reuse=lambda function, *_, **__: wired.append(function), film=nothing)
        sends.connect(tabs, recipe_of=lambda record, request: {"kind": kind, "prompt": "fox", "steps": 9, "seed": 3})
        values = wired[0](gr.Request(), gr.EventData(script, {"id": "x", "what": what}))
    return {it.label: value for it, value in values.items() if isinstance(it, gr.Textbox)}


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("all", {"prompt": "fox", "steps": 9, "seed": 3}),
        ("remix", {"prompt": "fox", "steps": 9}),
        ("seed", {"seed": 3}),
        ("prompt", {"prompt": "fox"}),
    ],
)
def test_settings_are_brought_back_whole_or_in_part(what: str, expected: dict[str, object]) -> None:
    assert recalled("text_to_image", what) == expected


def test_the_words_of_any_picture_suit_the_first_tab_its_settings_do_not() -> None:
    assert recalled("inpaint", "prompt") == {"prompt": "fox"}
    assert recalled("inpaint", "all") == {}
