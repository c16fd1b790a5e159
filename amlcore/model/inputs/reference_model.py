"""ReferenceModel: what the model itself answers for the rows of a request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .casting import PLAIN, Interpretation
from .equality import Different, by_row, require_equal
from .errors import InputError
from .interpretations import ambiguous_dates, fallbacks, interpretations
from .introspection import last_step
from .known_columns import known_columns
from .signature import Signature

if TYPE_CHECKING:
    from .signature import Irregular

REFUSALS = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError)
"""What a model raises on rows that it was not made for."""

SINGLY = 10
"""At most this many rows with ambiguous dates are predicted one by one: a request must not cost one call per row."""

ERROR_LIBRARIES = ("catboost", "_catboost", "lightgbm", "xgboost")
"""Libraries whose own errors derive directly from Exception."""


class Miscounted(Exception):  # noqa: N818 - the message is all that is read
    """The model did not give one answer per row."""


def is_refusal(error: Exception) -> bool:
    return isinstance(error, REFUSALS) or type(error).__module__.partition(".")[0] in ERROR_LIBRARIES


class ReferenceModel:
    """A model with the input that it takes; the answer for a row does not depend on the other rows of a request."""

    def __init__(self, estimator: Any, signature: Signature, *, checks_dates: bool = True) -> None:
        """`checks_dates`: refuse a date that the model reads differently next to other rows."""
        self.estimator = estimator
        self.signature = signature
        self._checks_dates = checks_dates
        self._encoded: set[int] | None = None

    def answer(self, method: str, data: Any) -> Any:
        """The answer to a request, whose cells are checked first."""
        return self.score(method, self.signature.read(data))

    def score(self, method: str, rows: list[Any]) -> Any:
        """What `method` returns for rows that `Signature.read` gave.

        Raises
        ------
        InputError
            The rows can be read in several ways, and the answers differ.
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
            except InputError as error:
                raise _moved(error, chosen) from None
            for place, one in zip(chosen, _rows_of(part)):
                answers[place] = one
        return _joined(answers)

    def takes(self, method: str, rows: list[Any]) -> bool:
        try:
            self.score(method, rows)
        except (InputError, Miscounted):
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
        if self._checks_dates and len(rows) > 1:
            self._require_same_dates(answer, method, rows, interpretation, irregular)
        return answer

    def _require_same_dates(
        self, answer: Any, method: str, rows: list[Any], interpretation: Interpretation, irregular: Irregular
    ) -> None:
        """Raise InputError for a row whose answer changes without the rows that decide how its date is read."""
        dates = ambiguous_dates(self.signature, rows)
        answers = _rows_of(answer) if dates else []
        for position, places, ambiguity in dates:
            if position in self._encoded_columns():
                continue
            alone = [[place] for place in places[:SINGLY]]
            # beyond SINGLY, all ambiguous rows at once: none of them tells the day from the month for the others
            together = [places] if SINGLY < len(places) < len(rows) else []
            for chosen in (*alone, *together):
                try:
                    apart = self._ask(method, [rows[place] for place in chosen], interpretation, irregular)
                except Exception:  # a model that compares rows may refuse one alone
                    continue
                for place, one in zip(chosen, _rows_of(apart)):
                    if _are_different([one], [answers[place]]) and not _is_noise(one, place, answers):
                        raise ambiguity(place)

    def _encoded_columns(self) -> set[int]:
        """The columns that only a library's encoder reads, which compares texts and parses none."""
        if self._encoded is None:
            columns = known_columns(self.estimator, self.signature.n_features)
            self._encoded = {place for place, detail in columns.details.items() if "types" in detail} - set(
                columns.code
            )
        return self._encoded

    def _require_same(
        self,
        answer: Any,
        method: str,
        rows: list[Any],
        interpretation: Interpretation,
        irregular: Irregular,
        error: InputError,
    ) -> None:
        try:
            other = self._ask(method, rows, interpretation, irregular)
        except Exception as refusal:
            if is_refusal(refusal) and not interpretation.unknown_is_missing:
                return  # the model refuses this reading, so it is not what was meant
            raise error from None
        if _are_different(_rows_of(other), _rows_of(answer)):
            raise error

    def _ask(self, method: str, rows: list[Any], interpretation: Interpretation, irregular: Irregular) -> Any:
        result = getattr(self.estimator, method)(self.signature.to_input(rows, interpretation, irregular))
        if len(rows) == 1 and method == "transform" and hasattr(last_step(self.estimator), "components_"):
            result = result.reshape(1, -1)  # SparsePCA drops the row dimension of a single row
        n_results = count_of(result)
        if n_results != len(rows):
            n_rows = "1 row" if len(rows) == 1 else f"{len(rows)} rows"
            raise Miscounted(f"the model's {method} returned {n_results} results for {n_rows}")
        return result


def count_of(result: Any) -> int:
    """The number of rows that `result` answers; a model with several outputs returns a list of one array each."""
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


def _is_noise(alone: Any, place: int, answers: list[Any]) -> bool:
    """Whether `alone` and the answer at `place` differ only as sums over one row and over many rows are rounded."""
    import numpy as np

    together = by_row(_joined(answers))
    one, other = by_row(_joined([alone])), together[place : place + 1]
    if one.shape != other.shape or one.dtype.kind != "f" or other.dtype.kind != "f":
        return False
    finite = np.abs(together[np.isfinite(together)])
    noise = (1e-12 if one.dtype.itemsize == np.dtype("float64").itemsize else 1e-6) * finite.max(initial=0.0)
    return bool(np.allclose(one, other, rtol=0.0, atol=noise, equal_nan=True))


def _joined(answers: list[Any]) -> Any:
    """The answers for single rows as the model would have returned them together."""
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


def _moved(error: InputError, places: list[int]) -> InputError:
    """`error`, raised for some rows of a request, with the row's number in the whole request."""
    if error.row is None:
        return error
    row = places[error.row]
    message = str(error).replace(f"row {error.row}", f"row {row}", 1)
    return InputError(message, row=row, column=error.column, status=error.status)
