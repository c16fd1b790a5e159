"""FastPaths: the paths that packaging chose, compared with the model once more when it is loaded."""

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
    """Answers plain requests with the path that was the fastest for their number of rows."""

    def __init__(self, reader: RowEncoder, ladders: dict[str, list[tuple[float, PredictPath | None]]]) -> None:
        self._reader = reader
        self._ladders = ladders
        self._alone = {
            method: alone
            for method, ((_, path), *_) in ladders.items()
            if path is not None and (alone := path.alone(method)) is not None
        }

    def score(self, method: str, data: Any, *, is_numeric: bool) -> Any:
        """The answer, equal to that of the model's own `method`.

        Raises
        ------
        NotHandled
            Only the model itself can answer.
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
    """The chosen paths; None, with a warning, if they do not answer as the model does in this process."""
    chosen = report.get("chosen") or {}
    names = {name for ladder in chosen.values() for _, name in ladder} - {proof.MODEL}
    if not names:
        return None
    try:
        paths = candidates(estimator, signature, only=names)
        unavailable = names - set(paths)
        if unavailable:
            raise Different(f"'{min(unavailable)}' is not available in this environment")
        reader = RowEncoder(signature, paths[min(names)].preparation, report["missing"])
        proof.recheck(estimator, paths, reader, signature=signature, sample=sample, report=report)
    except Exception as error:  # whatever failed, the model itself still answers
        log.warning("no fast path is used, the model itself answers: %s: %s", type(error).__name__, error)
        return None
    ladders = {
        method: [(float("inf") if most is None else most, paths.get(name)) for most, name in ladder]
        for method, ladder in chosen.items()
    }
    return FastPaths(reader, ladders)
