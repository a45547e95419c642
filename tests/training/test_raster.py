from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from studio.training.raster import FILL, Unusable, fit, rasterise, resize
from tests.training.sources import disc, svg, write_picture


def extent(rgba: np.ndarray) -> tuple[int, int]:
    rows, columns = np.flatnonzero(rgba[..., 3].max(1) > 128), np.flatnonzero(rgba[..., 3].max(0) > 128)
    return int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1


def test_a_drawing_is_centred_and_fills_the_frame_to_its_margin() -> None:
    rgba = rasterise(svg("lemon"))
    assert rgba.shape == (256, 256, 4)
    height, width = extent(rgba)
    assert abs(width - FILL) <= 2
    assert abs(height - FILL * 9 / 14) <= 3
    assert abs(np.flatnonzero(rgba[..., 3].max(0) > 128).mean() - 127.5) < 2


def test_a_small_drawing_on_a_large_page_is_drawn_as_sharp_as_any(tmp_path: Path) -> None:
    page = svg("apple").replace('viewBox="0 0 32 32"', 'width="210mm" height="297mm" viewBox="0 0 320 450"')
    large, small = rasterise(svg("apple")), rasterise(page)
    assert np.abs(large.astype(int) - small).mean() < 2


def test_scaling_leaves_no_dark_rim_around_a_bright_thing() -> None:
    small = resize(disc((255, 255, 0), side=300), (60, 60))
    assert small[small[..., 3] > 20][:, :2].min() > 245


def test_a_photo_fills_the_frame_as_a_centred_square(tmp_path: Path) -> None:
    pixels = np.full((200, 400, 4), 255, np.uint8)
    pixels[:, 100:300, :3] = (10, 200, 10)
    rgba = rasterise(write_picture(tmp_path / "photo.png", pixels))
    assert (rgba[..., 3] == 255).all()
    assert np.abs(rgba[..., :3].reshape(-1, 3).astype(int) - (10, 200, 10)).mean() < 2


def test_a_photo_is_turned_upright(tmp_path: Path) -> None:
    image = Image.new("RGB", (200, 200), (255, 255, 255))
    image.paste((200, 0, 0), (0, 0, 200, 100))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: the left side is up
    image.save(tmp_path / "turned.jpg", exif=exif)
    rgba = rasterise(tmp_path / "turned.jpg")
    assert rgba[128, 230, 1] < 60
    assert rgba[128, 20, 1] > 200


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "cannot be read"),
        (b"\x89PNG\r\n\x1a\n damaged", "cannot be read"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'", "cannot be read"),
    ],
)
def test_damaged_bitmaps_are_refused_with_a_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "bad.png").write_bytes(content)
    with pytest.raises(Unusable, match=reason):
        rasterise(tmp_path / "bad.png")


def test_a_cut_off_photo_is_refused(tmp_path: Path) -> None:
    Image.effect_noise((300, 300), 80).save(tmp_path / "cut.jpg")
    data = (tmp_path / "cut.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(data[: len(data) // 2])
    with pytest.raises(Unusable, match="cannot be read"):
        rasterise(tmp_path / "cut.jpg")


@pytest.mark.parametrize(
    ("drawing", "reason"),
    [
        ("<svg", "cannot be rendered"),
        (svg("apple").replace("</svg>", "<text>hello</text></svg>"), "contains text"),
        ('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"/>', "empty"),
    ],
)
def test_unusable_drawings_are_refused_with_a_reason(drawing: str, reason: str) -> None:
    with pytest.raises(Unusable, match=reason):
        rasterise(drawing)


@pytest.mark.parametrize(
    ("height", "width", "reason"), [(10, 100, "too long"), (40, 50, "too small"), (256, 256, "empty")]
)
def test_shapes_that_teach_nothing_are_refused(height: int, width: int, reason: str) -> None:
    rgba = np.zeros((256, 256, 4), np.uint8)
    if reason != "empty":
        rgba[:height, :width] = 200
    with pytest.raises(Unusable, match=reason):
        fit(rgba)


def test_a_long_thin_photo_is_refused() -> None:
    with pytest.raises(Unusable, match="too long"):
        fit(np.full((100, 500, 4), 255, np.uint8))
