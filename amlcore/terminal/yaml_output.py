"""YAML on stdout, for people who read what a command would do."""

from __future__ import annotations

from enum import Enum
from pathlib import PurePath
from typing import Any

import yaml

from amlcore.worker.values import positional


class _Dumper(yaml.SafeDumper):
    """YAML for people: 0.00003, where PyYAML writes 3.0e-05."""

    def represent_float(self, value: float) -> yaml.ScalarNode:
        if 0 < abs(value) < 1:
            return self.represent_scalar("tag:yaml.org,2002:float", positional(repr(value)))
        return super().represent_float(value)


_Dumper.add_representer(float, _Dumper.represent_float)
_Dumper.add_multi_representer(Enum, lambda dumper, value: dumper.represent_data(value.value))
_Dumper.add_multi_representer(PurePath, lambda dumper, value: dumper.represent_data(str(value)))


def print_yaml(value: dict[str, Any]) -> None:
    print(yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True), end="")
