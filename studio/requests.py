"""What a user may ask: frozen, validated, JSON in and out; each request is its own recipe.

Every bound, default, title and help text is declared here once; sliders, command-line flags, API docs and
messages derive from it through `studio.fields`. Pictures are referred to by content hash (`PictureRef`),
never by path. `parse` turns untrusted values into a request or raises `InvalidRequest` in plain words.
"""

from __future__ import annotations

import secrets
import unicodedata
from typing import Annotated, Any, Literal, TypeAlias, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from studio.errors import UnknownName
from studio.fields import explain

RECIPE_VERSION: Literal[1] = 1
MAX_SEED = 2**32 - 1
MAX_PROMPT = 2000
MAX_LORAS, MAX_LORA_WEIGHT = 8, 4
MAX_CONTROLS = 3

_BIDI_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def clean_text(text: str) -> tuple[str, int]:
    """Return `text` in NFC without control, bidi-override and surrogate characters, and how many were removed."""
    kept = [c for c in text if c in "\n\t" or (unicodedata.category(c) not in ("Cc", "Cs") and c not in _BIDI_CONTROLS)]
    return unicodedata.normalize("NFC", "".join(kept)).strip(), len(text) - len(kept)


def random_seed() -> int:
    """Return a fresh seed in [0, MAX_SEED]."""
    return secrets.randbelow(MAX_SEED + 1)


def _prompt_text(value: Any) -> Any:
    return clean_text(value)[0] if isinstance(value, str) else value


def _seed(value: Any) -> Any:
    """Empty and -1 mean "draw one": the drawn seed becomes part of the recipe."""
    if value is None or (isinstance(value, str) and value.strip() in ("", "-1")) or value == -1:
        return random_seed()
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


Prompt = Annotated[str, BeforeValidator(_prompt_text)]
PictureRef = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the picture's pixels")]
Seed = Annotated[int, BeforeValidator(_seed)]
Extension = Annotated[int, Field(ge=0, le=2048)]


class Request(BaseModel):
    """Base of all requests; `version` is the recipe version, so that stored recipes can be migrated."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    version: Literal[1] = RECIPE_VERSION

    def with_changes(self, **changes: Any) -> Request:
        """Return a validated copy with `changes`; raises InvalidRequest."""
        return parse({**self.model_dump(), **changes})


class StyleWords(BaseModel):
    """A style as a recipe keeps it: its words, so that the recipe means the same when the style's file has changed.

    `{prompt}` in `prompt` is where the artist's own words go.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")
    name: str = Field(min_length=1, max_length=120)
    prompt: Prompt = Field("", max_length=MAX_PROMPT)
    negative_prompt: Prompt = Field("", max_length=MAX_PROMPT)


