"""The models there are: folders scanned into cards, without opening a weight or loading torch.

A card holds what the page needs before anything is loaded: name, sizes, schedulers, presets, style words. A
folder may carry a `studio.toml` with the words of its maker; everything else is read from the configuration
and the headers. What cannot be used is listed too, with the reason in one sentence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from studio.engine.schedulers import NoiseSchedule, SchedulerChoice, fitting
from studio.errors import InvalidRequest, ModelError, UnknownName

DEPTH = 3  # levels of folders that are looked through


@dataclass(frozen=True, slots=True)
class Preset:
    """One quality choice: "draft", "standard" or "fine"."""

    id: str
    steps: int
    scheduler: str
    guidance_scale: float


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What can be said of a model without loading it.

    Attributes:
        id: Unique name: the folder's or file's name, with a number behind it when two share it.
        name: For people.
        family: Which of `studio.engine.families` loads it.
        architecture: "ldm", "sd1", "sd2", "sdxl" or "tokens".
        path: A diffusers folder, or one .safetensors file.
        schedule: What decides which schedulers fit.
        width, height: The size it was trained for, in pixels.
        grid: Width and height must be multiples of this many pixels.
        presets: Draft, standard and fine.
        description, licence, styles, examples: The maker's words (`studio.toml`).
        bytes: Size of the weights on disk.
        is_inpainting: It takes a mask and the masked picture as extra channels.
    """

    id: str
    name: str
    family: str
    architecture: str
    path: Path
    schedule: NoiseSchedule
    width: int
    height: int
    grid: int
    presets: tuple[Preset, ...]
    description: str = ""
    licence: str = ""
    styles: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    bytes: int = 0
    is_inpainting: bool = False

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """(width, height) worth offering, in pixels: the trained size, wide and tall of about that area, half."""
        long, short = (round(side / self.grid) * self.grid for side in (self.width * 1.25, self.width * 0.75))
        own = (self.width, self.height)
        half = (max(64, self.width // 2 // self.grid * self.grid), max(64, self.height // 2 // self.grid * self.grid))
        return tuple(dict.fromkeys((own, (long, short), (short, long), half)))

    @property
    def schedulers(self) -> tuple[SchedulerChoice, ...]:
        """The schedulers that fit, best first."""
        return fitting(self.schedule)

    def preset(self, preset_id: str) -> Preset:
        """Return a preset by id; raises UnknownName."""
        for preset in self.presets:
            if preset.id == preset_id:
                return preset
        raise UnknownName("quality", preset_id, (p.id for p in self.presets))

    def check_loop(self) -> None:
        """Raise ModelError for a model that takes no noise away in the studio's own loop, from a picture for one."""
        if self.family == "pipeline":
            raise ModelError(f"{self.name} only makes pictures from prompts.", "Choose another model here.")
        if self.architecture == "tokens":
            raise ModelError(f"{self.name} draws tokens; it takes no noise away.", "Choose another model here.")

    def check_size(self, width: int, height: int) -> None:
        """Raise InvalidRequest when `width` or `height` is off the model's grid."""
        for field, value in (("width", width), ("height", height)):
            if value % self.grid:
                near = max(self.grid, round(value / self.grid) * self.grid)
                raise InvalidRequest(
                    f"{field.capitalize()} must be a multiple of {self.grid} between {max(64, self.grid)} and 2048 "
                    f"for {self.name}, not {value}.",
                    f"Use {near}.",
                    field=field,
                )


@dataclass(frozen=True, slots=True)
class Unusable:
    """A file or folder that looks like a model and cannot be used: why, and what to do."""

    id: str
    path: Path
    reason: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Scan:
    """What was found: usable models (the first is the default), and those that are not."""

    models: tuple[ModelCard, ...]
    unusable: tuple[Unusable, ...]

    def find(self, model_id: str) -> ModelCard:
        """Return the card called `model_id`, or the default when it is empty.

        Raises:
            UnknownName: There is no such model; the nearest are suggested.
            ModelError: It cannot be used, or there is no model at all.
        """
        if not model_id and self.models:
            return self.models[0]
        for card in self.models:
            if card.id == model_id:
                return card
        for bad in self.unusable:
            if bad.id == model_id:
                raise ModelError(bad.reason, bad.hint)
        if not self.models:
            raise ModelError("There is no model yet.", "Put one into the checkpoints folder.")
        raise UnknownName("model", model_id, (card.id for card in self.models), field="model")


def scan(folders: Iterable[Path]) -> Scan:
    """Return every model in `folders`, in their order, then by name; a folder that cannot be read is skipped.

    Models further below (as other studios keep them) are found too; what cannot be used is listed only where it
    lies in one of `folders` itself. Add-ons (`studio.engine.addons`) are no models and left out.
    """
    from studio.engine.addons import is_addon
    from studio.engine.priors import prior_beside
    from studio.engine.recognise import recognise

    models: dict[str, ModelCard] = {}
    unusable: list[Unusable] = []
    seen: set[Path] = set()
    for top, path in ((folder, path) for folder in folders for path in _candidates(folder)):
        resolved = path.resolve()
        if resolved in seen or (path.suffix == ".safetensors" and is_addon(path)):
            continue
        seen.add(resolved)
        try:
            card = recognise(path)
        except ModelError as error:
            if path.parent == top:
                unusable.append(Unusable(path.name if path.is_dir() else path.stem, path, error.message, error.hint))
            continue
        unique = _unique(card.id, models)
        models[unique] = card = replace(card, id=unique)
        try:
            prior = prior_beside(card)
        except ModelError as error:
            unusable.append(Unusable(f"{unique}-tokens", path, error.message, error.hint))
            continue
        if prior is not None:
            unique = _unique(prior.id, models)
            models[unique] = replace(prior, id=unique)
    return Scan(tuple(models.values()), tuple(unusable))


def visible(folder: Path) -> list[Path]:
    """Return what lies in `folder` and is not hidden, by name; nothing where there is nothing to read."""
    try:
        entries = sorted(folder.iterdir(), key=lambda path: path.name.lower())
    except OSError:
        return []
    return [path for path in entries if not path.name.startswith(".")]


def _candidates(folder: Path, depth: int = DEPTH) -> Iterator[Path]:
    for path in visible(folder):
        if (path / "model_index.json").is_file() or path.suffix in (".safetensors", ".ckpt"):
            yield path
        elif depth > 1 and path.is_dir() and not (path / "config.json").is_file():
            yield from _candidates(path, depth - 1)


def _unique(wanted: str, taken: dict[str, ModelCard]) -> str:
    if wanted not in taken:
        return wanted
    return next(name for number in range(2, len(taken) + 3) if (name := f"{wanted} {number}") not in taken)
