"""Importing Gradio without the files it writes for editors."""

from __future__ import annotations

import subprocess
import sys

import gradio as gr
from fastapi import FastAPI
from starlette.testclient import TestClient

from studio.ui.quick_import import no_app_yet

SCRIPT = """
import sys
from studio.ui.quick_import import skip_editor_files
skip_editor_files()
skip_editor_files()  # a second time changes nothing
assert len([f for f in sys.meta_path if type(f).__module__ == "studio.ui.quick_import"]) == 1
import gradio
from gradio import component_meta
assert component_meta.create_or_modify_pyi(None, "", []) is None, "the writer is out"
class Own(gradio.HTML):
    pass
with gradio.Blocks() as page:
    box = gradio.Textbox(value="a cat")
    Own("<p>a</p>")
assert box.value == "a cat" and len(page.blocks) == 3
assert not [f for f in sys.meta_path if type(f).__module__ == "studio.ui.quick_import"], "it is in nobody's way"
skip_editor_files()
assert not [f for f in sys.meta_path if type(f).__module__ == "studio.ui.quick_import"], "after the import: nothing"
"""


def test_gradio_works_without_its_editor_files() -> None:
    ended = subprocess.run([sys.executable, "-W", "ignore", "-c", SCRIPT], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


def test_the_studio_skips_them_before_gradio_is_imported() -> None:
    script = (
        "import sys, studio.app as app\n"
        "assert 'gradio' not in sys.modules\n"
        "import studio.ui.quick_import as quick\n"
        "quick.skip_editor_files = lambda: (_ for _ in ()).throw(SystemExit(0 if 'gradio' not in sys.modules else 1))\n"
        "from studio.settings import Settings\n"
        "app.serve(Settings(), print)\n"
    )
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", script]).returncode == 0


def test_a_page_gets_its_one_app_when_it_is_mounted() -> None:
    with no_app_yet():
        with gr.Blocks() as page:
            gr.Textbox(value="a cat")
        page.queue(max_size=3)
    assert page.app is None
    with gr.Blocks() as other:
        pass
    assert other.app is not None, "Gradio is as it was"
    app = gr.mount_gradio_app(FastAPI(), page, path="/", mcp_server=False)
    with TestClient(app) as visitor:
        assert "a cat" in visitor.get("/config").text
