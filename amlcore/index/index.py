"""The RunIndex: the rows of all runs of a workspace; a run that has ended is read once."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from amlcore.errors import NotFoundError, UnreadableError
from amlcore.index.cache import CachedRun, RunCache
from amlcore.index.fingerprint import fingerprint, is_settled, watched_files
from amlcore.index.row import RunRow, row_of
from amlcore.log import Log
from amlcore.record.record import Record
from amlcore.runs.find import is_child
from amlcore.runs.view import RunView
from amlcore.workspace import Workspace

_BATCH = 1000
"""Rows are stored after so many, so that an interrupted build is not lost."""

_LOOKS_AGAIN = 5
"""How often a look is corrected, if runs are removed and restored again and again meanwhile."""

_MANY = 3000
"""Reading so many runs takes seconds, so it is logged."""

_SAMPLE = 200
_SLOW_CALL_S = 100e-6
"""A local disk answers in a few microseconds; if the first runs take longer each, the others wait together."""

_THREADS = 16


class RunIndex:
    """The rows of the runs of a workspace, from its folders and from what was read of them before.

    It may live as long as a server, and several threads may call it.

    Parameters
    ----------
    experiment : str, optional
        Only the runs of this experiment.
    children : bool
        Trials, and the runs that scripts started, too.

    Attributes
    ----------
    version : int
        Grows with each look that finds a change.
    skipped : dict of str to str
        Why the last look could not read a run, by its place.
    """

    def __init__(
        self, workspace: Workspace, *, experiment: str | None = None, children: bool = True, log: Log | None = None
    ) -> None:
        self.version = 0
        self.skipped: dict[str, str] = {}
        self._workspace = workspace
        self._outputs = str(workspace.outputs_path)
        self._experiment = experiment
        self._children = children
        self._log = log
        self._lock = threading.Lock()
        self._cache = RunCache.of(workspace.path)
        self._ended: dict[str, CachedRun] | None = None
        self._rows: dict[str, RunRow] = {}
        self._looked_at = -float("inf")

    def look(self, *, max_age_s: float = 0.0) -> dict[str, RunRow]:
        """The rows by their places, EXPERIMENT/RUN; that of a run that has not changed is the same object as before.

        Parameters
        ----------
        max_age_s : float
            A look that is not older than that is good enough.
        """
        with self._lock:
            if time.monotonic() - self._looked_at >= max_age_s:
                rows = self._look()
                if rows != self._rows:
                    self._rows, self.version = rows, self.version + 1
                self._looked_at = time.monotonic()
            return self._rows

    def _look(self) -> dict[str, RunRow]:
        if self._ended is None:
            self._ended = self._cache.load()
        ended = self._ended
        places = self._places()
        listed = [place for place in places if self._children or "_" not in place or not is_child(Path(place))]
        cached = [(ended[place], places[place]) for place in listed if place in ended]
        rows = {run.place: run.row for (run, _), same in zip(cached, self._are_unchanged(cached), strict=True) if same}
        unread = [place for place in listed if place not in rows]
        self._forget(place for place in ended if place not in places and self._is_looked_for(place))
        self.skipped = {}
        self._read_all(unread, rows)
        for _ in range(_LOOKS_AGAIN):
            missing = [place for place in unread if place not in rows and self._is_missing(place)]
            if not missing:
                break
            unread = self._correct(rows, missing)
        return rows

    def _correct(self, rows: dict[str, RunRow], missing: list[str]) -> list[str]:
        """Look again, since runs were removed, or restored, while others were read: a sweep is listed whole or not.

        Returns
        -------
        list of str
            The places of the missing runs that are back, and were read again.
        """
        present = self._places()
        for place in rows.keys() - present.keys():
            del rows[place]
        returned = [place for place in missing if place in present]
        self._read_all(returned, rows)
        return returned

    def _is_missing(self, place: str) -> bool:
        """Whether a run could not be read since it was removed; its folder may be back by now."""
        folder = f"{self._outputs}/{place}"
        return place not in self.skipped and (not os.path.exists(folder) or os.path.exists(f"{folder}/run.json"))

    def _places(self) -> dict[str, int]:
        """Where runs may be, and the time of each folder; an experiment that may not be listed stands for its runs."""
        places, removed = self._workspace.undisturbed(self._scan)
        return {place: time_ns for place, time_ns in places.items() if place not in removed} if removed else places

    def _scan(self) -> dict[str, int]:
        places = {}
        for experiment in _folders(self._outputs):
            if self._experiment not in (None, experiment.name):
                continue
            try:
                runs = list(_folders(experiment.path))
            except OSError:  # such as of another user
                places[experiment.name] = 0
                continue
            for run in runs:
                with suppress(FileNotFoundError):  # it has just been removed
                    places[f"{experiment.name}/{run.name}"] = _time_ns(run)
        return places

    def _is_looked_for(self, place: str) -> bool:
        return self._experiment in (None, place.partition("/")[0])

    def _are_unchanged(self, runs: list[tuple[CachedRun, int]]) -> list[bool]:
        """Whether the folder of each run is as it was; many are asked at once where a file server makes each wait."""
        begun = time.monotonic()
        answers = [self._is_unchanged(*run) for run in runs[:_SAMPLE]]
        others = runs[_SAMPLE:]
        if not others or time.monotonic() - begun < _SAMPLE * _SLOW_CALL_S:
            return [*answers, *(self._is_unchanged(*run) for run in others)]
        from concurrent.futures import ThreadPoolExecutor

        size = len(others) // _THREADS + 1
        parts = [others[start : start + size] for start in range(0, len(others), size)]
        with ThreadPoolExecutor(_THREADS) as pool:
            for part in pool.map(lambda part: [self._is_unchanged(*run) for run in part], parts):
                answers += part
        return answers

    def _is_unchanged(self, run: CachedRun, time_ns: int) -> bool:
        try:
            return fingerprint(f"{self._outputs}/{run.place}", time_ns, run.watched) == run.fingerprint
        except OSError:
            return False

    def _forget(self, places: Iterator[str]) -> None:
        """Drop what is kept of runs that were removed."""
        assert self._ended is not None
        removed = list(places)
        if removed and os.path.isdir(self._outputs):  # otherwise the share may not be mounted
            self._cache.store([], removed=removed)
            for place in removed:
                del self._ended[place]

    def _read_all(self, places: list[str], rows: dict[str, RunRow]) -> None:
        """Read runs into `rows`, and keep those that have ended."""
        assert self._ended is not None
        if len(places) >= _MANY and self._log is not None:
            self._log(f"indexing {len(places)} runs; the next time only new ones are read")
        unstored: list[CachedRun] = []
        for place in places:
            row, cached = self._read(place)
            if row is not None:
                rows[place] = row
            if cached is not None:
                self._ended[place] = cached
                unstored.append(cached)
            if len(unstored) == _BATCH:
                self._cache.store(unstored)
                unstored = []
        self._cache.store(unstored)

    def _read(self, place: str) -> tuple[RunRow | None, CachedRun | None]:
        """The row of a run, and the same as it is kept if the run has ended."""
        folder = f"{self._outputs}/{place}"
        try:
            watched = watched_files(folder)
            before = _fingerprint_now(folder, watched)
            if os.access(folder, os.X_OK) and not os.path.exists(f"{folder}/run.json"):
                return None, None
            view = RunView(Record(Path(folder)))
            row = row_of(view, place=place)
            if view.is_final and is_settled(folder, watched) and _fingerprint_now(folder, watched) == before:
                return row, CachedRun.of(row, before, watched)
        except (UnreadableError, NotFoundError, OSError) as error:
            if os.path.exists(folder):  # it may have been removed meanwhile
                self.skipped[place] = str(error)
            return None, None
        return row, None


def _fingerprint_now(folder: str, watched: str) -> int:
    return fingerprint(folder, os.stat(folder).st_mtime_ns, watched)


def _time_ns(run: os.DirEntry[str]) -> int:
    try:
        return run.stat().st_mtime_ns
    except PermissionError:  # reading it reports it
        return 0


def _folders(path: str) -> Iterator[os.DirEntry[str]]:
    if os.path.isdir(path):
        with os.scandir(path) as entries:
            yield from (entry for entry in entries if entry.name[0] != "." and entry.is_dir())
