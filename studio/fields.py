"""A request's fields as declared: for sliders, command-line flags, API docs, and messages when a value is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from studio.errors import InvalidRequest, UnknownName


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One field's declaration, for a slider, a flag or a message."""

    name: str
    title: str
    help: str
    type: Any
    default: Any
    minimum: float | None
    maximum: float | None
    step: float | None

    WHOLE: ClassVar[str] = "a whole number"

    def range_text(self) -> str:
        """Describe what is allowed: "a multiple of 8 between 64 and 2048"."""
        if self.type is int:
            noun = f"a multiple of {self.step:g}" if self.step and self.step > 1 else self.WHOLE
        else:
            noun = "a number"
        if self.minimum is None or self.maximum is None:
            return noun
        return f"{noun} between {self.minimum:.12g} and {self.maximum:.12g}"


def field_spec(request: type[BaseModel], name: str) -> FieldSpec:
    """Return the declaration of field `name` of `request`; raises KeyError for an unknown field."""
    info: FieldInfo = request.model_fields[name]
    limits = {type(m).__name__: m for m in info.metadata}
    minimum, maximum = getattr(limits.get("Ge"), "ge", None), getattr(limits.get("Le"), "le", None)
    multiple = getattr(limits.get("MultipleOf"), "multiple_of", None)
    whole = info.annotation is int
    return FieldSpec(
        name=name,
        title=info.title or name.replace("_", " ").capitalize(),
        help=info.description or "",
        type=info.annotation,
        default=None if info.is_required() or info.default_factory else info.default,
        minimum=minimum,
        maximum=maximum,
        step=multiple or (1 if whole else 0.1 if info.annotation is float and (maximum or 0) > 1 else 0.01),
    )


def explain(error: ValidationError, request: type[BaseModel]) -> InvalidRequest:
    """Turn pydantic's first complaint into one plain sentence with the value and the allowed range.

    A complaint about one of several settings of a kind (a LoRA of the LoRAs) is about that one's field.
    """
    first = error.errors(include_url=False)[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    part = _part_of(request, name)
    if part is not None and len(first["loc"]) > 2:
        return _explained({**first, "loc": first["loc"][2:]}, part, field=name)
    return _explained(first, request, field=name)


def _explained(first: Any, request: type[BaseModel], *, field: str) -> InvalidRequest:
    """Say what is wrong with the field of `request` that pydantic names; `field` is what the message is about."""
    name = str(first["loc"][0]) if first["loc"] else ""
    given = first.get("input")
    value = (given if isinstance(given, str) and _is_number(given) else repr(given))[:60]
    if first["type"] == "extra_forbidden":
        return UnknownName("setting", name, request.model_fields, field=field)
    if name not in request.model_fields:
        return InvalidRequest(f"{first['msg']}.", field=field)
    spec = field_spec(request, name)
    if first["type"] == "missing":
        return InvalidRequest(f"{spec.title} is missing.", spec.help, field=field)
    if first["type"] == "string_too_short":
        return InvalidRequest(
            f"{spec.title} is empty.", "Write a few words for what you want to see: a red apple, 3d style.", field=field
        )
    if first["type"] == "string_too_long":
        length, limit = len(first["input"]), first["ctx"]["max_length"]
        return InvalidRequest(
            f"{spec.title} is too long ({length:,} of {limit:,} characters).", "Shorten it.", field=field
        )
    if spec.type in (int, float):
        return InvalidRequest(f"{spec.title} must be {spec.range_text()}, not {value}.", field=field)
    return InvalidRequest(f"{spec.title} cannot be {value}: {first['msg'].lower()}.", field=field)


def _part_of(request: type[BaseModel], name: str) -> type[BaseModel] | None:
    """Return the settings of which field `name` holds several, or None."""
    parts = get_args(request.model_fields[name].annotation) if name in request.model_fields else ()
    return next((it for it in parts if isinstance(it, type) and issubclass(it, BaseModel)), None)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
