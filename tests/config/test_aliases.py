"""A YAML file of a few lines that expands to millions of values is refused at once."""

from __future__ import annotations

import io

import pytest

from amlcore.config.files.yaml_reader import load
from amlcore.errors import ConfigError


def stream(text: str) -> io.StringIO:
    stream = io.StringIO(text)
    stream.name = "conf/script/bomb.yaml"
    return stream


def bomb(*, of: str) -> str:
    lines, before = [f"a: &a {of}"], "a"
    for name in "bcdefghi":
        several = [f"*{before}"] * 9
        body = ", ".join(several) if of.startswith("[") else ", ".join(f"k{n}: {one}" for n, one in enumerate(several))
        lines.append(f"{name}: &{name} " + (f"[{body}]" if of.startswith("[") else "{" + body + "}"))
        before = name
    return "\n".join(lines)


@pytest.mark.parametrize("text", [bomb(of="[x, x, x]"), bomb(of="{x: 1}")])
def test_a_bomb_is_refused_by_name(text: str) -> None:
    with pytest.raises(ConfigError, match=r"conf/script/bomb\.yaml: aliases expand \d+ values to \d{7,}"):
        load(stream(text), package=())


def test_a_recursive_alias_is_refused_by_line() -> None:
    with pytest.raises(ConfigError, match=r"bomb\.yaml:2: an alias contains itself"):
        load(stream("x: 1\na: &a [1, *a]\n"), package=())


def test_aliases_that_people_write_are_followed() -> None:
    assert load(stream("a: &a {x: 1}\nb: *a\nc: [*a, *a]\n"), package=()) == {
        "a": {"x": 1},
        "b": {"x": 1},
        "c": [{"x": 1}, {"x": 1}],
    }
