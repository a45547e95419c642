"""Larger and moving: upscaling of any picture, and walks through a model's latent space."""
