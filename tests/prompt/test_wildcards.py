"""Random words: drawn by the seed, from the lists there are, never more than a prompt may hold."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio.errors import InvalidRequest, UnknownName
from studio.prompt.grammar import parse
from studio.prompt.spoken import spoken
from studio.prompt.tree import Text
from studio.prompt.wildcards import SHIPPED, WordLists, is_random, resolve
from studio.requests import StyleWords, TextToImage

NONE = WordLists(())


def lists(folder: Path, **files: str) -> WordLists:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    return WordLists((folder,))


@given(st.integers(0, 2**32 - 1))
def test_one_option_is_taken_and_the_rest_is_untouched(seed: int) -> None:
    assert resolve("a {red|green} (cat:1.2) [x:y:0.5]", seed=seed, lists=NONE) in {
        "a red (cat:1.2) [x:y:0.5]",
        "a green (cat:1.2) [x:y:0.5]",
    }


def test_a_seed_means_the_same_words_for_ever() -> None:
    """Written down once: a change here would change every picture with random words."""
    drawn = [resolve("{a|b|c} {1-3$$x|y|z}", seed=seed, lists=NONE) for seed in range(5)]
    assert drawn == ["b x, z", "c z, x", "a x, z, y", "c z, x", "a z, y"]


@given(st.integers(0, 999), st.integers(1, 6))
def test_several_are_different_ones(seed: int, count: int) -> None:
    drawn = resolve(f"{{{count}$$a|b|c|d}}", seed=seed, lists=NONE).split(", ")
    assert len(drawn) == len(set(drawn)) == min(count, 4)


@given(st.integers(0, 999))
def test_the_count_may_stand_at_any_option(seed: int) -> None:
    assert resolve("{a|b|2$$c}", seed=seed, lists=NONE) == resolve("{2$$a|b|c}", seed=seed, lists=NONE)


def test_shares_make_options_likely() -> None:
    drawn = [resolve("{9::red|green|0::blue}", seed=seed, lists=NONE) for seed in range(400)]
    assert "blue" not in drawn
    assert drawn.count("red") > 4 * drawn.count("green") > 0


@given(st.text(alphabet="ab{}|$_: ()[]:.12\\", max_size=50), st.integers(0, 9))
def test_what_is_drawn_is_drawn(text: str, seed: int) -> None:
    """No random part is left, and a text without one comes back as it was."""
    try:
        drawn = resolve(text, seed=seed, lists=NONE)
    except InvalidRequest:
        return
    assert is_random(text) or drawn == text


def test_lists_nest_and_have_comments_and_shares(tmp_path: Path) -> None:
    words = lists(tmp_path, animal="# mine\n\n3::cat\n{big|small} dog\n", scene="a __animal__, __animal__")
    drawn = {resolve("__scene__", seed=seed, lists=words) for seed in range(60)}
    assert "a cat, cat" in drawn
    assert all(set(line.removeprefix("a ").split(", ")) <= {"cat", "big dog", "small dog"} for line in drawn)


def test_several_entries_of_one_list(tmp_path: Path) -> None:
    words = lists(tmp_path, colour="red\ngreen\nblue")
    for seed in range(20):
        assert len(set(resolve("{2$$ and $$__colour__}", seed=seed, lists=words).split(" and "))) == 2


def test_a_later_folder_replaces_a_list(tmp_path: Path) -> None:
    lists(tmp_path / "own", colour="mauve")
    words = WordLists((SHIPPED, tmp_path / "own"))
    assert resolve("__colour__", seed=1, lists=words) == "mauve"
    assert {"animal", "colour", "thing"} <= set(words.names())


def test_an_unknown_list_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match=r'no word list "color".*colour'):
        resolve("__color__", seed=1, lists=lists(tmp_path, colour="red"))


def test_lists_that_hold_each_other_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="hold itself"):
        resolve("__a__", seed=1, lists=lists(tmp_path, a="__b__", b="__a__"))


def test_an_empty_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match='"a" is empty'):
        resolve("__a__", seed=1, lists=lists(tmp_path, a="# nothing\n"))


def test_a_list_that_grows_without_end_is_refused(tmp_path: Path) -> None:
    words = lists(tmp_path, a="__b__ __b__ __b__ __b__", b="x" * 700)
    with pytest.raises(InvalidRequest, match="longer than 2,000"):
        resolve("__a__", seed=1, lists=words)


@pytest.mark.parametrize("name", sorted(SHIPPED.glob("*.txt")), ids=lambda path: path.stem)
def test_every_shipped_list_resolves(name: Path) -> None:
    words = WordLists()
    for entry in words.entries(name.stem):
        parts = parse(resolve(entry.text, seed=3, lists=words))
        assert all(isinstance(part, Text) for part in parts)


def test_styles_stack_around_words_that_are_drawn_once() -> None:
    request = TextToImage(
        prompt="a {red|green} apple",
        negative_prompt="dark",
        styles=(
            StyleWords(name="ink", prompt="ink of {prompt}, {thin|thick} lines", negative_prompt="photo"),
            StyleWords(name="soft", prompt="soft light"),
        ),
    )
    said = [spoken(request, seed=seed, lists=NONE) for seed in range(8)]
    assert {one.own for one in said} == {"a red apple", "a green apple"}
    for one in said:
        assert one.prompt in {f"ink of {one.own}, {kind} lines, soft light" for kind in ("thin", "thick")}
        assert one.negative_prompt == "dark, photo"
        assert one.facts == {"drawn": {"prompt": one.own, "negative_prompt": "dark"}}


def test_nothing_random_leaves_no_facts() -> None:
    assert spoken(TextToImage(prompt="a cat"), seed=1, lists=NONE).facts == {}
