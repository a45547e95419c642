"""Sixty-four prompts at fixed seeds as one picture: what a text-to-picture model can do, at a look.

The prompts and seeds are fixed here and not chosen by what came out: prompt k is made with seed k.
"""

from __future__ import annotations

from collections.abc import Callable
from textwrap import wrap

from PIL import Image, ImageDraw, ImageFont

PROMPTS = (
    "a red apple, 3d style", "a strawberry", "a yellow lemon", "a slice of pizza",
    "a cup of coffee", "a birthday cake", "a red mushroom", "an ice cream, 3d style",
    "a cat, 3d style", "a dog, clipart style", "a purple fish", "an orange butterfly",
    "a blue bird", "a green frog", "a pig, flat style", "an elephant",
    "a yellow flower on a blue background", "a green tree, flat style", "a rose", "a cactus",
    "the sun", "a full moon, 3d style", "a rainbow", "a cloud with rain",
    "a blue car, flat style", "a red bus", "a bicycle", "a ship on the sea",
    "a rocket, flat style", "an aeroplane", "a steam train", "a hot air balloon",
    "a house, 3d style", "a castle", "a tent", "a lighthouse",
    "a smiling face, 3d style", "a sad face", "a robot", "a ghost",
    "a pink heart", "a yellow star", "three stars", "a blue diamond",
    "a guitar, 3d style", "a drum", "a camera", "a clock",
    "a book, flat style", "a pencil", "a pair of scissors", "a green umbrella",
    "a football", "a gold trophy", "a gift box", "a key",
    "a cat and a lemon", "two green bottles", "a small red ball on a yellow background", "a dog and a tree",
    "a white swan on a green background", "a purple car", "a black hat", "a crown on a red background",
)  # fmt: skip
_COLUMNS, _GAP, _LINES, _LINE = 8, 6, 2, 13


def prompt_grid(
    make: Callable[[str, int], Image.Image],
    *,
    side: int = 128,
    say: Callable[[str], None] = lambda line: None,
) -> Image.Image:
    """Return all prompts' pictures in rows of eight, each over its words.

    Args:
        make: Makes the picture of a prompt and a seed.
        side: Longer side of each picture on the sheet in pixels.
        say: Is told how far it is.
    """
    font = ImageFont.load_default(10)
    height = side + _LINES * _LINE
    rows = -(-len(PROMPTS) // _COLUMNS)
    sheet = Image.new(
        "RGB", (_COLUMNS * (side + _GAP) + _GAP, rows * (height + _GAP) + _GAP), "white"
    )  # the pictures' own ground
    pen = ImageDraw.Draw(sheet)
    for seed, prompt in enumerate(PROMPTS):
        picture = make(prompt, seed).convert("RGB")
        picture.thumbnail((side, side), Image.Resampling.LANCZOS)
        x, y = _GAP + seed % _COLUMNS * (side + _GAP), _GAP + seed // _COLUMNS * (height + _GAP)
        sheet.paste(picture, (x, y))
        words = "\n".join(wrap(prompt, side // 5, max_lines=_LINES, placeholder=" …"))
        pen.multiline_text(
            (x + side // 2, y + side + 1), words, fill="#444", font=font, anchor="ma", align="center", spacing=2
        )
        if (seed + 1) % _COLUMNS == 0:
            say(f"{seed + 1} of {len(PROMPTS)}")
    return sheet
