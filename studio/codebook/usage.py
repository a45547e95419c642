"""How often codes are used, over a corpus that is named: a count means nothing without what was counted."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from studio.atomic import write_atomically
from studio.codebook.tokens import TokenMap, check_same_model
from studio.errors import InvalidRequest


@dataclass(frozen=True, eq=False)
class Usage:
    """Counts of each code, (K,) int64, over `pictures` pictures of `corpus`."""

    counts: NDArray[np.int64]
    corpus: str
    pictures: int
    checksum: str

    @property
    def tokens(self) -> int:
        """How many tokens were counted."""
        return int(self.counts.sum())

    @property
    def live(self) -> NDArray[np.int64]:
        """The codes that occur, in order of index."""
        return np.flatnonzero(self.counts)

    @property
    def perplexity(self) -> float:
        """exp of the entropy in nats: the number of equally used codes that would be as varied."""
        return float(2 ** entropy_bits(self.counts))

    def describe(self) -> str:
        """Say what was counted, in one sentence."""
        return (
            f"{len(self.live)} of {len(self.counts)} codes in use, over {self.tokens:,} tokens "
            f"of {self.pictures} pictures ({self.corpus}); perplexity {self.perplexity:.0f}."
        )

    def save(self, path: Path) -> None:
        """Write the counts as JSON."""
        facts = {"corpus": self.corpus, "pictures": self.pictures, "checksum": self.checksum}
        write_atomically(path, json.dumps({**facts, "counts": self.counts.tolist()}).encode())

    @classmethod
    def load(cls, path: Path) -> Usage:
        """Read counts; raises InvalidRequest when the file holds none."""
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
            counts = np.array(facts["counts"], dtype=np.int64)
            return cls(counts, str(facts["corpus"]), int(facts["pictures"]), str(facts["checksum"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InvalidRequest(f'"{path.name}" holds no counts of codes.', "Count them again.") from error


def count_usage(maps: Iterable[TokenMap], *, corpus: str) -> Usage:
    """Count the codes of `maps`, all of one model; raises InvalidRequest for none or mixed models."""
    first: TokenMap | None = None
    counts: NDArray[np.int64] | None = None
    pictures = 0
    for tokens in maps:
        if first is None or counts is None:
            first, counts = tokens, np.zeros(tokens.codebook_size, np.int64)
        check_same_model(tokens.checksum, first.checksum, "token map")
        counts = counts + tokens.counts
        pictures += 1
    if first is None or counts is None:
        raise InvalidRequest(f"There are no pictures to count codes in ({corpus}).", "Choose pictures.")
    return Usage(counts, corpus, pictures, first.checksum)


def entropy_bits(counts: NDArray[np.integer]) -> float:
    """Return the entropy of a histogram in bits per token."""
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log2(share)).sum())
