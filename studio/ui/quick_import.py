"""Half the time that importing Gradio takes, and half of what building the page takes.

At every import Gradio parses the source of each of its components twice, to keep `.pyi` files beside them for editors
(`gradio.component_meta.create_or_modify_pyi`). A running page needs none, and where the packages lie may not be
writable. And of the four web apps that it makes of one page (when the page begins, when it ends, when its queue is
set, when it is mounted), only the last answers anybody.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

_MODULE, _WRITER = "gradio.component_meta", "create_or_modify_pyi"


def skip_editor_files() -> None:
    """Let the coming import of Gradio write no editor files; after it, or in a Gradio without them, do nothing."""
    if _MODULE not in sys.modules and not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


@contextmanager
def no_app_yet() -> Iterator[None]:
    """Let no page that is begun, ended or given a queue inside the block have an app: for one that is mounted later."""
    from gradio import blocks

    real, blocks.App = blocks.App, _NoApp  # type: ignore[misc, assignment]
    try:
        yield
    finally:
        blocks.App = real  # type: ignore[misc]


class _NoApp:
    @staticmethod
    def create_app(*_: object, **__: object) -> None:
        return None


class _Finder(MetaPathFinder):
    """Finds the one module as Python does, and takes the writer out when it has run."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != _MODULE:
            return None
        sys.meta_path.remove(self)
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def execute_without_writer(module: ModuleType) -> None:
            execute(module)
            if hasattr(module, _WRITER):
                setattr(module, _WRITER, lambda *_: None)

        spec.loader.exec_module = execute_without_writer  # type: ignore[method-assign]
        return spec
