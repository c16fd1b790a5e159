"""Conversion of a declared noun to its counterpart in Azure ML's API, which has the same fields and more methods."""

from dataclasses import fields
from typing import Any, TypeVar

Face = TypeVar("Face")


def as_face(face: type[Face], noun: Any) -> Face:
    """The fields of `noun` as an object of `face`, a subclass of its dataclass."""
    return face(**{field.name: getattr(noun, field.name) for field in fields(noun)})