class LoraUse(BaseModel):
    """A LoRA by name, and how strongly it acts; 1 is as it was trained."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    name: str = Field(min_length=1, max_length=200)
    weight: float = Field(1.0, ge=-MAX_LORA_WEIGHT, le=MAX_LORA_WEIGHT)


class Sampled(Request):
    """The settings every denoising run shares."""

    prompt: Prompt = Field(min_length=1, max_length=MAX_PROMPT, title="Prompt", description="What you want to see")
    negative_prompt: Prompt = Field("", max_length=MAX_PROMPT, title="Negative prompt", description="What to keep out")
    model: str = Field("", max_length=200, title="Model", description="Empty: the studio's default model")
    steps: int = Field(20, ge=1, le=150, title="Steps", description="More steps: finer, slower")
    guidance_scale: float = Field(
        4.0, ge=1, le=30, title="Guidance scale", description="How closely to follow the prompt; 1 is off"
    )
    guidance_start: float = Field(
        0.0, ge=0, le=1, title="Guide from", description="The share of the steps after which guidance begins"
    )
    guidance_end: float = Field(
        1.0,
        ge=0,
        le=1,
        title="Guide until",
        description="The share of the steps after which it ends; unguided steps are faster",
    )
    scheduler: str = Field("dpmpp_2m", max_length=40, title="Scheduler", description="How noise is taken away")
    seed: Seed = Field(
        default_factory=random_seed,
        ge=0,
        le=MAX_SEED,
        title="Seed",
        description="Same seed, same picture; empty: a new one",
    )
    batch: int = Field(1, ge=1, le=16, title="Pictures", description="Picture i of a batch uses seed + i")
    auto_stop: bool = Field(
        False, title="Stop when settled", description="End once the picture no longer changes; it may differ a little"
    )
    temperature: float = Field(
        1.0,
        ge=0,
        le=4,
        title="Temperature",
        description="For models that draw tokens: 0 takes the likeliest, more is freer",
    )
    loras: tuple[LoraUse, ...] = Field(
        (), max_length=MAX_LORAS, title="LoRAs", description="Beside those the prompt names as <lora:name:0.8>"
    )
    vae: str = Field(
        "", max_length=200, title="Autoencoder (VAE)", description="Of SD models: what decodes; empty: the model's own"
    )
    styles: tuple[StyleWords, ...] = Field(
        (), max_length=8, title="Styles", description="Words around your own; several stack"
    )
    variation_strength: float = Field(
        0.0, ge=0, le=1, title="Variation", description="How far to go from this picture towards another seed's"
    )
    variation_seed: Seed = Field(
        0,
        ge=0,
        le=MAX_SEED,
        title="Variation seed",
        description="The seed to go towards; picture i uses variation seed + i",
    )

    @model_validator(mode="before")
    @classmethod
    def _settle_variation(cls, values: Any) -> Any:
        """Draw a variation seed where there is a variation and none is given; without one it is 0."""
        if not isinstance(values, dict) or "variation_seed" not in cls.model_fields:
            return values
        given = values.get("variation_seed")
        if values.get("variation_strength", 0) in (0, None, "0", ""):
            unused = given is None or str(given).strip() in ("", "-1")
            return {**values, "variation_seed": 0} if unused else values
        return values if given is not None else {**values, "variation_seed": -1}


ControlNetName = Annotated[
    str,
    Field(max_length=200, title="ControlNet", description="What it was made for; empty: the first that fits the model"),
]
ControlPreprocessor = Annotated[
    Literal["none", "canny", "invert", "inpaint"],
    Field(
        title="Prepare",
        description="None: it is a control map already; canny draws its edges; invert is for dark lines on white; "
        "inpaint leaves out what is painted over",
    ),
]
ControlScale = Annotated[
    float, Field(ge=0, le=2, title="Control strength", description="How firmly the shapes are followed")
]
ControlStart = Annotated[
    float,
    Field(ge=0, le=1, title="Control from", description="The share of the steps after which it begins to act"),
]
ControlEnd = Annotated[
    float, Field(ge=0, le=1, title="Control until", description="The share of the steps after which it lets go")
]


class ControlUse(BaseModel):
    """A control picture, the ControlNet that reads it, and how firmly and when it acts."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    picture: PictureRef
    net: ControlNetName = ""
    preprocessor: ControlPreprocessor = "none"
    scale: ControlScale = 1.0
    start: ControlStart = 0.0
    end: ControlEnd = 1.0


class Controlled(Sampled):
    """The settings of a run whose shapes control pictures can steer, through ControlNets (Zhang 2023).

    The first picture has fields of its own, so that a grid can vary them; what several add is summed.
    """

    control: PictureRef | None = Field(None, title="Control picture", description="Its shapes steer the picture")
    control_net: ControlNetName = ""
    control_preprocessor: ControlPreprocessor = "none"
    control_scale: ControlScale = 1.0
    control_start: ControlStart = 0.0
    control_end: ControlEnd = 1.0
    more_controls: tuple[ControlUse, ...] = Field(
        (), max_length=MAX_CONTROLS - 1, title="More control pictures", description="What they add is summed"
    )

    @property
    def controls(self) -> tuple[ControlUse, ...]:
        """All control pictures, in order."""
        if self.control is None:
            return self.more_controls
        first = ControlUse(
            picture=self.control,
            net=self.control_net,
            preprocessor=self.control_preprocessor,
            scale=self.control_scale,
            start=self.control_start,
            end=self.control_end,
        )
        return (first, *self.more_controls)


class TextToImage(Controlled):
    """Prompt to picture."""

    kind: Literal["text_to_image"] = "text_to_image"
    width: int = Field(256, ge=64, le=2048, multiple_of=8, title="Width", description="In pixels")
    height: int = Field(256, ge=64, le=2048, multiple_of=8, title="Height", description="In pixels")


class Stylize(Controlled):
    """Give a content picture a style, by words or by reference pictures.

    A chain hands each method's result to the next. `reference_weights` is empty (all alike) or has one
    weight per reference. `palette` is a palette file's content (`studio.codebook.palettes.Palette`), the style of
    the methods that work on tokens; empty: there is none.
    """

    kind: Literal["stylize"] = "stylize"
    prompt: Prompt = Field("", max_length=MAX_PROMPT, title="Style words", description="The style to aim for")
    content: PictureRef
    references: tuple[PictureRef, ...] = Field((), max_length=8, title="Style pictures")
    reference_weights: tuple[Annotated[float, Field(ge=0, le=100)], ...] = Field((), max_length=8, title="Weights")
    palette: dict[str, Any] = Field(default_factory=dict, title="Palette", description="Codes to redraw with")
    methods: tuple[str, ...] = Field(
        ("tokens",), min_length=1, max_length=3, title="Method", description="One method, or a chain of them"
    )
    strength: float = Field(0.8, ge=0, le=1, title="Style strength", description="0 keeps the content, 1 is all style")
    structure: float = Field(0.5, ge=0, le=1, title="Structure", description="How firmly the content's shapes are kept")
    keep_colours: bool = Field(
        False, title="Keep content colours", description="Take brush and texture, leave the colours"
    )
    size: int = Field(
        0,
        ge=0,
        le=2048,
        multiple_of=8,
        title="Working size",
        description="Longer side, in pixels, the method works at; 0 chooses what suits it",
    )


class Inpaint(Controlled):
    """Repaint the masked part of a picture, or extend it.

    White in the mask is what to paint. With `extend` the mask may be left out.
    """

    kind: Literal["inpaint"] = "inpaint"
    prompt: Prompt = Field("", max_length=MAX_PROMPT, title="Prompt", description="What the painted part should show")
    source: PictureRef
    mask: PictureRef | None = Field(None, title="Mask", description="White is what to paint")
    batch: int = Field(1, ge=1, le=16, title="Candidates", description="Candidate i uses seed + i")
    method: str = Field("diffusion", max_length=40, title="Method", description="How the part is filled")
    strength: float = Field(1.0, ge=0, le=1, title="Denoising strength", description="1 ignores what was there")
    area: Literal["masked", "whole"] = Field(
        "masked", title="Area", description="Work on the masked part only, or on all"
    )
    padding: int = Field(32, ge=0, le=512, title="Padding", description="Surroundings the model sees, in pixels")
    grow: int = Field(4, ge=-64, le=64, title="Grow mask", description="Pixels; negative shrinks")
    feather: int = Field(8, ge=0, le=128, title="Feather", description="Soft edge around the mask, in pixels")
    prefill: Literal["original", "blur", "telea", "navier_stokes", "colour", "noise"] = Field(
        "original", title="Pre-fill", description="What the model starts from in the masked part"
    )
    fill_colour: str = Field(
        "#808080", pattern=r"^#[0-9a-fA-F]{6}$", title="Fill colour", description="For the flat-colour pre-fill"
    )
    soft: bool = Field(False, title="Soft mask", description="Grey in the mask is a strength per pixel")
    match_colours: bool = Field(True, title="Match colours", description="Fit the painted part to its surroundings")
    extend: tuple[Extension, Extension, Extension, Extension] = Field(
        (0, 0, 0, 0), title="Extend", description="Left, top, right, bottom, in pixels"
    )
    size: int = Field(
        0,
        ge=0,
        le=2048,
        multiple_of=8,
        title="Working size",
        description="Side, in pixels, the model works at; 0 is the model's own",
    )


class Reconstruct(Request):
    """A picture through a VQGAN: picture to codes to picture."""

    kind: Literal["reconstruct"] = "reconstruct"
    model: str = Field("", max_length=200, title="Model")
    source: PictureRef


class EditTokens(Request):
    """Operations on a picture's token map, replayed in order."""

    kind: Literal["edit_tokens"] = "edit_tokens"
    model: str = Field("", max_length=200, title="Model")
    source: PictureRef | None = None
    tokens: str = Field("", max_length=400_000, title="Token map", description="The start map as a share string")
    operations: tuple[dict[str, Any], ...] = Field((), max_length=10_000, title="Operations")


class DrawTokens(Sampled):
    """Tokens drawn from a VQGAN's masked-token prior: a new picture, or other tokens at some cells of a map.

    `model` names the VQGAN. Without `tokens` all of a new picture is drawn; `cells` (row, column) of None is all.
    The alternatives are for choosing: they are token maps, and nothing is recorded.
    """

    kind: Literal["draw_tokens"] = "draw_tokens"
    prompt: Prompt = Field("", max_length=MAX_PROMPT, title="Prompt", description="What the tokens should show")
    steps: int = Field(12, ge=1, le=100, title="Steps", description="Tokens are decided over so many steps")
    guidance_scale: float = Field(3.0, ge=1, le=30, title="Guidance scale", description="How closely to follow")
    scheduler: str = Field("maskgit", max_length=40, title="Order", description="How many tokens each step decides")
    batch: int = Field(4, ge=1, le=16, title="Alternatives", description="Alternative i uses seed + i")
    tokens: str = Field("", max_length=400_000, title="Token map", description="The start map as a share string")
    cells: tuple[tuple[int, int], ...] | None = Field(None, max_length=100_000, title="Cells")
    width: int = Field(256, ge=16, le=1024, title="Width", description="In pixels, of a new picture")
    height: int = Field(256, ge=16, le=1024, title="Height", description="In pixels, of a new picture")


