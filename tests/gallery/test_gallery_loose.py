from __future__ import annotations

import os
from pathlib import Path

from PIL import Image

from studio.gallery.importing import own_recipe
from studio.gallery.loose import write_picture
from studio.requests import TextToImage


def test_a_picture_outside_the_gallery_carries_its_recipe_and_is_readable_as_any_file(tmp_path: Path) -> None:
    path = tmp_path / "apple.png"
    request = TextToImage(prompt="a red apple, 3d style", seed=7)
    write_picture(path, Image.new("RGB", (64, 64), "red"), request=request, seed=7, facts={"model": "m"})
    origin = own_recipe(path.read_bytes())
    assert origin is not None and origin.recipe.request == request
    with Image.open(path) as written:
        assert written.text["parameters"].startswith("a red apple, 3d style\nSteps: 20")  # type: ignore[attr-defined]
    mask = os.umask(0)
    os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask
