"""Local re-decode: fast while painting, exact when the stroke ends."""

from __future__ import annotations

import threading
from concurrent.futures import Future

import numpy as np
import pytest

from codebook.drawing import drawn, untrained
from studio.codebook.boxes import Box, changed_box
from studio.codebook.live import LivePicture
from studio.codebook.local import KEPT_RECORDINGS, LocalDecoder, Reach
from studio.codebook.tokens import TokenMap
from studio.codebook.vqgan import Vqgan
from studio.errors import InvalidRequest


@pytest.fixture(scope="module")
def decoder(vqgan: Vqgan) -> LocalDecoder:
    return LocalDecoder(vqgan)


@pytest.fixture(scope="module")
def large(vqgan: Vqgan) -> TokenMap:
    """A map large enough that one dab leaves its statistics as they are: 45 x 40 tokens, off the grid."""
    return vqgan.encode(drawn(357, 315, seed=3))


def dabbed(tokens: TokenMap, top: int, left: int, *, size: int = 1) -> TokenMap:
    codes = tokens.codes.copy()
    codes[top : top + size, left : left + size] = (int(codes[top, left]) + 7) % tokens.codebook_size
    return tokens.with_codes(codes)


def levels(first: object, second: object) -> np.ndarray:
    return np.abs(np.asarray(first).astype(float) - np.asarray(second))


def test_the_first_picture_and_the_settled_one_are_the_exact_decode(
    vqgan: Vqgan, decoder: LocalDecoder, large: TokenMap
) -> None:
    live = LivePicture(decoder, large)
    assert live.is_exact and live.image.tobytes() == vqgan.decode(large).tobytes()
    edited = dabbed(large, 10, 10)
    live.edit(edited)
    assert live.settle().tobytes() == live.image.tobytes() == vqgan.decode(edited).tobytes()
    assert live.is_exact and live.tokens == edited


def test_a_dab_is_within_a_level_of_the_exact_decode_and_touches_its_surroundings_only(
    vqgan: Vqgan, decoder: LocalDecoder, large: TokenMap
) -> None:
    before = np.asarray(vqgan.decode(large))
    for top, left in ((0, 0), (10, 20), (39, 44)):
        edited = dabbed(large, top, left)
        live = LivePicture(decoder, large)
        patch = live.edit(edited)
        assert patch is not None and not patch.exact and not live.is_exact
        shown = np.asarray(live.image)
        assert levels(shown, vqgan.decode(edited)).mean() < 1
        box = np.zeros(shown.shape[:2], bool)
        box[patch.top : patch.top + patch.image.height, patch.left : patch.left + patch.image.width] = True
        assert np.array_equal(shown[~box], before[~box])
        assert np.array_equal(shown[box].reshape(-1), np.asarray(patch.image).reshape(-1))
        assert (levels(shown, before)[box] > 0).any()


def test_with_its_own_recording_a_part_is_the_full_decode(vqgan: Vqgan, decoder: LocalDecoder, large: TokenMap) -> None:
    """Parts are right by themselves: what is approximated is what an edit changes outside, and nothing else."""
    pixels, recording = decoder.record(large)
    for box in (Box(0, 0, 4, 5), Box(12, 9, 15, 14), Box(36, 40, 40, 45)):
        local = decoder.decode(large, box, recording)
        at = box.scaled(8)
        assert levels(local, pixels[at.top : at.bottom, at.left : at.right]).max() <= 1


def test_many_edits_bring_an_exact_decode_before_the_error_adds_up(
    vqgan: Vqgan, decoder: LocalDecoder, large: TokenMap
) -> None:
    live, tokens, exact = LivePicture(decoder, large), large, 0
    for step in range(9):
        tokens = dabbed(tokens, 4 * step, 4 * step)
        patch = live.edit(tokens)
        assert patch is not None
        exact += patch.exact
    assert levels(live.image, vqgan.decode(tokens)).mean() < 1
    assert exact < 9


def test_a_long_stroke_stays_within_a_level_of_the_exact_decode(
    vqgan: Vqgan, decoder: LocalDecoder, large: TokenMap
) -> None:
    live, tokens, errors, exact = LivePicture(decoder, large), large, [], 0
    code = (int(large.codes[10, 2]) + 7) % large.codebook_size
    for column in range(2, 34):
        codes = tokens.codes.copy()
        codes[10:12, column : column + 2] = code
        tokens = tokens.with_codes(codes)
        patch = live.edit(tokens)
        exact += patch is not None and patch.exact
        errors.append(levels(live.image, vqgan.decode(tokens)).mean())
    assert max(errors) < 1 and np.mean(errors) < 0.75
    assert exact < 8, "most dabs are answered by a patch"
    assert live.settle().tobytes() == vqgan.decode(tokens).tobytes()


