"""`studio codes --help` answers at once: nothing heavy is imported to print it."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = "torch", "diffusers", "scipy", "cv2", "gradio"


@pytest.mark.parametrize("words", [["codes", "--help"], ["codes", "morph", "--help"]])
def test_help_imports_no_torch(words: list[str]) -> None:
    code = f"""
import sys
from studio.cli import main
try:
    main({words!r})
except SystemExit:
    pass
print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "usage" in found.stdout and found.stderr.strip() == "[]"
