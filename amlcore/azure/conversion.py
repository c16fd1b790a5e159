"""Conversion of a declared noun to its counterpart in Azure ML's API, which has the same fields and more methods."""

from dataclasses import fields
from typing import Any, TypeVar

AzureClass = TypeVar("AzureClass")


def as_azure(azure_class: type[AzureClass], noun: Any) -> AzureClass:
    """The fields of `noun` as an object of `azure_class`, a subclass of its dataclass."""
    return azure_class(**{field.name: getattr(noun, field.name) for field in fields(noun)})
