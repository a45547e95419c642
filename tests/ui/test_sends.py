"""Pictures and settings handed from tab to tab."""

from __future__ import annotations

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
