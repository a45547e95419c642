"""The page: Gradio lives here and torch does not."""
