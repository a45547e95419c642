"""The Create tab: `tab` lays it out; one module for each thing an artist can do beside it."""

from __future__ import annotations

from studio.ui.tabs.create.tab import TAB

__all__ = ["TAB"]
