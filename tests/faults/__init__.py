"""Faults that amlcore must survive: each kind has a file of its own, and is tried repeatedly with other seeds.

`python -m tests.faults [KIND…] [--tries N]` prints what came of it, `make faults` is the long form. A kind is a module
of this folder with `attempt(seed, folder) -> Outcome`, and may have `can_run() -> str`, which says why it cannot be
tried on this machine; "" where it can.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

LONG_TRIES = 100
LONGER = {"kill": 200}
SHORT_TRIES = 1
INTERNAL = ("__main__", "test_faults", "support", "crowd_member")
"""Modules of this folder that are no kind of fault."""


@dataclass
class Outcome:
    """The outcome of one try of a fault."""

    lost: list[str] = field(default_factory=list)  # what amlcore had said was kept and is not there, or not intact
    harmed: list[str] = field(default_factory=list)  # a wrong state for good, a wrong answer, a verb that broke

    @property
    def good(self) -> bool:
        return not self.lost and not self.harmed


@dataclass(frozen=True)
class Kind:
    """A kind of fault: how it is tried once, in a new folder."""

    name: str
    attempt: Callable[[int, Path], Outcome]
    unable: str  # why it cannot be tried here, or ""

    @property
    def long_tries(self) -> int:
        return LONGER.get(self.name, LONG_TRIES)


def names() -> list[str]:
    """All kinds that there are, by their modules."""
    found = [module.name for module in pkgutil.iter_modules(__path__) if not module.ispkg]
    return sorted(name for name in found if name not in INTERNAL)


def load(name: str) -> Kind:
    """The kind `name`."""
    module = importlib.import_module(f"{__name__}.{name}")
    can_run: Callable[[], str] = getattr(module, "can_run", lambda: "")
    return Kind(name, module.attempt, can_run())


def repeat(
    kind: Kind,
    seeds: Sequence[int],
    *,
    parent: Path | None = None,
    told: Callable[[int, Outcome], object] | None = None,
) -> Outcome:
    """Try a kind once with each seed, in new folders of `parent`; that of a try that failed is kept and named."""
    total = Outcome()
    for seed in seeds:
        folder = Path(tempfile.mkdtemp(prefix=f"{kind.name}-{seed}-", dir=parent))
        try:
            with mock.patch.dict(os.environ):  # what a try sets is not for the next one
                one = kind.attempt(seed, folder)
        except Exception as error:  # a try that cannot be judged is no success
            one = Outcome(harmed=[f"the try itself failed: {type(error).__name__}: {error}"])
        if one.good:
            shutil.rmtree(folder, ignore_errors=True)
        total.lost += [f"seed {seed} ({folder}): {words}" for words in one.lost]
        total.harmed += [f"seed {seed} ({folder}): {words}" for words in one.harmed]
        if told:
            told(seed, one)
    return total
