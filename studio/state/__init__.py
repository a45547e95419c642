"""What the studio remembers from one start to the next: the queue, and what lies on every page. No torch, no gradio."""
