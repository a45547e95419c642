"""Style transfer: colour, feature statistics, tokens, diffusion and reference-image conditioning.

Each method is one file and one line in `methods.METHODS`. `colour`, `finish`, `presets` and `sheet` know no
torch.
"""
