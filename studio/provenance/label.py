"""The visible mark: the letters AI in a corner."""

from __future__ import annotations

from PIL import Image, ImageDraw, ImageFont

_OF_SHORTER_SIDE, _LEAST_PIXELS = 0.05, 14
_GROUND, _INK = (20, 18, 16, 150), (255, 255, 255, 235)


def label(image: Image.Image) -> Image.Image:
    """Return `image` (RGB, RGBA or L) with "AI" in its lower right corner, a twentieth of the shorter side high."""
    height = max(_LEAST_PIXELS, round(min(image.size) * _OF_SHORTER_SIDE))
    width, margin = round(height * 1.5), round(height * 0.45)
    badge = Image.new("RGBA", image.size)
    draw = ImageDraw.Draw(badge)
    left, top = image.width - width - margin, image.height - height - margin
    draw.rounded_rectangle((left, top, left + width, top + height), radius=height * 0.28, fill=_GROUND)
    font = ImageFont.load_default(size=height * 0.68)
    draw.text((left + width / 2, top + height / 2), "AI", font=font, fill=_INK, anchor="mm")
    marked = Image.alpha_composite(image.convert("RGBA"), badge)
    return marked if image.mode == "RGBA" else marked.convert("RGB")
