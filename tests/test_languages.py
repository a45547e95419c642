from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from studio.errors import StudioError
from studio.languages import LANGUAGES, SHIPPED, Dictionary, to_english


@pytest.mark.parametrize(
    ("prompt", "language", "english"),
    [
        ("一只红色的猫", "zh", "a red cat"),
        ("蓝色背景上的红苹果", "zh", "red apple, blue background"),
        ("三颗星星", "zh", "three stars"),
        ("一只戴着帽子的小狗", "zh", "a puppy wearing hat"),
        ("赤い猫", "ja", "red cat"),
        ("青い背景の白いウサギ", "ja", "white rabbit, blue background"),
        ("りんごとレモン、フラットスタイル", "ja", "apple and lemon, flat style"),
        ("un gato rojo sobre fondo azul", "es", "a red cat on a blue background"),
        ("dos perros y una manzana verde", "es", "two dogs and a green apple"),
        ("une petite maison rouge en bas à droite", "fr", "a small red house in the bottom right corner"),
        ("trois étoiles sur fond bleu, style dessin animé", "fr", "three stars on a blue background, cartoon style"),
        ("l’arbre vert", "fr", "the green tree"),
        ("raton laveur", "fr", "raccoon"),
        ("eine rote Katze auf blauem Hintergrund", "de", "a red cat on a blue background"),
        ("Blindenhund", "de", "guide dog"),
    ],
)
def test_prompts_of_five_languages_reach_english(prompt: str, language: str, english: str) -> None:
    translation = to_english(prompt)
    assert (translation.language, translation.text) == (language, english)


@pytest.mark.parametrize(
    "prompt",
    [
        "a red cat on a blue background",
        "gift",
        "a gift, 3d style",
        "pie",
        "watercolor of a lighthouse",
        "",
        "  ",
        "die hard",
        "!?",
    ],
)
def test_english_and_unknown_prompts_pass_untouched(prompt: str) -> None:
    translation = to_english(prompt)
    assert translation.text == prompt.strip()
    assert (translation.understood, translation.unknown, translation.language) == ((), (), "en")


def test_what_was_understood_is_told_in_order_and_the_rest_is_named() -> None:
    translation = to_english("un tren rápido y un gato")
    assert translation.understood == (("un", "a"), ("tren", "train"), ("y", "and"), ("un", "a"), ("gato", "cat"))
    assert translation.unknown == ("rápido",)
    assert "rápido" in translation.text


def test_the_longest_match_wins() -> None:
    words = {"zh": {"小": "small", "熊": "bear", "熊猫": "panda", "小熊猫": "red panda"}}
    dictionary = Dictionary(words, frozenset())
    assert dictionary.translate("小熊猫").text == "red panda"
    assert dictionary.translate("熊猫").text == "panda"
    assert dictionary.translate("小熊").text == "small bear"


def test_english_inside_another_language_is_kept() -> None:
    assert to_english("a cute 猫").text == "a cute cat"


def test_every_language_knows_thousands_of_words_in_a_small_file() -> None:
    assert SHIPPED.stat().st_size < 1_500_000
    size = Dictionary.load().size
    assert set(size) == set(LANGUAGES)
    assert min(size.values()) > 1500
    assert "MIT" in json.loads(SHIPPED.read_text(encoding="utf-8"))["licence"]


@pytest.mark.parametrize(
    "content", ["", "{}", '{"version": 1, "words": [], "english": []}', '{"version": 9, "words": {}, "english": []}']
)
def test_a_damaged_dictionary_is_refused_with_a_remedy(tmp_path: Path, content: str) -> None:
    (tmp_path / "languages.json").write_text(content)
    with pytest.raises(StudioError, match=r"languages\.json") as caught:
        Dictionary.load(tmp_path / "languages.json")
    assert "studio data build languages" in caught.value.hint


def test_translating_loads_neither_torch_nor_gradio_nor_training() -> None:
    code = "import sys; from studio.languages import to_english; to_english('gato'); "
    code += "print([m for m in sys.modules if m.startswith(('torch', 'gradio', 'studio.training'))])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=SHIPPED.parents[1]
    )
    assert done.stdout.strip() == "[]"
