"""The look: neutral surfaces that leave the colour to the pictures, one accent, and the system's own fonts."""

from __future__ import annotations

import gradio as gr
from gradio.themes.utils import colors, sizes

FONTS = (
    "system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "PingFang SC", "Microsoft YaHei",
    "Noto Sans CJK SC", "sans-serif",
)  # fmt: skip
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "DejaVu Sans Mono", "monospace")

# Name -> (light, dark). page/studio.css uses the same values through Gradio's variables.
_COLOURS = {
    "body_background_fill": ("#f6f5f3", "#161514"),
    "body_text_color": ("#23211f", "#eceae6"),
    "body_text_color_subdued": ("#6b665f", "#a29c93"),
    "background_fill_primary": ("#ffffff", "#1f1d1b"),
    "background_fill_secondary": ("#faf9f7", "#1a1817"),
    "border_color_primary": ("#e4e0da", "#34302c"),
    "border_color_accent": ("#c2512f", "#e07b57"),
    "color_accent_soft": ("#f7e7e0", "#3b251c"),
    "block_background_fill": ("transparent", "transparent"),
    "block_border_color": ("#e4e0da", "#34302c"),
    "block_label_background_fill": ("transparent", "transparent"),
    "block_label_text_color": ("#55504a", "#bdb7ae"),
    "block_title_text_color": ("#3b3733", "#d8d3cb"),
    "block_info_text_color": ("#6b665f", "#a29c93"),
    "panel_background_fill": ("#ffffff", "#1f1d1b"),
    "input_background_fill": ("#ffffff", "#24211f"),
    "input_background_fill_focus": ("#ffffff", "#24211f"),
    "input_border_color": ("#d9d4cd", "#3d3833"),
    "input_border_color_focus": ("#c2512f", "#e07b57"),
    "input_placeholder_color": ("#8d877f", "#857f77"),
    "button_primary_background_fill": ("#b84a29", "#c95a36"),
    "button_primary_background_fill_hover": ("#a34023", "#d66945"),
    "button_primary_border_color": ("#b84a29", "#c95a36"),
    "button_primary_border_color_hover": ("#a34023", "#d66945"),
    "button_primary_text_color": ("#ffffff", "#ffffff"),
    "button_secondary_background_fill": ("#ffffff", "#292623"),
    "button_secondary_background_fill_hover": ("#f1eeea", "#34302c"),
    "button_secondary_border_color": ("#d9d4cd", "#3d3833"),
    "button_secondary_text_color": ("#3b3733", "#e2ded7"),
    "checkbox_label_background_fill": ("#ffffff", "#24211f"),
    "checkbox_label_background_fill_hover": ("#f1eeea", "#2e2a27"),
    "checkbox_label_background_fill_selected": ("#f7e7e0", "#3b251c"),
    "checkbox_label_border_color": ("#d9d4cd", "#3d3833"),
    "checkbox_label_border_color_selected": ("#c2512f", "#c2613f"),
    "checkbox_label_text_color_selected": ("#8a3218", "#f0b49c"),
    "checkbox_background_color_selected": ("#b84a29", "#c95a36"),
    "checkbox_border_color_selected": ("#b84a29", "#c95a36"),
    "link_text_color": ("#a34023", "#e89a7c"),
    "link_text_color_hover": ("#7d2f18", "#f0b49c"),
    "slider_color": ("#b84a29", "#c95a36"),
}  # fmt: skip

_SHAPES = {
    "block_border_width": "0px",
    "block_padding": "0px",
    "block_shadow": "none",
    "block_radius": "10px",
    "block_label_text_weight": "500",
    "block_title_text_weight": "550",
    "block_title_text_size": "*text_sm",
    "block_info_text_size": "*text_xs",
    "form_gap_width": "0px",
    "layout_gap": "14px",
    "input_radius": "8px",
    "input_shadow": "none",
    "input_shadow_focus": "0 0 0 3px *color_accent_soft",
    "input_border_width": "1px",
    "button_large_radius": "8px",
    "button_medium_radius": "8px",
    "button_small_radius": "7px",
    "button_large_text_weight": "600",
    "button_medium_text_weight": "500",
    "button_small_text_weight": "500",
    "button_primary_shadow": "none",
    "button_secondary_shadow": "none",
    "button_border_width": "1px",
    "checkbox_label_shadow": "none",
    "checkbox_label_padding": "7px 12px",
    "checkbox_label_gap": "6px",
    "checkbox_label_border_width": "1px",
    "color_accent": "#c2512f",
}


def theme() -> gr.themes.Base:
    """Return the studio's theme."""
    look = gr.themes.Base(
        primary_hue=colors.orange,
        neutral_hue=colors.stone,
        spacing_size=sizes.spacing_md,
        radius_size=sizes.radius_md,
        text_size=sizes.text_md,
        font=FONTS,
        font_mono=MONO,
    )
    values = dict(_SHAPES)
    for name, (light, dark) in _COLOURS.items():
        values[name], values[f"{name}_dark"] = light, dark
    return look.set(**values)
