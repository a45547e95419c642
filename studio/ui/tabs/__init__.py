"""One file per tab; `studio.ui.blocks.TABS` puts them in order."""
