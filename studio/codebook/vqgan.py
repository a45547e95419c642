"""Vqgan: picture -> TokenMap -> picture around a plain diffusers `VQModel`, for any size and any such model.

The encoder and the search for the nearest code always run in fp32, so that a picture has the same tokens
whatever the precision; only the decoder uses the chosen one. Source: Esser, Rombach, Ommer, "Taming
Transformers for High-Resolution Image Synthesis" (2021), section 3.1.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import VQModel
from diffusers.models.attention_processor import Attention
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor

from studio.codebook.lookup import Codebook
from studio.codebook.tokens import MAX_PIXELS, TokenMap, check_same_model, grid_shape
from studio.errors import InvalidPicture, InvalidRequest, InvalidResult, ModelError
from studio.pictures import canonical, opaque


class Vqgan:
    """A loaded VQGAN.

    Attributes:
        model: The diffusers VQModel; encoder in fp32, decoder in `dtype`.
        checksum: SHA-256 over the weights in fp32 (64 hex digits): token maps carry it.
        codebook: The (K, d) code vectors.
        factor: Pixels per token side.
        has_attention: Whether a token can change far-away pixels, so that local re-decode is not possible.
    """

    def __init__(
        self,
        model: Any,  # a VQModel; diffusers is untyped
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        unit_range: bool = False,
        name: str = "",
    ) -> None:
        """Wrap `model`; `unit_range` says that it works on pixels in [0, 1] (aMUSEd) instead of [-1, 1]."""
        if model.config.in_channels != 3 or model.config.out_channels != 3:
            raise ModelError(
                f"This VQGAN takes {model.config.in_channels} channels and makes {model.config.out_channels}; "
                "pictures have 3.",
                "Use a VQGAN for RGB pictures.",
            )
        model = model.float().eval().requires_grad_(False)
        self.checksum = _checksum(model)
        self.name = name
        self.device = torch.device(device)
        self.dtype = torch.float32 if model.config.force_upcast and dtype == torch.float16 else dtype
        self.model = model.to(self.device)
        self.model.decoder.to(self.dtype, memory_format=torch.channels_last)
        self.model.post_quant_conv.to(self.dtype)
        self.codebook = Codebook(model.quantize.embedding.weight)
        self.factor = 2 ** (len(model.config.block_out_channels) - 1)
        self.unit_range = unit_range
        self.has_attention = any(isinstance(m, Attention) for m in model.decoder.modules())

    @classmethod
    def load(cls, folder: Path, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> Vqgan:
        """Open a VQModel folder, or a pipeline folder with one in `vqvae/` or `vqgan/`; safetensors only.

        Raises:
            ModelError: There is no VQModel, or it is damaged.
        """
        folder, index = _find(Path(folder))
        try:
            model, report = VQModel.from_pretrained(
                folder, use_safetensors=True, local_files_only=True, output_loading_info=True
            )
        except (OSError, ValueError, RuntimeError, TypeError, KeyError, SafetensorError) as error:
            raise ModelError(
                f'The VQGAN in "{folder.name}" cannot be opened: {str(error).splitlines()[0][:200]}',
                "Copy or download the folder again; weights must be .safetensors.",
            ) from error
        if report["missing_keys"]:
            raise ModelError(
                f'The VQGAN in "{folder.name}" lacks {len(report["missing_keys"])} weights, '
                f"{report['missing_keys'][0]} first.",
                "Copy or download the folder again.",
            )
        unit_range = str(index.get("_class_name", "")).startswith("Amused")
        return cls(model, device=device, dtype=dtype, unit_range=unit_range, name=folder.parent.name)

    @property
    def codebook_size(self) -> int:
        """K, the number of codes."""
        return len(self.codebook)

    @property
    def vectors(self) -> NDArray[np.float32]:
        """The code vectors as a NumPy array (K, d)."""
        return self.codebook.vectors.cpu().numpy()

    @torch.inference_mode()
    def encode(self, picture: Image.Image) -> TokenMap:
        """Return the tokens of `picture`, with distance, second choice and margin of each.

        Sizes off the grid are padded to it by repeating the last row and column; `decode` crops back exactly.

        Raises:
            InvalidPicture: The picture has no pixels, or more than MAX_PIXELS.
        """
        picture = as_rgb(picture)
        z = self._latents(picture)  # (1, d, h, w)
        rows, columns = z.shape[2:]
        found = self.codebook.two_nearest(z[0].flatten(1).t())

        def grid(values: Tensor, dtype: type) -> NDArray:
            return values.reshape(rows, columns).cpu().numpy().astype(dtype)

        return self.token_map(
            grid(found.codes, np.int32),
            picture.size,
            distance=grid(found.distance, np.float32),
            second=grid(found.second, np.int32),
            margin=grid(found.second_distance - found.distance, np.float32),
        )

    @torch.inference_mode()
    def encode_vectors(self, picture: Image.Image) -> Tensor:
        """Return the encoder's vectors (1, d, h, w) of `picture`, before the nearest codes are taken."""
        return self._latents(as_rgb(picture))

    def token_map(self, codes: NDArray, size: tuple[int, int] | None = None, **measures: NDArray | None) -> TokenMap:
        """Return `codes` (h, w) as a map of this model; `size` (width, height) defaults to the full grid."""
        codes = np.asarray(codes)
        size = size or (codes.shape[1] * self.factor, codes.shape[0] * self.factor)
        return TokenMap(codes, size, self.factor, self.codebook_size, self.checksum, **measures)

    def decode(self, tokens: TokenMap) -> Image.Image:
        """Return the picture of `tokens`, exactly; raises InvalidRequest for a map of another model."""
        return self.decode_many([tokens])[0]

    def decode_many(self, maps: list[TokenMap]) -> list[Image.Image]:
        """Decode maps of one size in one batch."""
        for tokens in maps:
            self.check(tokens)
        pixels = self.decode_vectors(self.code_vectors(np.stack([tokens.codes for tokens in maps])))
        return [to_picture(p, tokens.size) for p, tokens in zip(pixels, maps, strict=True)]

    @torch.inference_mode()
    def code_vectors(self, codes: NDArray[np.integer]) -> Tensor:
        """Look up `codes` (n, h, w) and return vectors (n, d, h, w) in fp32."""
        index = torch.as_tensor(np.array(codes, dtype=np.int64), device=self.device)
        return self.codebook.vectors[index].permute(0, 3, 1, 2)  # (n, h, w, d) -> (n, d, h, w)

    @torch.inference_mode()
    def decode_vectors(self, vectors: Tensor) -> NDArray[np.uint8]:
        """Decode vectors (n, d, h, w), on the codebook or between codes, to (n, H, W, 3) uint8.

        Raises:
            InvalidResult: The decoder made NaN or infinity.
        """
        quant = vectors.to(self.device, self.dtype)
        spatial = quant if self.model.config.norm_type == "spatial" else None
        pixels = self.model.decoder(self.model.post_quant_conv(quant), spatial)
        return self.to_uint8(pixels)

    def to_uint8(self, pixels: Tensor) -> NDArray[np.uint8]:
        """Turn decoder output (n, 3, H, W) into (n, H, W, 3) uint8."""
        pixels = pixels.float() if self.unit_range else pixels.float().add(1).div(2)
        if not torch.isfinite(pixels).all():
            raise InvalidResult(
                f"The VQGAN made values that are not numbers (in {self.dtype}).",
                "Set the precision to float32.",
            )
        return pixels.mul(255).round().clamp(0, 255).byte().permute(0, 2, 3, 1).contiguous().cpu().numpy()

    def check(self, tokens: TokenMap) -> None:
        """Raise InvalidRequest unless `tokens` belongs to this model."""
        check_same_model(tokens.checksum, self.checksum, "token map")
        if tokens.codebook_size != self.codebook_size or tokens.factor != self.factor:
            raise InvalidRequest(
                f"The token map is for {tokens.codebook_size} codes of {tokens.factor} pixels, "
                f"this model has {self.codebook_size} of {self.factor}.",
                "Choose the model it was made with.",
            )

    def _latents(self, picture: Image.Image) -> Tensor:
        rows, columns = grid_shape(picture.size, self.factor)
        pixels = np.asarray(picture)  # (H, W, 3)
        below, right = rows * self.factor - pixels.shape[0], columns * self.factor - pixels.shape[1]
        pixels = np.pad(pixels, ((0, below), (0, right), (0, 0)), mode="edge")
        image_01 = torch.tensor(pixels, device=self.device).permute(2, 0, 1)[None].float() / 255
        image = image_01 if self.unit_range else image_01 * 2 - 1
        z = self.model.quant_conv(self.model.encoder(image))
        if not torch.isfinite(z).all():
            raise InvalidResult("The VQGAN's encoder made values that are not numbers.", "The model is damaged.")
        return z


