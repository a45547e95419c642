"""Several users' runs predicted in one call of the model: they join and leave at step boundaries.

Runs that take turns on one thread, a step each (`studio.process.child`), each ask for their next step's prediction
before they tell of the step that is done. The first that needs its answer has everything computed that was asked
for in its form, each row at its own timestep; the others find theirs ready. So nobody waits for company: a run joins
with its first question and leaves by asking no more. Schedulers, noise, previews and stops stay each run's own.

A run that is alone is predicted as without this, to the bit. In company the last bits differ: BLAS, cuDNN and oneDNN
choose their summation order by the number of rows. That is why it is a setting, and why a picture's facts tell.

Source: continuous batching, "Orca" (Yu 2022); for denoising, "StreamDiffusion" (Kodaira 2023).
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch

from studio.engine import memory
from studio.engine.guidance import Question, mixed
from studio.engine.prompts import Embedding

logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Open:
    """A question of a run that has no answer yet; `is_shared`: it was answered in one call with another run's."""

    seat: Seat
    model: Any
    question: Question
    output: torch.Tensor | None = None
    is_shared: bool = False

    @property
    def rows(self) -> int:
        return len(self.question.latents)

    @property
    def form(self) -> tuple[object, ...]:
        """What questions must have in common to be one call."""
        embedding = self.question.embedding
        parts = [getattr(embedding, field.name) for field in fields(Embedding)]
        shapes = tuple(None if part is None else part.shape[1:] for part in parts)
        return id(self.model), self.question.latents.shape[1:], shapes


class Joint:
    """Predicts for the runs that have a seat. Not safe for threads: its runs take turns."""

    def __init__(self) -> None:
        self._open: list[_Open] = []
        self._most_rows = sys.maxsize  # in one call; less once memory has run out

    def seat(self, *, most_rows: int = sys.maxsize) -> Seat:
        """Return a place for one run; `most_rows` fit into the memory in one call."""
        return Seat(self, most_rows)

    def add(self, asked: Sequence[_Open]) -> None:
        """Let questions wait for an answer."""
        self._open += asked

    def drop(self, asked: Sequence[_Open]) -> None:
        """Let questions wait no longer."""
        self._open = [one for one in self._open if one not in asked]

    def answer(self, one: _Open) -> torch.Tensor:
        """Return the model's output for `one`, and have that of its company ready.

        Raises:
            RuntimeError, MemoryError: What the model raises for `one` alone.
        """
        while one.output is None and (company := self._company(one)):
            try:
                _predict([one, *company])
                self.drop([one, *company])
            except (RuntimeError, MemoryError) as error:
                self._part([one, *company], error)
        question = one.question
        if one.output is None:
            return one.model.predict(question.latents, question.timestep, question.embedding)
        return one.output

    def _company(self, one: _Open) -> list[_Open]:
        """Return the open questions that go into one call with `one`; none where none is another run's."""
        company: list[_Open] = []
        room = min(self._most_rows, one.seat.most_rows) - one.rows
        for other in self._open:
            if other is not one and other.rows <= room and other.form == one.form:
                company.append(other)
                room -= other.rows
        return company if any(other.seat is not one.seat for other in company) else []

    def _part(self, together: Sequence[_Open], error: BaseException) -> None:
        """After a call that failed: fewer rows at once if memory ran out, else each alone to see whose fault it is."""
        rows = sum(one.rows for one in together)
        if memory.is_out_of_memory(error):
            self._most_rows = rows // 2
            memory.release(error)
            logger.warning("%d rows at once were too many for the memory: %d from now on", rows, self._most_rows)
        else:
            logger.warning("joined runs failed in one call, and this step is predicted for each alone: %s", error)
            self.drop(together)


class Seat:
    """One run's place at a Joint. `shared_steps` of its steps were predicted in one call with other runs."""

    def __init__(self, joint: Joint, most_rows: int) -> None:
        self.most_rows, self.shared_steps = most_rows, 0
        self._joint = joint
        self._asked: list[_Open] = []

    @property
    def has_asked(self) -> bool:
        """Whether there is an answer to take."""
        return bool(self._asked)

    def ask(self, model: Any, questions: Sequence[Question]) -> None:
        """Ask `model` for one step of the run; `take` returns the answer."""
        self._asked = [_Open(self, model, question) for question in questions]
        self._joint.add(self._asked)

    def take(self) -> torch.Tensor:
        """Return the output of the step that was asked for, after guidance, (b, c, h, w) float32."""
        asked = self._asked
        try:
            outputs = [self._joint.answer(one) for one in asked]
        finally:
            self.leave()
        self.shared_steps += any(one.is_shared for one in asked)
        return mixed([one.question for one in asked], outputs)

    def leave(self) -> None:
        """Take back what was asked and not answered."""
        self._joint.drop(self._asked)
        self._asked = []


def _predict(together: Sequence[_Open]) -> None:
    """Predict all in one call, every row at its own timestep, and give each its output."""
    questions, rows = [one.question for one in together], [one.rows for one in together]
    latents = torch.cat([question.latents for question in questions])  # (sum of rows, c, h, w)
    timesteps = torch.cat([q.timestep.reshape(1).float().expand(len(q.latents)) for q in questions])
    embedding = questions[0].embedding.followed_by(*[question.embedding for question in questions[1:]])
    outputs = together[0].model.predict(latents, timesteps, embedding).split(rows)
    for one, output in zip(together, outputs, strict=True):
        one.output, one.is_shared = output, True
