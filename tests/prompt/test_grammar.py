"""The grammar: every row of assets/docs/prompts.md, and properties that hold for any text."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.errors import InvalidRequest
from studio.prompt.grammar import MAX_DEPTH, parse, prompts_of
from studio.prompt.phrase import EMPTY, Phrase, Words, phrase_at, read_phrase
from studio.prompt.timeline import timeline
from studio.prompt.tree import Text

DOCS = Path(__file__).resolve().parents[2] / "assets" / "docs" / "prompts.md"
ROW = re.compile(r"^\| `(.+?)` \| (\d+) of (\d+) \| `(.*?)` \|", re.MULTILINE)
PIECES = [*"ab (:)[]{|}\\_$.,013\n", "AND", "BREAK", "__"]
ANY = st.lists(st.sampled_from(PIECES), max_size=60).map("".join)


def cases() -> list[tuple[str, int, int, str]]:
    rows = ROW.findall(DOCS.read_text(encoding="utf-8"))
    return [(unpiped(prompt, escapes=True), int(step), int(total), unpiped(read)) for prompt, step, total, read in rows]


def unpiped(text: str, *, escapes: bool = False) -> str:
    """Markdown tables write a bar as \\|; the row about backslashes means both characters."""
    return text if escapes and r"a\|b" in text else text.replace(r"\|", "|")


def written(prompt: str, step: int, total: int) -> str:
    """What the model reads, in the notation of the documentation."""
    parts = prompts_of(parse(prompt))
    return " & ".join(chunks(phrase_at(p, step=step, total=total)) + ("" if w == 1 else f"×{w:g}") for p, w in parts)


def chunks(phrase: Phrase) -> str:
    return " ⏎ ".join("".join(map(run, chunk)) for chunk in phrase.chunks)


def run(words: Words) -> str:
    return words.text if words.weight == 1 else f"‹{words.text}›{words.weight:.3g}"


@pytest.mark.parametrize(("prompt", "step", "total", "read"), cases())
def test_every_row_of_the_documentation_reads_as_it_says(prompt: str, step: int, total: int, read: str) -> None:
    assert written(prompt, step, total) == read


def test_the_documentation_has_its_rows() -> None:
    assert len(cases()) >= 30


@given(ANY)
def test_any_text_is_a_prompt(text: str) -> None:
    """Whatever is typed has parts, and a phrase at every step; only a weight beyond 10 is refused."""
    try:
        assert timeline(text, text, steps=3)
    except InvalidRequest as error:
        assert "out of range" in error.message and re.search(r":\s*-?[\d. \n]*\d", text)


@given(st.text(alphabet=st.characters(exclude_categories=("Cs",), exclude_characters="()[]{}\\_")))
def test_words_without_brackets_are_left_as_they_are(text: str) -> None:
    if "BREAK" not in text and "AND" not in text:
        assert read_phrase(text).plain == text.strip()


@given(st.text(max_size=40))
def test_escaped_text_is_read_back(text: str) -> None:
    """A backslash before every character of the syntax gives the text itself."""
    if "BREAK" in text or "AND" in text:
        return
    escaped = re.sub(r"([()\[\]{}|:_\\])", r"\\\1", text)
    assert read_phrase(escaped).plain == text.strip()


@given(st.floats(-10, 10).map(lambda number: round(number, 3)), st.floats(-3, 3).map(lambda number: round(number, 3)))
def test_nested_weights_multiply(outer: float, inner: float) -> None:
    (words,) = read_phrase(f"((cat:{inner:.3f}):{outer:.3f})").chunks[0]
    assert words == Words("cat", outer * inner) or abs(words.weight - outer * inner) < 1e-9


@given(st.integers(1, 40), st.integers(0, 100))
def test_a_share_switches_where_the_same_step_number_does(steps: int, percent: int) -> None:
    share = percent / 100
    last = int(share * steps)
    by_share = timeline(f"[a:b:{share:.2f}]", "", steps=steps)
    by_number = timeline(f"[a:b:{last}]", "", steps=steps) if last >= 1 or percent == 0 else by_share
    assert [m.begin for m in by_share] == [m.begin for m in by_number]


@given(st.integers(1, 30), st.integers(2, 5))
def test_options_take_turns(steps: int, count: int) -> None:
    options = [f"w{i}" for i in range(count)]
    moments = timeline(f"[{'|'.join(options)}]", "", steps=steps)
    assert [m.prompts[0][0].plain for m in moments] == [options[i % count] for i in range(steps)]


def test_equal_moments_are_one() -> None:
    assert len(timeline("a cat AND a [dog]", "blurry", steps=50)) == 1


def test_a_negative_prompt_is_scheduled_and_never_composed() -> None:
    first, second = timeline("a cat", "[fog:rain AND snow:0.5]", steps=10)
    assert (first.negative.plain, second.negative.plain) == ("fog", "rain AND snow")
    assert second.begin == 5


@pytest.mark.parametrize("prompt", ["(a:11)", "a AND b:-99"])
def test_a_weight_out_of_range_is_refused(prompt: str) -> None:
    with pytest.raises(InvalidRequest, match="out of range"):
        prompts_of(parse(prompt))


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(InvalidRequest, match=f"more than {MAX_DEPTH} deep"):
        parse("(" * 500 + "a" + ")" * 500)


@settings(max_examples=5)
@given(st.integers(400, 1900))
def test_unclosed_brackets_cost_no_depth(count: int) -> None:
    assert parse("(" * count) == (Text("(" * count),)


def test_nothing_is_the_empty_phrase() -> None:
    assert read_phrase("") == read_phrase("  ") == EMPTY
    assert EMPTY.plain == ""