class Fork(Controlled):
    """Go on from step `step` of the run that `parent` describes, with the settings given here.

    The run is a picture from a prompt, an inpainting or a style transfer by diffusion, or a fork of one. Steps,
    scheduler, size, variation and pictures are the run's (width and height count for pictures from prompts alone);
    prompt, guidance, seed, LoRAs, control pictures and (between models of one kind) the model may differ. A new seed
    gives the picture as predicted at that step fresh noise. With a mask (of a picture from a prompt) only its white
    part is changed. With `frame` nothing goes on: the picture as predicted at that step is the result.
    """

    kind: Literal["fork"] = "fork"
    prompt: Prompt = Field("", max_length=MAX_PROMPT, title="Prompt", description="What you want to see")
    width: int = Field(256, ge=64, le=2048, multiple_of=8, title="Width", description="The parent's")
    height: int = Field(256, ge=64, le=2048, multiple_of=8, title="Height", description="The parent's")
    parent: dict[str, Any] = Field(title="Run", description="The recipe of the run to fork")
    step: int = Field(ge=0, le=300, title="From step", description="0 begins with the parent's noise")
    mask: PictureRef | None = Field(None, title="Mask", description="White is what may change")
    source: PictureRef | None = Field(None, title="Picture", description="The parent's, to be compared with")
    frame: bool = Field(False, title="Frame only", description="Decode the picture as it stood at that step")


class Timelapse(Request):
    """The film of a run: every step's predicted picture at full size."""

    kind: Literal["timelapse"] = "timelapse"
    parent: dict[str, Any] = Field(title="Run", description="The recipe of the run")
    format: Literal["mp4", "gif", "webp"] = Field("mp4", title="Format")
    fps: float = Field(8, ge=1, le=60, title="Frames a second")


class KeepFilm(Request):
    """Keep a run's steps on the disk, so that it can be forked without being run again."""

    kind: Literal["keep_film"] = "keep_film"
    parent: dict[str, Any] = Field(title="Run", description="The recipe of the run")


class Upscale(Sampled):
    """A larger picture: Lanczos or an upscaler's network, and on wish a model that adds detail tile by tile."""

    kind: Literal["upscale"] = "upscale"
    prompt: Prompt = Field("", max_length=MAX_PROMPT, title="Prompt", description="What the picture shows, for detail")
    source: PictureRef
    scale: Literal[2, 4] = Field(2, title="Scale", description="Times as wide and as high")
    method: Literal["plain", "refine"] = Field(
        "plain", title="Method", description="Plain enlarges; refine lets a model paint detail"
    )
    upscaler: str = Field("", max_length=200, title="Upscaler", description="Empty: Lanczos")
    strength: float = Field(0.3, ge=0.02, le=1, title="Denoising strength", description="How freely detail is painted")


class Walk(Sampled):
    """A film from one prompt or seed to another."""

    kind: Literal["walk"] = "walk"
    width: int = Field(256, ge=64, le=2048, multiple_of=8, title="Width", description="In pixels")
    height: int = Field(256, ge=64, le=2048, multiple_of=8, title="Height", description="In pixels")
    to_prompt: Prompt = Field("", max_length=MAX_PROMPT, title="To prompt", description="Empty: the same prompt")
    to_seed: Seed = Field(
        default_factory=random_seed, ge=0, le=MAX_SEED, title="To seed", description="Empty: a new one"
    )
    frames: int = Field(24, ge=2, le=240, title="Frames", description="Each is a picture of its own")
    ease: bool = Field(True, title="Ease", description="Start and end slowly")
    bounce: bool = Field(False, title="Back and forth", description="Play back to the start")
    format: Literal["mp4", "gif", "webp"] = Field("mp4", title="Format", description="Of the film's file")
    fps: float = Field(12, ge=1, le=60, title="Frames a second", description="How fast it plays")


AnyRequest: TypeAlias = (
    TextToImage
    | Stylize
    | Inpaint
    | Reconstruct
    | EditTokens
    | DrawTokens
    | Fork
    | Timelapse
    | KeepFilm
    | Upscale
    | Walk
)
KINDS: dict[str, type[Request]] = {t.model_fields["kind"].default: t for t in get_args(AnyRequest)}


def parse(values: dict[str, Any]) -> Request:
    """Return the request that `values` (with a "kind") describe.

    Raises:
        UnknownName: The kind does not exist.
        InvalidRequest: A value is missing, out of bounds or of the wrong type; says which, and the range.
    """
    kind = str(values.get("kind", ""))
    if kind not in KINDS:
        raise UnknownName("kind of request", kind, KINDS, field="kind")
    try:
        return KINDS[kind].model_validate(values)
    except ValidationError as error:
        raise explain(error, KINDS[kind]) from error
