"""Who loses the connection finds the result in the gallery."""

from __future__ import annotations

import json
import os
import random
import secrets
import time
from collections.abc import Callable

import httpx
import psutil
import pytest
from studio_page import Opened

from tests.promises import count


@pytest.mark.skipif(os.name == "nt", reason="counts file descriptors: run on Linux or macOS")
def test_a_connection_that_breaks_at_any_moment_loses_no_picture(opened: Opened, figure: Callable[..., None]) -> None:
    """R4: the stream of a running job is dropped after any event; every picture is made, kept, and the queue empty."""
    opened.engine.step_seconds = 0.005
    dice, drops = random.Random(4), count(12, 300)
    with httpx.Client(base_url=opened.address, timeout=120) as client:
        found = {it["api_name"]: it["id"] for it in client.get("/config").json()["dependencies"]}
        files = psutil.Process().num_fds()
        for number in range(drops):
            session = secrets.token_hex(6)
            recipe = {"prompt": f"dropped {number}", "seed": number, "steps": 4, "width": 64, "height": 64}
            event = {"fn_index": found["generate"], "session_hash": session, "data": [recipe]}
            assert client.post("/gradio_api/queue/join", json=event).status_code == 200
            with client.stream("GET", f"/gradio_api/queue/data?session_hash={session}") as stream:
                for seen, line in enumerate(stream.iter_lines()):
                    done = line.startswith("data:") and json.loads(line[5:]).get("msg") == "process_completed"
                    if done or seen >= number % 6:
                        break
            time.sleep(dice.uniform(0, 0.03))
        wanted = {f"dropped {number}" for number in range(drops)}
        deadline = time.monotonic() + 120
        while True:
            made = {entry.prompt for entry in opened.gallery.each()} & wanted
            if made == wanted or time.monotonic() > deadline:
                break
            time.sleep(0.05)
        owners = {entry.owner for entry in opened.gallery.each() if entry.prompt in wanted}
        more = psutil.Process().num_fds() - files
    figure(dropped=drops, lost=len(wanted - made), files_more=max(0, more))
    assert made == wanted
    assert len(owners) == 1 and all(owners)  # who comes back with the cookie finds them all
    assert opened.studio.runner.waiting == 0
    assert more <= 10
