"""Finished pictures: PNG files that carry their recipe, an SQLite index over them, and the ways in and out."""

from __future__ import annotations

from studio.gallery.entry import Entry, Filters, Page
from studio.gallery.gallery import Gallery
from studio.gallery.lineage import Link, Tree
from studio.gallery.lock import GalleryLocked
from studio.gallery.recipe import Parent, Recipe
from studio.gallery.recorder import recorder

__all__ = ["Entry", "Filters", "Gallery", "GalleryLocked", "Link", "Page", "Parent", "Recipe", "Tree", "recorder"]
