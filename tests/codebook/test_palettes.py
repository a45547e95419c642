"""Palettes: taken from a picture, kept in a file, applied to another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import linprog

from studio.codebook.neighbours import CodeSpace
from studio.codebook.palettes import EXACT_TOKENS, Palette, transfer
from studio.codebook.tokens import TokenMap
from studio.errors import InvalidRequest

METHODS = ("nearest", "histogram", "transport")


@pytest.fixture
def palette(tokens: TokenMap) -> Palette:
    codes = np.random.default_rng(1).choice([2, 9, 17, 33, 50], p=[0.4, 0.3, 0.15, 0.1, 0.05], size=tokens.shape)
    return Palette.of(tokens.with_codes(codes), name="evening")


def _cost(codes: np.ndarray, new: np.ndarray, space: CodeSpace) -> float:
    assert space.lab is not None
    return float(((space.lab[codes].astype(float) - space.lab[new]) ** 2).sum())


def test_a_palette_holds_the_codes_of_its_picture_with_their_shares(tokens: TokenMap) -> None:
    palette = Palette.of(tokens)
    assert set(palette.codes) == set(np.unique(tokens.codes))
    assert sum(palette.weights) == pytest.approx(1) and list(palette.weights) == sorted(palette.weights, reverse=True)
    assert palette.weights[0] == tokens.counts.max() / tokens.codes.size


def test_a_palette_file_comes_back_the_same_and_bad_ones_are_explained(palette: Palette, tmp_path: Path) -> None:
    path = tmp_path / "evening.json"
    palette.save(path)
    assert Palette.load(path) == palette and path.stat().st_size < 2000
    for content, message in (
        ("{", "is not a palette"),
        ('{"checksum": "ab", "codes": [1], "weights": [1]}', "checksum"),
        (path.read_text().replace('"codes"', '"kodes"'), "codes field required|kodes"),
        (palette.model_copy(update={"weights": (1.0,)}).model_dump_json(), "5 codes but 1 weights"),
        (palette.model_copy(update={"codes": (1, 1, 2, 3, 4)}).model_dump_json(), "occurs twice"),
    ):
        (tmp_path / "bad.json").write_text(content)
        with pytest.raises(InvalidRequest, match=message):
            Palette.load(tmp_path / "bad.json")
    with pytest.raises(InvalidRequest, match="cannot be read"):
        Palette.load(tmp_path / "none.json")


@pytest.mark.parametrize("method", METHODS)
def test_full_strength_uses_the_palettes_codes_only(
    method: str, tokens: TokenMap, palette: Palette, space: CodeSpace
) -> None:
    new = transfer(tokens.codes, palette, space, method=method)
    assert set(np.unique(new)) <= set(palette.codes)
    assert np.array_equal(new, transfer(tokens.codes, palette, space, method=method))


@pytest.mark.parametrize("method", ["histogram", "transport"])
@pytest.mark.parametrize("rows", [9, 60])
def test_matched_methods_keep_the_palettes_shares(method: str, rows: int, palette: Palette, space: CodeSpace) -> None:
    codes = np.random.default_rng(3).integers(64, size=(rows, 40)).astype(np.int32)
    new = transfer(codes, palette, space, method=method)
    share = np.array([(new == code).mean() for code in palette.codes])
    slack = 1 / codes.size if method == "histogram" or codes.size <= EXACT_TOKENS else 0.02
    assert np.abs(share - np.array(palette.weights)).max() <= slack + 1e-9


def test_nearest_moves_each_token_least_and_transport_moves_all_least_given_the_shares(
    tokens: TokenMap, palette: Palette, space: CodeSpace
) -> None:
    costs = {m: _cost(tokens.codes, transfer(tokens.codes, palette, space, method=m), space) for m in METHODS}
    assert costs["nearest"] <= costs["transport"] <= costs["histogram"]


@pytest.mark.parametrize("rows", [10, 40])
def test_transport_is_close_to_the_linear_programs_optimum(rows: int, palette: Palette, space: CodeSpace) -> None:
    codes = np.random.default_rng(4).integers(64, size=(rows, 40)).astype(np.int32)
    used, counts = np.unique(codes, return_counts=True)
    chosen = np.array(palette.codes)
    assert space.lab is not None
    cost = ((space.lab[used].astype(float)[:, None] - space.lab[chosen][None]) ** 2).sum(-1)
    ideal = np.array(palette.weights) * codes.size
    equal = np.concatenate(
        [np.kron(np.eye(len(used)), np.ones(len(chosen))), np.kron(np.ones(len(used)), np.eye(len(chosen)))]
    )
    best = linprog(cost.ravel(), A_eq=equal, b_eq=np.concatenate([counts, ideal]), method="highs").fun
    found = _cost(codes, transfer(codes, palette, space, method="transport"), space)
    assert 0.97 * best <= found <= 1.06 * best


@pytest.mark.parametrize("method", METHODS)
def test_strength_is_the_share_of_tokens_that_change_smallest_moves_first(
    method: str, tokens: TokenMap, palette: Palette, space: CodeSpace
) -> None:
    whole = transfer(tokens.codes, palette, space, method=method)
    changes = int((whole != tokens.codes).sum())
    previous = 0
    for strength in (0.0, 0.25, 0.5, 0.75, 1.0):
        part = transfer(tokens.codes, palette, space, method=method, strength=strength)
        changed = part != tokens.codes
        assert changed.sum() == round(strength * changes) >= previous
        assert np.array_equal(part[changed], whole[changed])
        previous = int(changed.sum())


def test_a_mask_keeps_the_rest_as_it_was(tokens: TokenMap, palette: Palette, space: CodeSpace) -> None:
    mask = np.zeros(tokens.shape, bool)
    mask[:, 4:] = True
    for method in METHODS:
        new = transfer(tokens.codes, palette, space, method=method, mask=mask, by="embedding")
        assert np.array_equal(new[:, :4], tokens.codes[:, :4]) and set(np.unique(new[:, 4:])) <= set(palette.codes)
    nothing = transfer(tokens.codes, palette, space, mask=np.zeros(tokens.shape, bool))
    assert np.array_equal(nothing, tokens.codes)
