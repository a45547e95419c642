"""Frames to a file: MP4, GIF or WebP."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from PIL import Image

from studio.atomic import write_atomically
from studio.errors import InvalidRequest, StudioError, UnknownName

KINDS = {".mp4": "video/mp4", ".gif": "image/gif", ".webp": "image/webp"}
MAX_FPS = 60


def save_animation(frames: Iterable[Image.Image], path: Path, *, fps: float = 12, bounce: bool = False) -> int:
    """Write `frames` (all of one size) to `path` by its ending and return how many were written.

    MP4 is H.264 in yuv420p, which every player opens; odd sizes are padded by one repeated row or column. GIF
    keeps time in hundredths of a second, WebP in thousandths; both loop.

    Args:
        fps: Frames a second, above 0 and up to MAX_FPS.
        bounce: Play back to the start after the end, so that a loop has no jump.

    Raises:
        UnknownName: The ending is none of .mp4, .gif, .webp.
        InvalidRequest: No frames, sizes that differ, or fps out of range.
    """
    path = Path(path)
    if path.suffix.lower() not in KINDS:
        raise UnknownName("kind of animation", path.suffix, KINDS)
    if not 0 < fps <= MAX_FPS:
        raise InvalidRequest(f"Frames a second must be above 0 and at most {MAX_FPS}, not {fps:g}.")
    pictures = _checked(frames)
    if bounce:
        there = list(pictures)
        pictures = iter(there + there[-2:0:-1])
    if path.suffix.lower() == ".mp4":
        data, count = _mp4(pictures, fps)
    else:
        data, count = _image(pictures, path.suffix.lower(), fps)
    write_atomically(path, data)
    return count


def _checked(frames: Iterable[Image.Image]) -> Iterator[Image.Image]:
    size: tuple[int, int] | None = None
    for frame in frames:
        if size is not None and frame.size != size:
            raise InvalidRequest(f"The frames have different sizes: {size} and {frame.size}.")
        size = frame.size
        yield frame.convert("RGB")
    if size is None:
        raise InvalidRequest("There are no frames to save.")


def _image(frames: Iterator[Image.Image], suffix: str, fps: float) -> tuple[bytes, int]:
    first, *rest = list(frames)
    buffer = io.BytesIO()
    options = {"quality": 90, "method": 4} if suffix == ".webp" else {"disposal": 1}
    first.save(
        buffer,
        suffix[1:].upper(),
        save_all=True,
        append_images=rest,
        duration=max(round(1000 / fps), 20),
        loop=0,
        **options,  # type: ignore[arg-type]
    )
    return buffer.getvalue(), 1 + len(rest)


def _mp4(frames: Iterator[Image.Image], fps: float) -> tuple[bytes, int]:
    first = next(frames)
    width, height = first.width + first.width % 2, first.height + first.height % 2
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        try:
            writer = imageio_ffmpeg.write_frames(
                str(path),
                (width, height),
                fps=fps,
                codec="libx264",
                pix_fmt_out="yuv420p",
                quality=8,
                macro_block_size=2,
                ffmpeg_log_level="error",
                output_params=["-movflags", "+faststart"],
            )
            writer.send(None)
            count = 0
            for frame in chain([first], frames):
                pixels = np.asarray(frame)
                below, right = height - pixels.shape[0], width - pixels.shape[1]
                writer.send(np.ascontiguousarray(np.pad(pixels, ((0, below), (0, right), (0, 0)), mode="edge")))
                count += 1
            writer.close()
            return path.read_bytes(), count
        except (OSError, RuntimeError) as error:
            raise StudioError(
                f"ffmpeg could not make the film: {str(error).splitlines()[0][:200]}", "Save it as WebP or GIF instead."
            ) from error
