"""Data, losses and loops that make the studio's own models, and fine-tune them on an artist's pictures."""