def as_rgb(picture: Image.Image) -> Image.Image:
    """Return `picture` (as `studio.pictures` opens it) in RGB, see-through parts on white.

    Raises:
        InvalidPicture: No pixels, or more than MAX_PIXELS.
    """
    width, height = picture.size
    if width < 1 or height < 1:
        raise InvalidPicture("The picture has no pixels.", "Choose another one.")
    if width * height > MAX_PIXELS:
        raise InvalidPicture(
            f"The picture has {width} x {height} pixels, {width * height / 1e6:.1f} megapixels; "
            f"codes are made for up to {MAX_PIXELS / 1e6:.1f}.",
            "Make it smaller first.",
        )
    return opaque(canonical(picture))


def to_picture(pixels: NDArray[np.uint8], size: tuple[int, int]) -> Image.Image:
    """Crop `pixels` (H, W, 3) of a full grid to `size` (width, height)."""
    return Image.fromarray(np.ascontiguousarray(pixels[: size[1], : size[0]]))


def _find(folder: Path) -> tuple[Path, dict]:
    """Return the VQModel folder at or below `folder` and the pipeline index beside it (or {})."""
    for candidate in (folder, folder / "vqvae", folder / "vqgan", folder / "movq"):
        config = _read_json(candidate / "config.json")
        if config.get("_class_name") == "VQModel":
            return candidate, _read_json(candidate.parent / "model_index.json")
    config = _read_json(folder / "config.json")
    kind = config.get("_class_name")
    raise ModelError(
        f'"{folder.name}" holds a {kind}, not a VQModel.' if kind else f'There is no VQModel in "{folder.name}".',
        "Give the folder of a VQGAN in diffusers layout; `studio models convert` makes one from other checkpoints.",
    )


def _read_json(path: Path) -> dict:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ModelError(
            f'"{path.parent.name}/{path.name}" cannot be read: {error}.', "Copy the folder again."
        ) from error
    return content if isinstance(content, dict) else {}


def _checksum(model: Any) -> str:
    shaping = ("norm_num_groups", "act_fn", "norm_type", "up_block_types", "down_block_types")
    digest = hashlib.sha256(json.dumps([model.config[name] for name in shaping]).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name}{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
