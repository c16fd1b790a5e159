"""What the probe reports about a model, in the interpreter that trained it."""

from __future__ import annotations

from typing import Any

import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from amlcore.model.inputs import introspection
from amlcore.worker import probe

X, Y = [[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1]


class Stubborn:
    """A model whose attributes cannot be read."""

    @property
    def steps(self) -> None:
        raise RuntimeError("not fitted")


def _search(estimator: Any) -> GridSearchCV:
    return GridSearchCV(estimator, {}, cv=2)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (LogisticRegression(), "LogisticRegression"),
        (make_pipeline(StandardScaler(), LogisticRegression()), "LogisticRegression"),
        (make_pipeline(StandardScaler(), make_pipeline(LogisticRegression())), "LogisticRegression"),
        (_search(LogisticRegression()), "GridSearchCV"),  # without a best model it stands for itself
        (_search(LogisticRegression()).fit(X, Y), "LogisticRegression"),
        (_search(make_pipeline(StandardScaler(), LogisticRegression())).fit(X, Y), "LogisticRegression"),
        (make_pipeline(StandardScaler(), _search(LogisticRegression())).fit(X, Y), "LogisticRegression"),
        (Pipeline([("only", "passthrough")]), "str"),
        (Stubborn(), "Stubborn"),
    ],
)
def test_the_probe_and_a_service_agree_on_what_predicts(model: Any, name: str) -> None:
    assert probe.last_step_class(model) == name
    assert type(introspection.last_step(model)).__qualname__ == name
