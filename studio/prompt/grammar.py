r"""The grammar of prompts, and the parser that turns a prompt into its parts.

Any text is a prompt: a bracket without its partner, a colon or bar outside of square brackets, and braces
without a bar or count are words like others. A backslash makes one of `( ) [ ] { } | : _ \` a plain character.

The syntax is that of stable-diffusion-webui (`modules/prompt_parser.py`) for `( )`, `[ ]`, BREAK and AND, and
that of dynamicprompts for `{ }` and `__name__`. Deviations, all of them where the peers' own parsers give up:
an unclosed bracket is a character (there it weights the rest), AND inside of brackets is a word (there it cuts
them in two), and a weight behind a prompt (`a cat:0.7`) counts only beside an AND.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import Any

from lark import Lark, Token, Tree

from studio.errors import InvalidRequest
from studio.prompt.tree import Alternating, And, Break, Choice, Part, Parts, Scheduled, Text, Weighted, Wildcard

EMPHASIS = 1.1
MAX_WEIGHT = 10.0
MAX_DEPTH = 40

GRAMMAR = r"""
start: _part*
_part: ESCAPED | BREAK | AND | WILDCARD | WORD | SPACE | BAR | COLON | OTHER | round | square | braces
round: "(" _part* (")" | WEIGHT)
square: "[" _part* ("]" | WHEN)
braces: "{" _part* "}"

ESCAPED.9: /\\[()\[\]{}|:_\\]/
WEIGHT.8: /:\s*[+-]?(\d+\.?\d*|\.\d+)\s*\)/
WHEN.8: /:\s*(\d+\.?\d*|\.\d+)\s*\]/
WILDCARD.7: /__[A-Za-z0-9][\w\/-]*?__/
BREAK.6: /(?<!\w)BREAK(?!\w)/
AND.6: /(?<!\w)AND(?!\w)/
WORD.5: /[^\W_]+/
SPACE.5: /\s+/
BAR.5: "|"
COLON.5: ":"
OTHER.1: /[^()\[\]{}]/
"""

_CLOSES = {"RPAR": "LPAR", "WEIGHT": "LPAR", "RSQB": "LSQB", "WHEN": "LSQB", "RBRACE": "LBRACE"}
_COUNT = re.compile(r"\s*(\d{1,3})(?:-(\d{1,3}))?\$\$(?:([^|{}$]*)\$\$)?")
_SHARE = re.compile(r"\s*(\d+\.?\d*|\.\d+)::")


class _Balance:
    """Lets every bracket without its partner pass as a character: lark calls `process` between lexer and parser."""

    always_accept = ("WEIGHT", "WHEN")

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        tokens = list(stream)
        opened: list[int] = []
        for place, token in enumerate(tokens):
            if token.type in _CLOSES.values():
                opened.append(place)
            elif token.type in _CLOSES:
                self._close(tokens, opened, place)
        for place in opened:
            _as_word(tokens, place)
        return iter(tokens)

    def _close(self, tokens: list[Token], opened: list[int], place: int) -> None:
        wanted = _CLOSES[tokens[place].type]
        if not any(tokens[at].type == wanted for at in opened):
            _as_word(tokens, place)
            return
        while tokens[at := opened.pop()].type != wanted:
            _as_word(tokens, at)


def _as_word(tokens: list[Token], place: int) -> None:
    tokens[place] = Token.new_borrow_pos("OTHER", str(tokens[place]), tokens[place])


@cache
def _parser() -> Lark:
    return Lark(
        GRAMMAR,
        parser="lalr",
        lexer="basic",
        postlex=_Balance(),  # type: ignore[arg-type]  # lark asks for its abstract class; the methods are these
        propagate_positions=True,
        keep_all_tokens=True,
        maybe_placeholders=False,
    )


def parse(prompt: str) -> Parts:
    """Return the parts of `prompt`.

    Raises:
        InvalidRequest: A weight is beyond 10, or brackets are nested more than 40 deep.
    """
    return _Reader(prompt).parts(_parser().parse(prompt).children, depth=0)


def prompts_of(parts: Parts) -> tuple[tuple[Parts, float], ...]:
    """Return the prompts that AND composes, with the weight behind each (1 where there is none).

    Raises:
        InvalidRequest: A weight is beyond 10.
    """
    prompts: list[list[Part]] = [[]]
    for part in parts:
        if isinstance(part, And):
            prompts.append([])
        else:
            prompts[-1].append(part)
    if len(prompts) == 1:
        return ((parts, 1.0),)
    return tuple(_weight_behind(tuple(prompt)) for prompt in prompts)


class _Reader:
    """Turns lark's tree into parts; knows the source, for the parts that are kept as text."""

    def __init__(self, source: str) -> None:
        self._source = source

    def parts(self, children: list[Any], *, depth: int) -> Parts:
        if depth > MAX_DEPTH:
            raise InvalidRequest(f"Brackets are nested more than {MAX_DEPTH} deep.", "Write the weight as a number.")
        found: list[Part] = []
        for child in children:
            part = self._token(child, depth) if isinstance(child, Token) else self._bracket(child, depth)
            if isinstance(part, Text) and found and isinstance(found[-1], Text):
                found[-1] = Text(found[-1].text + part.text)
            elif isinstance(part, tuple):
                found.extend(part)
            else:
                found.append(part)
        return _merged(found)

    def _token(self, token: Token, depth: int) -> Part:
        if token.type == "ESCAPED":
            return Text(token[1])
        if token.type == "BREAK":
            return Break()
        if token.type == "AND" and depth == 0:
            return And()
        if token.type == "WILDCARD":
            assert token.start_pos is not None and token.end_pos is not None
            return Wildcard(str(token), token.start_pos, token.end_pos, str(token)[2:-2])
        return Text(str(token))

    def _bracket(self, tree: Tree[Token], depth: int) -> Part | Parts:
        inner, closing = tree.children[1:-1], tree.children[-1]
        assert isinstance(closing, Token)
        if tree.data == "round":
            factor = _number(closing) if closing.type == "WEIGHT" else EMPHASIS
            return Weighted(self.parts(inner, depth=depth + 1), _checked(factor))
        if tree.data == "braces":
            return self._braces(tree, inner, depth)
        return self._square(inner, closing, depth)

    def _square(self, inner: list[Any], closing: Token, depth: int) -> Part:
        bars, colons = (_places(inner, kind) for kind in ("BAR", "COLON"))
        if closing.type == "WHEN" and not bars and len(colons) <= 1:
            cut = colons[0] if colons else -1
            before = self.parts(inner[: max(cut, 0)], depth=depth + 1)
            when = _number(closing)
            is_share = when < 1 or ("." in closing and when == 1)
            return Scheduled(before, self.parts(inner[cut + 1 :], depth=depth + 1), when, is_share)
        if closing.type == "WHEN":  # more than a schedule holds: words that count less, as the peers have it
            inner = [*inner, Token("OTHER", str(closing)[:-1])]
        elif bars:
            cuts = [-1, *bars, len(inner)]
            pieces = [inner[a + 1 : b] for a, b in pairwise(cuts)]
            return Alternating(tuple(self.parts(piece, depth=depth + 1) for piece in pieces))
        return Weighted(self.parts(inner, depth=depth + 1), 1 / EMPHASIS)

    def _braces(self, tree: Tree[Token], inner: list[Any], depth: int) -> Part | Parts:
        start, end = tree.meta.start_pos, tree.meta.end_pos
        source = self._source[start:end]
        bars = [inner[place].start_pos for place in _places(inner, "BAR")]
        edges = [start, *bars, end - 1]
        options = [self._source[a + 1 : b] for a, b in pairwise(edges)]
        counts = [match for option in options if (match := _COUNT.match(option))]
        if not bars and not counts:
            return (Text("{"), *self.parts(inner, depth=depth + 1), Text("}"))
        return _choice(source, (start, end), options, counts[0] if counts else None)


