"""A U-Net compiled by torch.compile, as an option: faster steps on a GPU, after a wait at each new form of a run.

A form is what the compiler makes own code for: the pictures' size and number, the length of the prompts, with or
without guidance. What it made is kept on disk (`studio.engine.store` says where), so that after a restart the
wait is seconds; the default model's own size is compiled while the engine warms up. The wait comes before the run and
is told of, so that the run's steps, its time and Stop are what they always are.

A run with a LoRA, a control picture or an IP-Adapter goes without: every new one, and every weight, would be a new
form; so do latent walks. What is compiled sums in another order, so its last bits differ from the plain U-Net's; the
facts of a picture tell.

Source: "PyTorch 2: Faster Machine Learning Through Dynamic Python Bytecode Transformation" (Ansel 2024).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import torch

from studio.engine.memory import is_out_of_memory

logger = logging.getLogger(__name__)

FORMS = 32  # that are compiled for one U-Net; those after them run as without


class Compiled:
    """Stands for `unet` when it is called.

    Args:
        unet: Any module.
        backend: Of torch.compile.

    Attributes:
        is_on: Whether calls are compiled. The one who runs the model says so before each run.
        problem: Why nothing can be compiled here, once that was tried; else empty.
    """

    def __init__(self, unet: torch.nn.Module, *, backend: str = "inductor") -> None:
        torch._dynamo.config.recompile_limit = max(FORMS, torch._dynamo.config.recompile_limit)
        self.is_on, self.problem = False, ""
        self._plain, self._forms = unet, set[Hashable]()
        self._fast = torch.compile(unet, dynamic=False, backend=backend)

    def has_run(self, form: Hashable) -> bool:
        """Whether runs of `form` need not wait; from now on they need not."""
        known = form in self._forms
        self._forms.add(form)
        return known

    @property
    def notes(self) -> tuple[str, ...]:
        """What to tell the artist, if anything."""
        return (f"Compiling does not work here ({self.problem}): the model runs as without.",) if self.problem else ()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the module returns for these arguments."""
        if not self.is_on or self.problem:
            return self._plain(*args, **kwargs)
        try:
            return self._fast(*args, **kwargs)
        except (RuntimeError, ImportError, OSError) as error:
            if is_out_of_memory(error):
                raise
            self.problem = " ".join(str(error).split())[:200] or type(error).__name__
            logger.warning("nothing can be compiled here, models run as without: %s", self.problem)
            return self._plain(*args, **kwargs)  # raises what is not the compiler's fault


def keep_code_in(folder: Path) -> None:
    """Let the compiler keep what it makes in `folder`, unless the environment names another place."""
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(folder))
