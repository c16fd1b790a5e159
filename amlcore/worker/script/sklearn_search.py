"""The candidates of a scikit-learn search, from its cv_results_."""

import re

from amlcore.worker import values

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing  # noqa: F401

SPLIT = re.compile(r"split(\d+)_(.+)$")


class Candidate(object):
    """One combination of parameters, and its results."""

    def __init__(self, parameters, metrics, splits):
        # type: (dict[str, typing.Any], dict[str, typing.Any], dict[str, list[typing.Any]]) -> None
        self.parameters = parameters
        self.metrics = metrics
        self.splits = splits

    @property
    def has_score(self):
        # type: () -> bool
        """Whether every fit gave a score; a failed fit gives NaN."""
        means = [value for name, value in self.metrics.items() if name.startswith("mean_test_")]
        return all(value == value for value in means)  # noqa: PLR0124 - NaN alone differs from itself


def candidates(search):
    # type: (typing.Any) -> list[Candidate]
    """The candidates of a fitted search, in its order."""
    results = getattr(search, "cv_results_", None)  # type: typing.Any
    if not hasattr(results, "keys") or "params" not in results:
        message = "log_search(search) needs a fitted search, as in GridSearchCV(…).fit(X, y); {} has no cv_results_"
        raise TypeError(message.format(type(search).__name__))
    return [_candidate(results, index) for index in range(len(results["params"]))]


def _candidate(results, index):
    # type: (typing.Any, int) -> Candidate
    metrics = {}  # type: dict[str, typing.Any]
    splits = {}  # type: dict[str, list[tuple[int, typing.Any]]]
    for name in sorted(results, key=lambda name: name.endswith("_time")):  # the scores first
        match = SPLIT.match(name)
        if match:
            splits.setdefault(match.group(2), []).append(
                (int(match.group(1)), values.to_json_scalar(results[name][index]))
            )
        elif name != "params" and not name.startswith("param_"):
            metrics[name] = values.to_json_scalar(results[name][index])
    parameters = {str(name): _parameter(value) for name, value in results["params"][index].items()}
    return Candidate(
        parameters, metrics, {name: [value for _, value in sorted(scores)] for name, scores in splits.items()}
    )


def _parameter(value):
    # type: (typing.Any) -> typing.Any
    """A parameter as JSON; an estimator or a function becomes its text."""
    if value is None:
        return None
    if isinstance(value, (list, tuple)):
        return [_parameter(item) for item in value]
    return values.to_json_scalar(value)
