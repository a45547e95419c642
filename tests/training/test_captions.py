from __future__ import annotations

import numpy as np
import pytest

from studio.training import captions


@pytest.mark.parametrize(
    ("label", "category", "name"),
    [
        ("dog face", "animal", "dog"),
        ("red apple", "food", "apple"),
        ("flag: France", "flag", "flag of france"),
        ("man: curly hair", "person", "man with curly hair"),
        ("automobile", "vehicle", "car"),
        ("sun with face", "nature", "sun"),
        ("orange", "food", "orange"),
        ("woman’s hat", "clothing", "hat"),
        ("smiling face", "face", "smiling face"),
    ],
)
def test_labels_become_what_people_say(label: str, category: str, name: str) -> None:
    assert captions.spoken_names(label, category=category)[0] == name


def test_shortcodes_add_everyday_names_without_numbers_and_colours() -> None:
    names = captions.spoken_names("automobile", ["car", "red_car", "motorcar2", "mag"], category="vehicle")
    assert names == ("car", "motorcar")


def test_keywords_say_something_new_and_no_slang() -> None:
    tags = ["cat", "pet", "lol", "red", "U.S.", "whiskers", "pet"]
    assert captions.clean_keywords(tags, ["cat"]) == ("pet", "whiskers")


@pytest.mark.parametrize(
    ("noun", "adjectives", "phrase"),
    [
        ("orange", (), "an orange"),
        ("unicorn", (), "a unicorn"),
        ("umbrella", (), "an umbrella"),
        ("apple", ("red",), "a red apple"),
        ("cat", ("orange",), "an orange cat"),
        ("scissors", (), "scissors"),
        ("grapes", ("green",), "green grapes"),
        ("bread", (), "bread"),
        ("sun", (), "the sun"),
        ("sun", ("red",), "a red sun"),
        ("mount fuji", (), "mount fuji"),
        ("octopus", (), "an octopus"),
        ("two beer mugs", (), "two beer mugs"),
        ("hourglass", (), "an hourglass"),
    ],
)
def test_articles(noun: str, adjectives: tuple[str, ...], phrase: str) -> None:
    assert captions.with_article(noun, adjectives=adjectives) == phrase


@pytest.mark.parametrize(
    ("noun", "expected"),
    [
        ("star", "stars"),
        ("cherry", "cherries"),
        ("fox", "foxes"),
        ("cup of coffee", "cups of coffee"),
        ("woman with red hair", "women with red hair"),
        ("christmas tree", "christmas trees"),
        ("leaf", "leaves"),
        ("bus", "buses"),
    ],
)
def test_plurals_change_the_head_alone(noun: str, expected: str) -> None:
    assert captions.plural(noun) == expected


def test_only_countable_things_are_counted() -> None:
    assert captions.can_be_counted("star")
    assert not any(map(captions.can_be_counted, ("grapes", "bread", "sun", "pair of eyes", "mount fuji", "fishing")))


def test_the_canonical_caption_names_thing_and_style() -> None:
    assert captions.canonical("apple", "3d", adjectives=("red",)) == "a red apple, 3d style"
    assert captions.canonical("apple", "") == "an apple"


def test_a_style_unknown_to_us_is_said_as_it_is() -> None:
    rng = np.random.default_rng(0)
    said = {captions.in_style("a cat", "watercolour", rng) for _ in range(40)}
    assert said == {"a cat, watercolour style", "watercolour style, a cat", "a cat in watercolour style"}
