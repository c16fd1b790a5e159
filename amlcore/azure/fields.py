"""Copies between a declared noun and its face in Azure ML's API, which has the same fields and more methods."""

from dataclasses import fields
from typing import Any, TypeVar

Face = TypeVar("Face")


def as_face(face: type[Face], noun: Any) -> Face:
    """The same values as an object of `face`, a subclass of the dataclass that `noun` is of."""
    return face(**{field.name: getattr(noun, field.name) for field in fields(noun)})
