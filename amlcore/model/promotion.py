"""Promotion: an alias is moved to a version if a condition on metrics holds, and the log keeps what was compared."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amlcore.model.aliases import LogEntry, StaleError, set_alias
from amlcore.model.condition import Verdict, Versions, evaluate
from amlcore.model.folders import find_folder, state_of, versions
from amlcore.model.model import Model
from amlcore.model.reference import check_alias


@dataclass(frozen=True)
class Promotion:
    """What `aml promote` decided, and did unless it was a trial."""

    model: str
    version: int
    alias: str
    previous: int | None
    is_promoted: bool  # whether the alias means the version now, or would
    is_new: bool = True  # False: it meant the version already
    verdict: Verdict | None = None  # None: nothing was compared
    entry: LogEntry | None = None  # None: nothing was moved

    def to_json(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "version": self.version,
            "alias": self.alias,
            "previous": self.previous,
            "promoted": self.is_promoted,
            "moved": self.entry is not None,
            "condition": None if self.verdict is None else self.verdict.to_json(),
        }

    def __str__(self) -> str:
        """The decision and the numbers that were compared, in words."""
        candidate, target = f"{self.model}:{self.version}", f"{self.model}@{self.alias}"
        before = "no version" if self.previous is None else f"{self.model}:{self.previous}"
        if not self.is_new:
            return f"{target} is {candidate} already"
        lines = [f"{target} is {candidate} now, before {before}"]
        if self.entry is None:
            lines = [f"{target} would move to {candidate}, from {before}"]
        if not self.is_promoted:
            assert self.verdict is not None
            why = f"'{self.verdict.text}' does not hold"
            if self.verdict.undefined is not None:
                why = f"'{self.verdict.undefined}' is not a number"
            lines = [f"{candidate} is not promoted, because {why}; {target} stays {before}"]
        if self.verdict is not None:
            lines += [f"  {comparison}" for comparison in self.verdict.comparisons]
            lines += [f"  {value}" for value in self.verdict.values]
            if self.verdict.holds is None:
                lines += [f"  the first promotion: model '{self.model}' has no alias '{self.alias}' yet"]
        return "\n".join(lines)


def promote(
    models: Path, reference: str, alias: str, *, condition: str | None, why: str | None, is_trial: bool = False
) -> Promotion:
    """Move an alias to a version if a condition holds for the versions as they are at that moment.

    A comparison with `alias` holds as long as no version has it.

    Raises
    ------
    RequestError
        The condition is wrong, or names what does not exist.
    """
    candidate = Model.load_record(find_folder(models, reference))
    check_alias(alias, key="--to")
    while True:
        try:
            return _promote(models, candidate, alias, condition=condition, why=why, is_trial=is_trial)
        except StaleError:  # an alias was moved while the metrics were compared
            continue


def _promote(
    models: Path, candidate: Model, alias: str, *, condition: str | None, why: str | None, is_trial: bool
) -> Promotion:
    name, version = candidate.name, candidate.version
    state = state_of(models / name)
    previous = state.aliases.get(alias)
    if previous == version:
        return Promotion(name, version, alias, previous, is_promoted=True, is_new=False)
    verdict = None
    if condition is not None:
        verdict = evaluate(condition, Versions(candidate, alias, state.aliases, versions(models / name)))
    is_promoted = verdict is None or verdict.holds is not False
    entry = None
    if is_promoted and not is_trial:
        compared = None if verdict is None else verdict.to_json()
        entry = set_alias(models, name, alias, version, why=why, how="promote", condition=compared, after=state.number)
    return Promotion(name, version, alias, previous, is_promoted=is_promoted, verdict=verdict, entry=entry)
