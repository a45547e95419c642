"""What models and add-ons are on the disk, and getting more: listing, adding, removing, verifying, downloading.

Works on files alone (`studio.engine.catalog`, `studio.engine.addons`); what is loaded belongs to the engine, which
notices by itself when a model's files change. Knows neither torch nor gradio.
"""
