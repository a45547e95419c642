"""Many pictures from one wish: grids over request fields, batches from a file. No torch, no page.

A series is a list of ordinary requests with a place for each result. It is written down after every picture, so
that it goes on where it stopped: after Stop, a closed page, or a crash.
"""
