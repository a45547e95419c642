"""Masked-token priors as models of their own: a `transformer` in a model's folder is a second, faster way to paint.

Knows no torch and opens no weight, as the rest of the catalogue.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from studio.engine.catalog import ModelCard, Preset, Scan
from studio.engine.checkpoint import read_folder_headers, read_json
from studio.engine.recognise import read_words
from studio.engine.schedulers import NoiseSchedule
from studio.errors import ModelError

FAMILY = "masked_tokens"
PART = "transformer"
_STEPS = {"draft": 6, "standard": 12, "fine": 24}
_GUIDANCE = 3.0


def prior_beside(card: ModelCard) -> ModelCard | None:
    """Return the card of the prior in the folder of `card`, or None where there is none.

    Raises:
        ModelError: There is one, and it is damaged or of another kind.
    """
    folder = card.path / PART
    if card.family != "ldm" or not (folder / "config.json").is_file():
        return None
    config = read_json(folder / "config.json")
    if config.get("_class_name") != "UVit2DModel":
        raise ModelError(
            f'"{card.path.name}/{PART}" is a {str(config.get("_class_name"))[:60]}; a prior is a UVit2DModel.',
            "Train one: studio train tokens.",
        )
    words = read_words(card.path / "studio.toml")
    autoencoder = read_json(card.path / "vqvae" / "config.json")
    factor = 2 ** (len(autoencoder.get("block_out_channels", (0,))) - 1)
    side = int(config.get("sample_size") or 16) * factor
    shared = sum(read_folder_headers(card.path / part).nbytes for part in ("vqvae", "bert"))
    given = words.prior_presets
    return replace(
        card,
        id=f"{card.id}-tokens",
        name=f"{card.name}, fast",
        description=words.prior_description or card.description,
        family=FAMILY,
        architecture="tokens",
        schedule=NoiseSchedule("tokens"),
        width=side,
        height=side,
        grid=factor,
        presets=tuple(
            Preset(name, given[name].steps, given[name].scheduler, given[name].guidance_scale)
            if name in given and given[name].scheduler.startswith("maskgit")
            else Preset(name, steps, "maskgit", _GUIDANCE)
            for name, steps in _STEPS.items()
        ),
        bytes=read_folder_headers(folder).nbytes + shared,
    )


def prior_for(found: Scan, model_id: str) -> tuple[ModelCard, bool]:
    """Return a prior and whether it is the one of `model_id`: beside that model, or else the first there is.

    Args:
        found: The models there are.
        model_id: A prior's own id, or a model's; "" is the default model.

    Raises:
        ModelError: There is no prior.
        UnknownName: There is no model of this name.
    """
    card = found.find(model_id)
    priors = [one for one in found.models if one.family == FAMILY]
    if not priors:
        raise ModelError(
            "No model here has a masked-token prior, which draws tokens.",
            "Choose another method, or train a prior: studio train tokens.",
        )
    own = next((one for one in priors if one.path == card.path), None)
    return own or priors[0], own is not None


def prior_in(found: Scan, folder: Path) -> ModelCard:
    """Return the prior in the model folder `folder`; raises ModelError where it has none."""
    for card in found.models:
        if card.family == FAMILY and card.path.resolve() == folder.resolve():
            return card
    raise ModelError(
        f"{folder.name} has no masked-token prior, so nothing can draw its tokens.",
        "Choose another model, or train a prior for it: studio train tokens.",
    )
