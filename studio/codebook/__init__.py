"""Codebook exploration: see the codes of a VQGAN, edit them, paint with them.

Torch is needed by `vqgan`, `lookup`, `local`, `live` and `morph` only; token maps, operations, palettes, orders, views
and share strings are NumPy and Pillow, so that a page can use them without loading torch.

- `tokens`      TokenMap: a picture as a grid of code indices
- `vqgan`       Vqgan: picture -> TokenMap -> picture, around a plain diffusers VQModel
- `local`       decoding a part of a picture; `live`: the picture that follows the brush
- `atlas`       every code as a swatch;  `usage` counts;  `orders` arrangements;  `neighbours` searches
- `operations`  paint, fill, stamp, ... as frozen models;  `history` undo and redo
- `palettes`    the codes of one picture applied to another
- `morph`       frames between two pictures;  `animation` writes MP4, GIF, WebP
- `share`       a picture as a short text;  `meter` what the codes cost and keep
- `places`      where a code occurs;  `views` pictures of a token map
- `find`        the VQGANs there are;  `headless` files in and out
- `run`         engine events for Reconstruct and EditTokens;  `commands` the command line
"""
