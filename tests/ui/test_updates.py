"""How streams reach the page: every value whole, and nothing twice."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
from served import serve

from studio.ui.session import Sessions
from studio.ui.tabs.tab import QUICK
from studio.ui.updates import WholeUpdates

SKIPPED = {"__type__": "update"}


async def counting() -> AsyncGenerator[list[Any]]:
    """Say something in both outputs, then in one, then in the other."""
    yield [{"count": 1, "of": 3}, {"words": "begun"}]
    yield [{"count": 2, "of": 3}, gr.skip()]
    yield [gr.skip(), {"words": "done"}]


def messages(address: str, event: str) -> list[dict[str, Any]]:
    """Trigger `event` of the page at `address`; return what Gradio sends of its outputs."""
    session = secrets.token_hex(6)
    with httpx.Client(base_url=address, timeout=60) as client:
        found = {it["api_name"]: it["id"] for it in client.get("/config").json()["dependencies"]}
        asked = {"fn_index": found[event], "session_hash": session, "data": []}
        assert client.post("/gradio_api/queue/join", json=asked).status_code == 200
        with client.stream("GET", f"/gradio_api/queue/data?session_hash={session}") as stream:
            said = [json.loads(line[5:]) for line in stream.iter_lines() if line.startswith("data:")]
    return [message for message in said if "data" in message.get("output", {})]


def test_a_stream_replaces_values_and_ends_without_a_word_and_a_public_one_with_its_answer(tmp_path: Path) -> None:
    with WholeUpdates(analytics_enabled=False) as blocks:
        outputs = [gr.JSON(), gr.JSON()]
        button = gr.Button()
        button.click(counting, None, outputs, api_name="quick", **QUICK)
        button.click(counting, None, outputs, api_name="public")
    with serve(blocks, Sessions.in_folder(tmp_path)) as address:
        private, public = messages(address, "quick"), messages(address, "public")
    assert [it["msg"] for it in private] == ["process_generating"] * 3 + ["process_completed"]
    first, second, third, end = (it["output"]["data"] for it in private)
    assert first == [{"count": 1, "of": 3}, {"words": "begun"}]
    assert second == [[["replace", [], {"count": 2, "of": 3}]], [["replace", [], SKIPPED]]]
    assert third == [[["replace", [], SKIPPED]], [["replace", [], {"words": "done"}]]]
    assert end == [SKIPPED, SKIPPED], "the page shows what came last, from whichever stream"
    assert public[-1]["output"]["data"] == [SKIPPED, {"words": "done"}]
