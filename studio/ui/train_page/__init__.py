"""The Train tab's own part: its routes, its words, and the list of runs that watches them."""
