"""The arrows between the layers, held by walking every import statement (see the docstrings for why)."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
STUDIO = ROOT / "studio"

FORBIDDEN = {
    "errors.py": {"torch", "gradio", "diffusers"},
    "events.py": {"torch", "gradio", "diffusers"},
    "requests.py": {"torch", "gradio", "diffusers"},
    "fields.py": {"torch", "gradio", "diffusers"},
    "settings.py": {"torch", "gradio", "diffusers"},
    "jobs.py": {"torch", "gradio", "diffusers", "studio.engine", "studio.gallery", "studio.ui"},
    "job.py": {"torch", "gradio", "diffusers", "studio.engine", "studio.gallery", "studio.ui"},
    "state": {"torch", "gradio", "diffusers", "studio.engine", "studio.gallery", "studio.ui"},
    "process": {"torch", "gradio", "studio.ui"},
    "engine": {"gradio", "studio.ui", "studio.gallery"},
    "codebook": {"gradio", "studio.ui", "studio.gallery"},
    "stylize": {"gradio", "studio.ui", "studio.gallery"},
    "inpaint": {"gradio", "studio.ui", "studio.gallery"},
    "gallery": {"torch", "diffusers", "gradio", "studio.ui", "studio.engine"},
    "ui": {"torch", "diffusers", "transformers"},
    "training": {"gradio", "studio.ui", "studio.gallery"},
}


def imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def modules(place: str) -> list[Path]:
    path = STUDIO / place
    return [path] if path.suffix else sorted(path.rglob("*.py"))


@pytest.mark.parametrize("place", FORBIDDEN)
def test_layers_import_only_what_lies_below_them(place: str) -> None:
    """A layer that reaches upwards, or loads torch for the page, can no longer be tested or started alone."""
    paths = modules(place)
    assert paths, f"studio/{place} is gone: this rule would pass on nothing"
    for path in paths:
        for name in imports(path):
            for banned in FORBIDDEN[place]:
                assert not (name == banned or name.startswith(banned + ".")), f"{path.relative_to(ROOT)} imports {name}"


def test_importing_the_page_loads_no_torch() -> None:
    """The page must be up within seconds; torch alone takes two, and belongs to the engine's thread."""
    code = "import sys, studio.ui.blocks, studio.cli; sys.exit('torch' in sys.modules or 'diffusers' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=120)


def test_importing_any_module_defines_and_does_nothing_else() -> None:
    """No thread, no output, no file at import: whoever imports must stay in control."""
    names = [
        ".".join(p.relative_to(ROOT).with_suffix("").parts)
        for p in sorted(STUDIO.rglob("*.py"))
        if "__main__" not in p.name
    ]
    assert len(names) > 40
    code = (
        "import importlib, sys, threading\n"
        "before = threading.active_count()\n"
        "for name in sys.argv[1:]: importlib.import_module(name)\n"
        "sys.exit(f'threads: {threading.enumerate()}' if threading.active_count() > before else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, *names], cwd=ROOT, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""


def test_pictures_are_opened_in_named_formats_and_never_by_gradio() -> None:
    """Pillow brings dozens of decoders, of which strangers' files may reach three; Gradio's components open all."""
    opened = 0
    for path in STUDIO.rglob("*.py"):
        if "bench" in path.parts:  # opens the pictures it brings
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            called = ast.unparse(node.func)
            assert called not in {"gr.Image", "gr.ImageEditor", "gr.ImageSlider", "gr.Gallery", "gr.File"}, path
            if called == "Image.open":
                opened += 1
                assert "formats" in {keyword.arg for keyword in node.keywords}, path
    assert opened > 5


def test_no_module_is_a_drawer() -> None:
    """utils, helpers, common: names under which nobody finds anything."""
    drawers = {"utils", "helpers", "common", "shared", "misc", "util", "helper"}
    assert not [p for p in STUDIO.rglob("*") if p.stem in drawers]


def test_only_the_command_line_prints() -> None:
    """A library that prints garbles JSON output and other people's terminals."""
    for path in STUDIO.rglob("*.py"):
        if path.name == "cli.py":
            continue
        calls = [n for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.Call)]
        assert not [c for c in calls if isinstance(c.func, ast.Name) and c.func.id == "print"], path
