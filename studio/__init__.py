"""Tessera Studio: a local art studio for diffusion models and VQGAN codebooks."""

__version__ = "0.1.0"