def _choice(source: str, span: tuple[int, int], options: list[str], count: re.Match[str] | None) -> Choice:
    least = most = 1
    joiner = ", "
    if count is not None:
        options = [option[m.end() :] if (m := _COUNT.match(option)) else option for option in options]
        least = int(count[1])
        most = int(count[2] or least)
        joiner = joiner if count[3] is None else count[3]
    shares = [float(m[1]) if (m := _SHARE.match(option)) else 1.0 for option in options]
    words = [_SHARE.sub("", option, count=1).strip() for option in options]
    if most < least or not any(shares):
        raise InvalidRequest(f'"{source[:60]}" can choose nothing.', "Write {2$$a|b|c} or {1-2$$a|b|c}.")
    return Choice(source, *span, tuple(words), tuple(shares), least, most, joiner)


def _merged(parts: list[Part]) -> Parts:
    """Join neighbouring texts."""
    joined: list[Part] = []
    for part in parts:
        if isinstance(part, Text) and joined and isinstance(joined[-1], Text):
            joined[-1] = Text(joined[-1].text + part.text)
        else:
            joined.append(part)
    return tuple(joined)


def _weight_behind(parts: Parts) -> tuple[Parts, float]:
    """Take `:0.7` off the end of a prompt."""
    last = parts[-1] if parts else None
    match = re.search(r":\s*([+-]?(?:\d+\.?\d*|\.\d+))\s*$", last.text) if isinstance(last, Text) else None
    if match is None or not isinstance(last, Text):
        return parts, 1.0
    return (*parts[:-1], Text(last.text[: match.start()])), _checked(float(match[1]))


def _places(children: list[Any], kind: str) -> list[int]:
    return [place for place, child in enumerate(children) if isinstance(child, Token) and child.type == kind]


def _number(closing: Token) -> float:
    return float(closing[1:-1])


def _checked(weight: float) -> float:
    if abs(weight) > MAX_WEIGHT:
        raise InvalidRequest(
            f"A weight of {weight:g} is out of range.", f"Weights go from -{MAX_WEIGHT:g} to {MAX_WEIGHT:g}."
        )
    return weight
