"""Inpainting and outpainting: masks, crops, pre-fills, classical repair, and putting the result back.

Everything but the two methods that run a model (`diffusion`, `tokens`) works on numpy arrays without torch.
The rule of this package: a pixel where the final mask is zero is bit-identical to the source.
"""
