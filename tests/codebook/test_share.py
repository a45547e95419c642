"""Pictures as text."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.codebook.share import PREFIX, bits_for, load_share, pack_bits, save_share, share, unpack_bits, unshare
from studio.codebook.tokens import TokenMap
from studio.errors import InvalidRequest

CHECKSUM = "0123456789abcdef" * 4


@settings(max_examples=150, deadline=None)
@given(
    width=st.integers(1, 150),
    height=st.integers(1, 150),
    factor=st.sampled_from([1, 4, 8, 16]),
    codebook_size=st.sampled_from([1, 2, 3, 64, 1000, 1024, 16384, 70_000]),
    variety=st.sampled_from([1, 2, 7, 10**6]),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_map_comes_back_exactly(
    width: int, height: int, factor: int, codebook_size: int, variety: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    palette = rng.integers(codebook_size, size=min(variety, codebook_size))
    codes = rng.choice(palette, size=(-(-height // factor), -(-width // factor))).astype(np.int32)
    tokens = TokenMap(codes, (width, height), factor, codebook_size, CHECKSUM)
    text = share(tokens)
    assert re.fullmatch(r"[A-Za-z0-9._-]+", text)
    assert unshare(text, checksum=CHECKSUM) == tokens
    assert np.array_equal(unshare(text).codes, codes)


def test_the_text_is_about_as_short_as_the_codes(tokens: TokenMap) -> None:
    head = 2 + 1 + 1 + 8 + 5 + 4 + 3
    assert len(share(tokens)) <= len(PREFIX) + (head + 108 * 6 / 8) * 4 / 3 + 4
    flat = tokens.with_codes(np.full(tokens.shape, 5))
    assert len(share(flat)) < 60


def test_spaces_quotes_and_line_breaks_do_no_harm(tokens: TokenMap) -> None:
    text = share(tokens)
    folded = ' "' + "\n".join(text[i : i + 40] for i in range(0, len(text), 40)) + '"\r\n'
    assert unshare(folded, checksum=CHECKSUM) == tokens


def test_a_string_cut_short_says_so_wherever_it_is_cut(tokens: TokenMap) -> None:
    text = share(tokens)
    for length in range(len(PREFIX) + 24, len(text)):
        with pytest.raises(InvalidRequest, match="cut short"):
            unshare(text[:length])


def test_a_damaged_string_never_gives_another_picture(tokens: TokenMap) -> None:
    text = share(tokens)
    rng = np.random.default_rng(0)
    for at in range(len(PREFIX), len(text)):
        other = rng.choice([c for c in "ABCxyz019-_" if c != text[at]])
        damaged = text[:at] + other + text[at + 1 :]
        try:
            assert unshare(damaged, checksum=CHECKSUM) == tokens  # spare bits of the last character
        except InvalidRequest as error:
            assert error.hint


@pytest.mark.parametrize("text", ["", "hello", PREFIX, PREFIX + "AAAA", "x" * 500_000, "été", PREFIX + "=" * 8])
def test_text_that_is_no_picture_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"not a picture|too long|cut short"):
        unshare(text)


def test_a_picture_of_another_model_or_a_newer_studio_is_named(tokens: TokenMap) -> None:
    with pytest.raises(InvalidRequest, match=r"made with another model \(checksum 01234567, this model has ffffffff\)"):
        unshare(share(tokens), checksum="f" * 64)
    body = bytearray(base64.urlsafe_b64decode(share(tokens).removeprefix(PREFIX) + "=="))
    body[2] = 9
    with pytest.raises(InvalidRequest, match="format 9; this studio knows format 1"):
        unshare(PREFIX + base64.urlsafe_b64encode(body).decode())


def test_a_text_that_claims_a_huge_picture_is_refused_without_making_it() -> None:
    import zlib

    def leb(n: int) -> bytes:
        out = b""
        while n >= 128:
            out += bytes([n & 127 | 128])
            n >>= 7
        return out + bytes([n])

    payload = zlib.compress(bytes(10_000))
    numbers = b"".join(leb(n) for n in (1024, 8, 2**31, 2**31, len(payload)))
    body = b"TM" + bytes([1, 2]) + bytes.fromhex(CHECKSUM)[:8] + numbers + payload
    text = PREFIX + base64.urlsafe_b64encode(body + zlib.crc32(body).to_bytes(4, "big")).decode()
    with pytest.raises(InvalidRequest, match="more than this studio opens"):
        unshare(text)


def test_files_hold_the_same_text(tokens: TokenMap, tmp_path: Path) -> None:
    save_share(tokens, tmp_path / "a.tokens")
    assert (tmp_path / "a.tokens").read_text() == share(tokens) + "\n"
    assert load_share(tmp_path / "a.tokens", checksum=CHECKSUM) == tokens
    (tmp_path / "b.tokens").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidRequest, match="not a shared picture"):
        load_share(tmp_path / "b.tokens")
    with pytest.raises(InvalidRequest, match="cannot be read"):
        load_share(tmp_path / "none.tokens")


@settings(max_examples=60, deadline=None)
@given(bits=st.integers(0, 24), values=st.lists(st.integers(0, 2**24 - 1), max_size=50))
def test_bits_come_back(bits: int, values: list[int]) -> None:
    numbers = np.array(values, dtype=np.int64) & ((1 << bits) - 1)
    packed = pack_bits(numbers, bits)
    assert len(packed) == -(-len(values) * bits // 8)
    assert np.array_equal(unpack_bits(packed, len(values), bits), numbers)


def test_bits_are_counted_as_in_the_books() -> None:
    assert [bits_for(n) for n in (1, 2, 3, 4, 5, 1024, 1025)] == [0, 1, 2, 2, 3, 10, 11]
