"""Run as a program: saves pictures in forked children that die at a chosen point, and tells what was acknowledged.

    python saving_child.py FOLDER lines COUNT     dies at COUNT lines spread over a save (0: at each of them)
    python saving_child.py FOLDER random COUNT    dies at a random moment, COUNT times

One JSON line per child: the ids whose save had returned when it died. A line of the studio is the finest point
that can be chosen exactly; moments inside a system call are what the random kills are for.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from gallery_making import save

from studio.gallery import Gallery

WRITING = ("gallery.py", "atomic.py", "index.py", "files.py", "png.py", "space.py", "saving_child.py")


def count_lines(on_line: Callable[[int], None]) -> None:
    """Call `on_line` with 1, 2, ... at every line executed from now on in what saves a picture."""
    number = 0

    def line(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal number
        if event == "line":
            number += 1
            on_line(number)
        return line

    def call(frame: FrameType, event: str, argument: Any) -> Any:
        return line if Path(frame.f_code.co_filename).name in WRITING else None

    sys.settrace(call)


def child(folder: Path, tell: int, number: int, at_line: int | None) -> None:
    """Save pictures and tell each id; with `at_line` save one, and die at that line (0: tell how many there are)."""
    gallery = Gallery(folder, reserve_bytes=0)
    os.write(tell, b"ready\n")
    last = 0

    def on_line(line: int) -> None:
        nonlocal last
        last = line
        if line == at_line:
            os.kill(os.getpid(), signal.SIGKILL)

    if at_line is not None:
        count_lines(on_line)
    while True:
        number += 1
        entry = save(gallery, number)
        sys.settrace(None)
        os.write(tell, f"{entry.id}\n".encode())
        if at_line is not None:
            os.write(tell, f"{last}\n".encode())
            os._exit(0)


def run(folder: Path, number: int, *, at_line: int | None = None, after: int = 0, seconds: float = 0) -> list[str]:
    """Fork a child that saves, kill it `seconds` after its save number `after`; return what it told."""
    hear, tell = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(hear)
        try:
            child(folder, tell, number, at_line)
        finally:
            os._exit(3)
    os.close(tell)
    with os.fdopen(hear, "rb") as pipe:
        assert pipe.readline() == b"ready\n"
        told = []
        if at_line is None:
            told = [pipe.readline() for _ in range(after)]
            time.sleep(seconds)
            os.kill(process, signal.SIGKILL)
        told += pipe.readlines()
    _, status = os.waitpid(process, 0)
    assert os.WIFSIGNALED(status) or (at_line is not None and status == 0), status
    whole = [line.decode().strip() for line in told if line.endswith(b"\n")]
    return whole if at_line in (None, 0) else whole[:1]


def main() -> None:
    folder, kind, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    with Gallery(folder.with_name("warm"), reserve_bytes=0) as gallery:
        save(gallery)  # so that every child finds Pillow's codecs loaded
    if kind == "lines":
        print(json.dumps(run(folder, 0, at_line=0)[:1]))  # makes the folders, which later saves find there
        entry_id, lines = run(folder, 500, at_line=0)
        print(json.dumps([entry_id]))
        points = range(1, int(lines) + 1) if not count else [1 + int(lines) * n // count for n in range(count)]
        for line in points:
            print(json.dumps(run(folder, line * 1000, at_line=line)))
    else:
        generator = random.Random(7)
        for n in range(1, count + 1):
            after, seconds = generator.randint(0, 2), generator.uniform(0, 0.03)
            print(json.dumps(run(folder, n * 1000, after=after, seconds=seconds)))


if __name__ == "__main__":
    main()
