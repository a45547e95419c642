"""What a handler yields reaches the page whole and once.

Gradio sends a stream's first value in full, then differences, which its script writes into the very object that the
page may not have drawn yet: of two quick values the first is lost, in every output that the second leaves out. And
when a stream ends it sends the last value again, over what another stream of the page has shown meanwhile.
"""

from __future__ import annotations

from typing import Any

import gradio as gr
from gradio.block_function import BlockFunction


class WholeUpdates(gr.Blocks):
    """A page whose streams replace values, never patch them, and end without repeating themselves.

    The last value is repeated for public endpoints only: their clients take it as the answer.
    """

    def handle_streaming_diffs(
        self,
        block_fn: BlockFunction,
        data: list[Any],
        session_hash: str | None,
        run: str | None,
        final: bool,
        simple_format: bool = False,
    ) -> list[Any]:
        """Return what is sent of `data`, a handler's outputs; `final`: it has ended and there is nothing new."""
        is_first = session_hash is None or run is None or run not in self.pending_diff_streams[session_hash]
        whole = super().handle_streaming_diffs(block_fn, data, session_hash, run, final, simple_format=True)
        if final and block_fn.api_visibility == "private":
            return [gr.skip() for _ in block_fn.outputs]
        if is_first or final or simple_format:
            return list(whole)
        return [[["replace", [], value]] for value in whole]  # the one edit that leaves the former value as it is