def test_an_exact_decode_beside_the_stroke_is_shown_by_the_next_edit(
    vqgan: Vqgan, decoder: LocalDecoder, large: TokenMap
) -> None:
    live = LivePicture(decoder, large)
    live._limit = 0.02  # of 1800 tokens: the first dab begins an exact decode, the third is not too much yet
    first = dabbed(large, 5, 5, size=5)
    live.edit(first)
    assert live._refresh is not None
    live._refresh.result.result()
    second = dabbed(first, 30, 30)
    patch = live.edit(second)
    assert patch is not None and not patch.exact and patch.image.size == large.size
    away = np.ones(np.asarray(patch.image).shape[:2], bool)
    away[20 * 8 :, 20 * 8 :] = False  # where the second dab was painted
    exact = np.asarray(vqgan.decode(first))
    assert np.array_equal(np.asarray(patch.image)[away], exact[away])


def test_what_is_painted_while_the_exact_decode_runs_stays_on_top(
    vqgan: Vqgan, decoder: LocalDecoder, large: TokenMap
) -> None:
    live = LivePicture(decoder, large)
    live._limit = 0.02
    first = dabbed(large, 5, 5, size=5)
    live.edit(first)
    assert live._refresh is not None
    running, live._refresh.result = live._refresh.result, Future()
    second = dabbed(first, 30, 5)
    patch = live.edit(second)
    assert patch is not None and patch.image.size != large.size, "still under way"
    live._refresh.result.set_result(running.result())
    live.edit(dabbed(second, 5, 30))
    shown, before = np.asarray(live.image), np.asarray(vqgan.decode(first))
    spot = (slice(30 * 8, 31 * 8), slice(5 * 8, 6 * 8))
    assert levels(shown[spot], np.asarray(vqgan.decode(second))[spot]).mean() < 4
    assert (shown[spot] != before[spot]).any()


def test_nothing_changed_means_nothing_to_repaint(decoder: LocalDecoder, large: TokenMap, vqgan: Vqgan) -> None:
    live = LivePicture(decoder, large)
    assert live.edit(large) is None and changed_box(large, large) is None
    with pytest.raises(InvalidRequest, match="the edit"):
        live.edit(vqgan.token_map(np.zeros((3, 3), int)))


def test_models_with_attention_decode_every_edit_exactly() -> None:
    vqgan = Vqgan(untrained(attention=True))
    decoder = LocalDecoder(vqgan)
    tokens = vqgan.token_map(np.arange(48).reshape(6, 8))
    live = LivePicture(decoder, tokens)
    edited = dabbed(tokens, 2, 2)
    patch = live.edit(edited)
    assert not decoder.is_local and patch is not None and patch.exact
    assert live.image.tobytes() == vqgan.decode(edited).tobytes()


def test_the_calibration_is_repeatable_and_the_model_is_left_as_it_was(vqgan: Vqgan, large: TokenMap) -> None:
    before = vqgan.decode(large).tobytes()
    first, second = LocalDecoder(vqgan).reach, LocalDecoder(vqgan).reach
    assert isinstance(first, Reach) and first == second and first.drift > 0
    assert vqgan.decode(large).tobytes() == before


def test_two_painters_do_not_disturb_each_other(vqgan: Vqgan, decoder: LocalDecoder, large: TokenMap) -> None:
    other = vqgan.encode(drawn(357, 315, seed=8))
    alone = []
    for tokens in (large, other):
        live = LivePicture(decoder, tokens)
        live.edit(dabbed(tokens, 5, 5))
        alone.append(live.image.tobytes())
    together: dict[int, bytes] = {}

    def paint(index: int, tokens: TokenMap) -> None:
        live = LivePicture(decoder, tokens)
        live.edit(dabbed(tokens, 5, 5))
        together[index] = live.image.tobytes()

    threads = [threading.Thread(target=paint, args=pair) for pair in enumerate((large, other))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [together[0], together[1]] == alone


def test_only_the_newest_recordings_are_kept_and_a_picture_that_lost_its_own_is_decoded_exactly(
    vqgan: Vqgan, decoder: LocalDecoder, large: TokenMap
) -> None:
    live = LivePicture(decoder, large)
    others = [decoder.record(large)[1] for _ in range(KEPT_RECORDINGS)]
    assert all(recording.is_complete for recording in others)
    edited = dabbed(large, 5, 5)
    patch = live.edit(edited)
    assert patch is not None and patch.exact and patch.image.tobytes() == vqgan.decode(edited).tobytes()
    patch = live.edit(dabbed(edited, 9, 9))
    assert patch is not None and not patch.exact, "the exact decode is kept again"


def test_a_large_picture_keeps_its_coarse_levels_only(
    vqgan: Vqgan, decoder: LocalDecoder, large: TokenMap, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = decoder.record(large)[1]
    monkeypatch.setattr("studio.codebook.local.KEPT_BYTES", 2**20)
    pixels, recording = decoder.record(large)
    assert 1 <= recording.levels < before.levels
    local = decoder.decode(large, Box(12, 9, 15, 14), recording)
    assert levels(local, pixels[12 * 8 : 15 * 8, 9 * 8 : 14 * 8]).max() <= 1
