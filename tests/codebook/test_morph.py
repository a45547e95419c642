"""Films between pictures, and the files they are kept in."""

from __future__ import annotations

from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from codebook.drawing import drawn
from studio.codebook.animation import save_animation
from studio.codebook.morph import dissolve_maps, grow, morph, spread_order, stepped_maps
from studio.codebook.tokens import TokenMap
from studio.codebook.vqgan import Vqgan
from studio.errors import InvalidRequest, UnknownName


@pytest.fixture(scope="module")
def ends(vqgan: Vqgan) -> tuple[TokenMap, TokenMap]:
    return vqgan.encode(drawn(61, 45, seed=1)), vqgan.encode(drawn(61, 45, seed=2))


@pytest.mark.parametrize("style", ["smooth", "stepped", "dissolve"])
def test_a_morph_begins_and_ends_with_the_exact_pictures(
    style: str, vqgan: Vqgan, ends: tuple[TokenMap, TokenMap]
) -> None:
    frames = list(morph(vqgan, *ends, style=style, frames=5))
    assert len(frames) == 5 and {f.size for f in frames} == {(61, 45)}
    assert frames[0].tobytes() == vqgan.decode(ends[0]).tobytes()
    assert frames[-1].tobytes() == vqgan.decode(ends[1]).tobytes()
    steps = [np.abs(np.asarray(f).astype(int) - np.asarray(frames[0])).mean() for f in frames]
    assert steps[0] == 0 and steps[2] > 0


def test_stepped_frames_are_the_nearest_codes_to_the_way_between(vqgan: Vqgan, ends: tuple[TokenMap, TokenMap]) -> None:
    maps = list(stepped_maps(vqgan, *ends, frames=3))
    middle = (vqgan.vectors[ends[0].codes] + vqgan.vectors[ends[1].codes]) / 2
    distance = np.linalg.norm(vqgan.vectors[maps[1].codes] - middle, axis=-1)
    best = np.linalg.norm(vqgan.vectors[None, None] - middle[:, :, None], axis=-1).min(-1)
    assert np.allclose(distance, best, atol=1e-5)


def test_dissolve_replaces_ever_more_tokens_and_growth_starts_from_one_code(
    vqgan: Vqgan, ends: tuple[TokenMap, TokenMap]
) -> None:
    maps = list(dissolve_maps(*ends, frames=4, seed=3))
    differs = ends[0].codes != ends[1].codes
    taken = [int(((m.codes == ends[1].codes) & differs).sum()) for m in maps]
    assert taken[0] == 0 and taken[-1] == differs.sum() and taken == sorted(taken)
    frames = list(grow(vqgan, ends[0], background=5, frames=3))
    flat = ends[0].with_codes(np.full(ends[0].shape, 5))
    assert frames[0].tobytes() == vqgan.decode(flat).tobytes()
    assert frames[-1].tobytes() == vqgan.decode(ends[0]).tobytes()


def test_the_order_of_tokens_is_seeded_and_spreads_evenly() -> None:
    order = spread_order((20, 30), seed=1)
    assert sorted(order.ravel()) == list(range(600))
    assert np.array_equal(order, spread_order((20, 30), seed=1))
    assert not np.array_equal(order, spread_order((20, 30), seed=2))
    early = order < 150
    quarters = [early[:10, :15], early[:10, 15:], early[10:, :15], early[10:, 15:]]
    assert all(30 <= q.sum() <= 45 for q in quarters)


def test_morphs_that_cannot_be_say_why(vqgan: Vqgan, ends: tuple[TokenMap, TokenMap]) -> None:
    with pytest.raises(InvalidRequest, match="61 x 45 and 8 x 8"):
        morph(vqgan, ends[0], vqgan.token_map(np.zeros((1, 1), int)))
    with pytest.raises(InvalidRequest, match="2 to 600 frames, not 1"):
        morph(vqgan, *ends, frames=1)
    with pytest.raises(UnknownName, match="kind of morph"):
        morph(vqgan, *ends, style="magic")  # type: ignore[arg-type]


def _frames() -> list[Image.Image]:
    return [drawn(61, 45, seed=i) for i in range(4)]


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_animated_pictures_hold_every_frame_and_loop(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"film{suffix}"
    assert save_animation(iter(_frames()), path, fps=10) == 4
    with Image.open(path) as film:
        assert film.n_frames == 4 and film.size == (61, 45) and film.info["loop"] == 0
        film.seek(2)
        shown = np.asarray(film.convert("RGB")).astype(int)
        assert film.info["duration"] == 100
    assert np.abs(shown - np.asarray(_frames()[2])).mean() < 8
    assert save_animation(_frames(), path, bounce=True) == 6


def test_films_play_everywhere_and_odd_sizes_are_padded(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    assert save_animation(_frames(), path, fps=8) == 4
    reader = imageio_ffmpeg.read_frames(str(path))
    facts = next(reader)
    frames = [np.frombuffer(f, np.uint8).reshape(46, 62, 3) for f in reader]
    assert facts["size"] == (62, 46) and facts["codec"] == "h264" and facts["pix_fmt"].startswith("yuv420p")
    assert len(frames) == 4
    assert np.abs(frames[2][:45, :61].astype(int) - np.asarray(_frames()[2])).mean() < 8


def test_films_that_cannot_be_leave_no_file(tmp_path: Path) -> None:
    for frames, name, error in (
        (_frames(), "a.avi", UnknownName),
        ([], "a.gif", InvalidRequest),
        ([drawn(8, 8, seed=0), drawn(9, 8, seed=0)], "a.mp4", InvalidRequest),
    ):
        with pytest.raises(error):
            save_animation(frames, tmp_path / name)
    with pytest.raises(InvalidRequest, match="at most 60, not 0"):
        save_animation(_frames(), tmp_path / "a.gif", fps=0)
    assert not list(tmp_path.iterdir()) or [p.name for p in tmp_path.iterdir()] == ["data"]
