"""Size, quality and the single settings, folded away."""

from __future__ import annotations

from collections.abc import Sequence

import gradio as gr

from studio.ui.addon_choice import addon_choice
from studio.ui.form import Form
from studio.ui.presets import quality_choices, quality_of, scheduler_choices, size_title
from studio.ui.studio import ModelCard
from studio.ui.tabs.tab import Page
from studio.ui.texts import text

_MOST_STEPS, _LARGEST_SIDE = 100, 1024  # what the sliders offer; the command line takes all that requests allow


def lay_settings(page: Page, tab: str, form: Form, cards: Sequence[ModelCard]) -> tuple[gr.Radio, gr.Radio]:
    """Lay out the settings; returns the size and quality choices."""
    card = cards[0]
    standard = quality_of(card, "standard")
    sizes = [size_title(size) for size in card.sizes]
    names = quality_choices(card)
    start = "standard" if "standard" in card.qualities else None
    size = gr.Radio(sizes, value=sizes[0], label=text("size"), elem_classes=["pills"], elem_id="size")
    quality = gr.Radio(names, value=start, label=text("quality"), elem_classes=["pills"], elem_id="quality")
    with gr.Accordion(text("advanced"), open=False, elem_id="advanced", elem_classes=["fold"]):
        form.textbox("negative_prompt", lines=1, max_lines=4, placeholder=text("negative_placeholder"))
        form.slider("steps", maximum=_MOST_STEPS, value=standard.steps)
        form.checkbox("auto_stop", elem_id="auto-stop")
        form.slider("guidance_scale", value=standard.guidance_scale)
        form.slider("guidance_start")
        form.slider("guidance_end")
        form.dropdown("scheduler", scheduler_choices(card), value=standard.scheduler)
        form.textbox("seed", max_lines=1, placeholder=text("seed_placeholder"), elem_id="seed")
        form.slider("batch")
        form.slider("variation_strength", elem_id="variation-strength")
        form.textbox("variation_seed", max_lines=1, placeholder=text("seed_placeholder"), elem_id="variation-seed")
        with gr.Row():
            form.slider("width", maximum=_LARGEST_SIDE, value=card.sizes[0][0], min_width=120)
            form.slider("height", maximum=_LARGEST_SIDE, value=card.sizes[0][1], min_width=120)
        form.dropdown("model", [(it.title, it.id) for it in cards], value=card.id, info=None)
        addon_choice(page, tab, form, "vae", "vae", none="vae_own", info=None, elem_id="vae")
    return size, quality
