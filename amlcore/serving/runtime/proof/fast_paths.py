"""Quick: the paths that were chosen when the model was packaged, compared with it once more when it is loaded."""

from __future__ import annotations

import logging
from typing import Any

from ..inputs.equality import Different
from ..inputs.signature import Signature
from ..paths import NotHandled, PredictPath, candidates
from ..rows.row_encoder import RowEncoder
from . import proof

log = logging.getLogger("bentoml.serve")


class FastPaths:
    """Answers plain requests by the path that was the fastest for as many rows."""

    def __init__(self, reader: RowEncoder, ladders: dict[str, list[tuple[float, PredictPath | None]]]) -> None:
        self._reader = reader
        self._ladders = ladders
        self._alone = {
            method: alone
            for method, ((_, path), *_) in ladders.items()
            if path is not None and (alone := path.alone(method)) is not None
        }

    def score(self, method: str, data: Any, *, is_numeric: bool) -> Any:
        """What the model's own `method` would answer.

        Raises
        ------
        NotHandled
            The model itself must be asked.
        """
        if is_numeric and method in self._alone:
            row = self._reader.row(data)
            answer = None if row is None else self._alone[method](row)
            if answer is not None:
                return answer
        ladder = self._ladders.get(method)
        if ladder is None:
            raise NotHandled
        matrix = self._reader.matrix(data, is_numeric=is_numeric)
        for most, path in ladder:
            if len(matrix) <= most:
                if path is None:
                    raise NotHandled
                return path.score(method, matrix)
        raise NotHandled


def load_fast_paths(
    estimator: Any, signature: Signature, sample: list[list[Any]], report: dict[str, Any]
) -> FastPaths | None:
    """The chosen paths; None, with a warning where there were any, if they do not answer as the model does here."""
    chosen = report.get("chosen") or {}
    names = {name for ladder in chosen.values() for _, name in ladder} - {proof.MODEL}
    if not names:
        return None
    try:
        paths = candidates(estimator, signature, only=names)
        gone = names - set(paths)
        if gone:
            raise Different(f"'{min(gone)}' is not to be had in this environment")
        reader = RowEncoder(signature, paths[min(names)].preparation, report["missing"])
        proof.recheck(estimator, paths, reader, signature=signature, sample=sample, report=report)
    except Exception as error:  # whatever it is, the model itself still answers
        log.warning("no faster path is used, the model answers by itself: %s: %s", type(error).__name__, error)
        return None
    ladders = {
        method: [(float("inf") if most is None else most, paths.get(name)) for most, name in ladder]
        for method, ladder in chosen.items()
    }
    return FastPaths(reader, ladders)
