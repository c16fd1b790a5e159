"""ReferenceModel: what the model itself answers to the rows of a request, by the plain meaning of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .casting import PLAIN, Interpretation
from .equality import Different, by_row, require_equal
from .errors import RequestError
from .interpretations import ambiguous_dates, fallbacks, interpretations
from .introspection import last_step
from .signature import Signature

if TYPE_CHECKING:
    from .signature import Irregular

REFUSALS = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError)
"""What a model raises on rows that it was not made for."""

LIBRARIES = ("catboost", "_catboost", "lightgbm", "xgboost")
"""Their own errors derive from Exception alone."""


class Miscounted(Exception):  # noqa: N818 - the message is all that is read
    """As many answers as rows were wanted, and the model gave others."""


def is_refusal(error: Exception) -> bool:
    return isinstance(error, REFUSALS) or type(error).__module__.partition(".")[0] in LIBRARIES


class ReferenceModel:
    """A model with the input that it takes; each row is answered whatever stands beside it."""

    def __init__(self, estimator: Any, signature: Signature) -> None:
        self.estimator = estimator
        self.signature = signature

    def answer(self, method: str, data: Any) -> Any:
        """As a request is answered: its cells are checked first."""
        return self.score(method, self.signature.read(data))

    def score(self, method: str, rows: list[Any]) -> Any:
        """What `method` returns for rows that `Signature.read` gave.

        Raises
        ------
        RequestError
            What the rows mean is open, and the answers differ.
        Miscounted
            There are more or fewer answers than rows.
        """
        irregular = self.signature.irregular(rows)
        if len(set(irregular)) == 1:
            return self._score(method, rows, irregular[0])
        places: dict[Irregular, list[int]] = {}
        for place, columns in enumerate(irregular):
            places.setdefault(columns, []).append(place)
        answers: list[Any] = [None] * len(rows)
        for columns, chosen in places.items():
            try:
                part = self._score(method, [rows[place] for place in chosen], columns)
            except RequestError as error:
                raise _moved(error, chosen) from None
            for place, one in zip(chosen, _rows_of(part)):
                answers[place] = one
        return _joined(answers)

    def takes(self, method: str, rows: list[Any]) -> bool:
        try:
            self.score(method, rows)
        except (RequestError, Miscounted):
            return False
        except Exception as error:
            if not is_refusal(error):
                raise
            return False
        return True

    def _score(self, method: str, rows: list[Any], irregular: Irregular) -> Any:
        alternatives = interpretations(self.signature, rows)
        nulls = [other for other, _ in alternatives if other.null is not None]
        refusal, answer = None, None
        for interpretation in (PLAIN, *fallbacks(self.signature, rows), *nulls):
            try:
                answer = self._ask(method, rows, interpretation, irregular)
                break
            except Exception as error:
                if not is_refusal(error):
                    raise
                refusal = refusal or error
        else:
            assert refusal is not None
            raise refusal
        for other, ambiguity in alternatives:
            if other != interpretation:
                self._require_same(answer, method, rows, other, irregular, ambiguity)
        for trial, places, ambiguity in ambiguous_dates(self.signature, rows):
            try:
                beside = self._ask(method, trial, interpretation, irregular)
            except Exception:  # its first row was made up: the model may refuse it
                continue
            answers = _rows_of(answer)
            if _are_different(_rows_of(beside)[1:], [answers[place] for place in places]):
                raise ambiguity
        return answer

    def _require_same(
        self,
        answer: Any,
        method: str,
        rows: list[Any],
        interpretation: Interpretation,
        irregular: Irregular,
        error: RequestError,
    ) -> None:
        try:
            other = self._ask(method, rows, interpretation, irregular)
        except Exception as refusal:
            if is_refusal(refusal) and not interpretation.unknown_is_missing:
                return  # what the model does not take is not meant
            raise error from None
        if _are_different(_rows_of(other), _rows_of(answer)):
            raise error

    def _ask(self, method: str, rows: list[Any], interpretation: Interpretation, irregular: Irregular) -> Any:
        result = getattr(self.estimator, method)(self.signature.to_input(rows, interpretation, irregular))
        if len(rows) == 1 and method == "transform" and hasattr(last_step(self.estimator), "components_"):
            result = result.reshape(1, -1)  # SparsePCA leaves out the row of one
        n_results = count_of(result)
        if n_results != len(rows):
            n_rows = "1 row" if len(rows) == 1 else f"{len(rows)} rows"
            raise Miscounted(f"the model's {method} returned {n_results} results for {n_rows}")
        return result


def count_of(result: Any) -> int:
    """Of how many rows there is an answer; a model of several outputs gives a list with an array an output."""
    if _is_by_output(result):
        return len(result[0])
    shape = getattr(result, "shape", None)
    if shape is not None:
        return int(shape[0]) if len(shape) else 1
    return len(result) if hasattr(result, "__len__") and not isinstance(result, str) else 1


def _is_by_output(result: Any) -> bool:
    return isinstance(result, list) and bool(result) and all(getattr(one, "ndim", 0) == 2 for one in result)


def plain_rows(result: Any) -> Any:
    return result.toarray() if hasattr(result, "toarray") else result


def _rows_of(result: Any) -> list[Any]:
    result = plain_rows(result)
    if _is_by_output(result):
        return [[output[row] for output in result] for row in range(len(result[0]))]
    return list(getattr(result, "values", result))


def _are_different(answers: list[Any], others: list[Any]) -> bool:
    try:
        require_equal(by_row(_joined(answers)), by_row(_joined(others)), "")
    except Different:
        return True
    return False


def _joined(answers: list[Any]) -> Any:
    """The answers of single rows as the model would have given them together."""
    import numpy as np

    if isinstance(answers[0], list) and hasattr(answers[0][0], "ndim"):
        return [np.stack(output) for output in zip(*answers)]
    if all(isinstance(answer, str) for answer in answers):
        is_plain = not isinstance(answers[0], np.str_)
        return np.array(answers, dtype=object if is_plain else None)
    joined = np.array(answers) if not any(isinstance(answer, str) for answer in answers) else np.empty(0, dtype=object)
    if joined.dtype.kind in "iufb":
        return joined
    rows = np.empty(len(answers), dtype=object)
    for place, answer in enumerate(answers):
        rows[place] = answer.tolist() if hasattr(answer, "tolist") else answer
    return rows


def _moved(error: RequestError, places: list[int]) -> RequestError:
    """`error` of some rows of a request, with the row's number among all."""
    if error.row is None:
        return error
    row = places[error.row]
    message = str(error).replace(f"row {error.row}", f"row {row}", 1)
    return RequestError(message, row=row, column=error.column, status=error.status)
