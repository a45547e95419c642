"""Neighbours, orders, usage, places, views and the meter: looking at codes without a model."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter
from skimage.color import rgb2lab
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from codebook.drawing import drawn
from studio.codebook.atlas import Atlas
from studio.codebook.choices import ORDERS
from studio.codebook.meter import measure, psnr, ssim
from studio.codebook.neighbours import CodeSpace, rgb_to_lab
from studio.codebook.orders import MAX_ASSIGNED, arrange
from studio.codebook.places import Example, examples
from studio.codebook.share import share
from studio.codebook.tokens import TokenMap
from studio.codebook.usage import Usage, count_usage
from studio.codebook.views import codes_view, difference, error_view, margin_view, usage_view
from studio.errors import InvalidRequest, UnknownName

CHECKSUM = "0123456789abcdef" * 4


@pytest.fixture
def usage(tokens: TokenMap) -> Usage:
    return count_usage([tokens.with_codes(tokens.codes % 50), tokens.with_codes(tokens.codes % 40)], corpus="two")


def test_what_a_page_uses_loads_no_torch() -> None:
    names = "tokens cells operations history palettes share atlas usage orders neighbours places views meter find"
    code = "import sys\n" + "\n".join(f"import studio.codebook.{n}" for n in names.split())
    done = subprocess.run(
        [sys.executable, "-c", code + "\nsys.exit('torch' in sys.modules or 'gradio' in sys.modules)"],
        cwd=Path(__file__).parent.parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_lab_is_that_of_scikit_image() -> None:
    rgb = np.random.default_rng(0).integers(256, size=(500, 3)).astype(np.uint8)
    assert np.abs(rgb_to_lab(rgb) - rgb2lab(rgb)).max() < 0.5


@pytest.mark.parametrize("by", ["embedding", "colour"])
def test_neighbours_are_the_nearest_other_codes_in_order(by: str, space: CodeSpace) -> None:
    points = space.points(by)
    for code in (0, 31, 63):
        found = space.neighbours(code, 5, by=by)
        distance = np.linalg.norm(points - points[code], axis=1)
        distance[code] = np.inf
        assert [n.code for n in found] == np.argsort(distance)[:5].tolist()
        assert [n.distance for n in found] == pytest.approx(np.sort(distance)[:5].tolist(), abs=1e-3)
    assert len(space.neighbours(3, 1000)) == 63
    with pytest.raises(InvalidRequest, match="no code 64"):
        space.neighbours(64)


def test_codes_are_found_by_colour(space: CodeSpace) -> None:
    swatches = np.zeros((64, 8, 8, 3), np.uint8)
    swatches[:, :, :, 0] = np.arange(64)[:, None, None] * 4
    red = Atlas(swatches, CHECKSUM).space(space.vectors)
    assert red.search_colour((200, 0, 0), 3)[0].code == 50
    assert red.search_colour((200, 0, 0), 1, among=(1, 2, 60))[0].code == 60
    with pytest.raises(InvalidRequest, match="from 0 to 255"):
        red.search_colour((0, 256, 0))


@pytest.mark.parametrize("order", ORDERS)
def test_an_arrangement_shows_every_live_code_once(order: str, space: CodeSpace, usage: Usage) -> None:
    for include_dead, expected in ((False, usage.live.tolist()), (True, list(range(64)))):
        grid = arrange(space, order, usage=usage, include_dead=include_dead, columns=10)
        assert grid.shape[1] == 10 and sorted(grid[grid >= 0].tolist()) == expected
    assert np.array_equal(arrange(space, order, usage=usage), arrange(space, order, usage=usage))


def test_orders_follow_their_key(space: CodeSpace, usage: Usage) -> None:
    lab, texture = space.lab, space.texture
    assert lab is not None and texture is not None
    assert (np.diff(lab[arrange(space, "lightness").ravel(), 0]) >= 0).all()
    assert (np.diff(texture[arrange(space, "texture").ravel()]) >= 0).all()
    by_usage = arrange(space, "usage", usage=usage).ravel()
    assert (np.diff(usage.counts[by_usage[by_usage >= 0]]) <= 0).all()
    with pytest.raises(InvalidRequest, match="once it is counted"):
        arrange(space, "usage")
    with pytest.raises(UnknownName, match='Did you mean "lightness"'):
        arrange(space, "lightnes")  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [64, 400, MAX_ASSIGNED + 52])
def test_similar_codes_are_neighbours_on_the_similarity_map(count: int) -> None:
    rng = np.random.default_rng(2)
    lab = rng.uniform((5, -60, -60), (95, 60, 60), (count, 3)).astype(np.float32)
    space = CodeSpace(lab[:, :2] / 10, lab, np.zeros(count, np.float32), CHECKSUM)
    grid = arrange(space, "similarity")
    pairs = np.concatenate([np.stack([grid[:, :-1], grid[:, 1:]], -1).reshape(-1, 2)])
    pairs = pairs[(pairs >= 0).all(1)]
    beside = np.linalg.norm(lab[pairs[:, 0]] - lab[pairs[:, 1]], axis=1).mean()
    shuffled = rng.permutation(count)
    random = np.linalg.norm(lab - lab[shuffled], axis=1).mean()
    assert beside < 0.75 * random


def test_usage_says_what_was_counted(usage: Usage, tmp_path: Path, tokens: TokenMap) -> None:
    assert usage.tokens == 216 and usage.pictures == 2 and len(usage.live) == 44
    assert "44 of 64 codes in use, over 216 tokens of 2 pictures (two); perplexity" in usage.describe()
    usage.save(tmp_path / "u.json")
    again = Usage.load(tmp_path / "u.json")
    assert np.array_equal(again.counts, usage.counts) and again.corpus == "two"
    flat = count_usage([tokens.with_codes(np.zeros((9, 12), int))], corpus="one")
    assert flat.perplexity == pytest.approx(1)
    with pytest.raises(InvalidRequest, match="no pictures to count"):
        count_usage([], corpus="none")


def test_pictures_are_ranked_by_their_share_of_a_code(tokens: TokenMap) -> None:
    few, many = np.zeros((9, 12), int), np.zeros((9, 12), int)
    few[0, :3] = many[0, :10] = 5
    rows = ((name, tokens.with_codes(c)) for name, c in (("few", few), ("none", few * 0), ("many", many), ("too", few)))
    assert examples(rows, 5, limit=2) == [Example("many", 10, 10 / 108), Example("few", 3, 3 / 108)]


def test_views_have_the_size_of_the_picture_and_show_what_they_claim(tokens: TokenMap) -> None:
    rng = np.random.default_rng(0)
    swatches = rng.integers(256, size=(64, 8, 8, 3)).astype(np.uint8)
    shown = codes_view(tokens, Atlas(swatches, CHECKSUM))
    assert shown.size == tokens.size
    assert np.array_equal(np.asarray(shown)[16:24, 24:32], swatches[tokens.codes[2, 3]])
    distance = rng.random(tokens.shape).astype(np.float32)
    distance[4, 4] = 9
    measured = TokenMap(tokens.codes, tokens.size, 8, 64, CHECKSUM, distance=distance, margin=distance)
    heat = np.asarray(error_view(measured)).astype(int).sum(-1)
    assert heat[36, 36] == heat.max() and margin_view(measured).size == tokens.size
    edited = measured.with_codes(np.where(tokens.codes == tokens.codes[0, 0], 63, tokens.codes))
    assert np.asarray(error_view(edited))[0, 0].tolist() == [96, 96, 96]
    assert usage_view(tokens).size == tokens.size
    with pytest.raises(InvalidRequest, match="not made from a picture"):
        error_view(tokens)
    picture = Image.new("RGB", tokens.size, (200, 100, 50))
    assert np.asarray(difference(picture, picture)).max() == 0


def test_psnr_and_ssim_are_those_of_scikit_image() -> None:
    first = drawn(93, 70, seed=1)
    second = first.filter(ImageFilter.GaussianBlur(2))
    a, b = np.asarray(first), np.asarray(second)
    assert psnr(first, second) == pytest.approx(peak_signal_noise_ratio(a, b), abs=1e-6)
    reference = structural_similarity(
        a, b, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255
    )
    assert ssim(first, second) == pytest.approx(reference, abs=1e-4)
    assert psnr(first, first) == np.inf and ssim(first, first) == pytest.approx(1)


def test_the_meter_counts_bits_and_compares_at_the_same_size() -> None:
    picture = drawn(640, 480, seed=3)
    codes = np.random.default_rng(0).integers(1024, size=(60, 80)).astype(np.int32)
    tokens = TokenMap(codes, (640, 480), 8, 1024, CHECKSUM)
    meter = measure(picture, tokens, picture.filter(ImageFilter.GaussianBlur(3)))
    assert meter.raw_bpp == pytest.approx(10 / 64)
    assert meter.entropy_bpp < meter.raw_bpp and meter.codes.bytes == 6000
    assert meter.packed_bpp == pytest.approx(8 * 6000 / (640 * 480))
    for other in meter.others:
        assert other.fits and other.bytes <= 6000 and other.quality is not None
        larger = io.BytesIO()
        kind = "WEBP" if other.name == "WebP" else "JPEG"
        options = {"method": 6} if kind == "WEBP" else {"optimize": True}
        picture.save(larger, kind, quality=min(other.quality + 8, 100), **options)
        assert larger.tell() > 6000 or other.quality >= 88
    tiny = measure(
        picture.resize((16, 16)), TokenMap(codes[:2, :2], (16, 16), 8, 1024, CHECKSUM), picture.resize((16, 16))
    )
    assert not tiny.others[0].fits and "cannot be as small" in tiny.describe()[2]
    assert len(share(tokens)) < 8200


def test_an_atlas_keeps_its_swatches_and_a_damaged_cache_is_not_believed(tmp_path: Path) -> None:
    swatches = np.random.default_rng(0).integers(256, size=(50, 8, 8, 3)).astype(np.uint8)
    atlas = Atlas(swatches, CHECKSUM)
    atlas.save(tmp_path)
    again = Atlas.load(tmp_path, CHECKSUM)
    assert again is not None and np.array_equal(again.swatches, swatches)
    assert Atlas.load(tmp_path, "f" * 64) is None
    sheet = atlas.sheet(np.array([[3, -1], [7, 9]]), cell=16)
    assert sheet.size == (32, 32) and sheet.getpixel((20, 4)) == (32, 32, 32)
    assert atlas.swatch(3, 8).tobytes() == swatches[3].tobytes()
    assert np.allclose(atlas.lab, rgb2lab(swatches).mean((1, 2)), atol=0.5)
    next(tmp_path.glob("*.png")).write_bytes(b"broken")
    assert Atlas.load(tmp_path, CHECKSUM) is None
