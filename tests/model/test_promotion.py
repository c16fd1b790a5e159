"""Conditions on metrics, and promotions by them."""

from __future__ import annotations

import json
import math
import re
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amlcore.cli.main import main
from amlcore.model.aliases import aliases_of, log_entries, set_alias
from amlcore.model.condition import Versions, evaluate
from amlcore.model.condition_parser import ConditionError, parse
from amlcore.model.folders import find_folder
from amlcore.model.model import Model
from amlcore.model.promotion import promote
from tests.support.model_records import add_version

METRICS: tuple[dict[str, Any], ...] = (
    {"accuracy": 0.95, "loss": 0.25, "val/f1": 0.5},
    {"accuracy": 0.948, "loss": 0.2, "bad": "NaN", "huge": "Infinity", "eval.accuracy": 0.7},
    {"accuracy": 0.94, "table": [1, 2], "ok": True},
)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with three versions of a model; it is the working folder."""
    (tmp_path / ".amlcore").mkdir()
    (tmp_path / ".amlcore/config.json").write_text('{"workspace_name": "here"}')
    for metrics in METRICS:
        add_version(tmp_path, metrics=metrics)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Versions:
    """The second of three versions as the candidate; the first is the champion."""
    root = tmp_path_factory.mktemp("versions")
    for metrics in METRICS:
        add_version(root, metrics=metrics)
    candidate = Model.load_record(find_folder(root / "models", "wine:2"))
    return Versions(candidate, "next", {"champion": 1, "eval": 3}, [1, 2, 3])


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("accuracy >= champion.accuracy - 0.002", True),  # exactly equal, which floats would miss
        ("accuracy > champion.accuracy - 0.002", False),
        ("0.9 < accuracy <= 0.948 < 1", True),
        ("accuracy > 0.9 and not loss > 0.3 or loss < 0", True),
        ("accuracy = 0.948 and v3.accuracy != 0.95", True),
        ("(accuracy + loss) * 2 / 4 > .5", True),
        ("-loss > -.3 AND latest.accuracy < candidate.accuracy", True),
        ("loss < champion.loss", True),
        ('champion."val/f1" < 1', True),
        ("champion.`val/f1` < 1", True),
        ('"eval.accuracy" < 1 and eval."accuracy" > 0.9', True),
        ("accuracy >= next.accuracy", None),
        ("accuracy > 0.99 and accuracy >= next.accuracy", False),
        ("accuracy > 0.9 or accuracy >= next.accuracy", True),
        ("not accuracy < next.accuracy - champion.accuracy", None),
        ("huge > 1e300 and -huge < 0", True),
        ("latest.ok == 1", True),
    ],
)
def test_a_condition_compares_what_it_names(versions: Versions, condition: str, holds: bool | None) -> None:
    assert evaluate(condition, versions).holds is holds


@pytest.mark.parametrize(
    "condition", ["bad < 1", "not bad < 1", "bad < 1 or accuracy > 0", "loss / 0 > 1", "huge - huge < 1"]
)
def test_a_condition_on_a_metric_that_is_not_a_number_never_holds(versions: Versions, condition: str) -> None:
    verdict = evaluate(condition, versions)

    assert verdict.holds is False
    assert verdict.undefined in ("bad", "loss / 0", "huge - huge")


@pytest.mark.parametrize(
    ("condition", "message", "place"),
    [
        ("", "the condition is empty", None),
        ("accuracy", "'accuracy' compares nothing; write such as 'accuracy > 0.9'", 0),
        ("accuracy >", "the condition ends where a number or a metric should be", 10),
        ("accuracy > 0.9 and", "the condition ends where a number or a metric should be", 18),
        ("accuracy > 0.9 loss < 1", "'loss' is where 'and', 'or' or the end should be", 15),
        ("(accuracy > 0.9", "the condition ends where ')' should be", 15),
        ("(accuracy > 0.9) + 1 > 2", "'(accuracy > 0.9)' is true or false, not a number", 0),
        ("accuracy > 0.9 && loss < 1", "'&' has no meaning here; write 'and'", 15),
        ("accuracy > 1e99999999999999999999", "'1e99999999999999999999' is out of range", 11),
        ("accuracy > 90%", "'%' has no meaning here; write '/ 100'", 13),
        ('accuracy > "x', 'the quote " is not closed', 11),
        ("accuracy > 7.accuracy", "version 7 is written v7", 11),
        ("acuracy > 0.9", "wine:2 has no metric 'acuracy'; did you mean 'accuracy'?", 0),
        ("accuracy > champoin.accuracy", "model 'wine' has no alias 'champoin'; did you mean 'champion'?", 11),
        ("accuracy > v9.accuracy", "model 'wine' has no version 9; available: v1, v2, v3", 11),
        ("accuracy > champion.val", "wine:1 has no metric 'val'; did you mean \"val/f1\", in double quotes?", 11),
        ("accuracy > latest.table", "metric 'table' of wine:3 must be a number, not a list", 11),
        ("eval.accuracy > 0", 'write "eval.accuracy" or eval."accuracy"', 0),
        ("accuracy > next.accuracy + mistake", "wine:2 has no metric 'mistake'", 27),
        ("(" * 60 + "accuracy > 0" + ")" * 60, "more than 50 parentheses", 50),
        ("-" * 60 + "accuracy > 0", "more than 50 parentheses or signs", 50),
    ],
)
def test_a_wrong_condition_is_told_with_its_place(
    versions: Versions, condition: str, message: str, place: int | None
) -> None:
    with pytest.raises(ConditionError) as caught:
        evaluate(condition, versions)

    assert message in str(caught.value)
    if place is not None:
        assert str(caught.value).splitlines()[-1].index("^") - 2 == place


@given(st.text())
def test_any_text_is_a_condition_or_refused_in_words(source: str) -> None:
    with suppress(ConditionError):
        parse(source)


NUMBERS = st.decimals(min_value=-1000, max_value=1000, places=3).map(abs)


def _sums() -> st.SearchStrategy[str]:
    leaves = NUMBERS.map(str) | st.sampled_from(["accuracy", "loss", "champion.accuracy", "v1.loss"])
    return st.recursive(
        leaves,
        lambda inner: (
            st.builds(lambda a, op, b: f"({a} {op} {b})", inner, st.sampled_from("+-*"), inner)
            | inner.map(lambda a: f"-{a}" if not a.startswith("-") else f"-({a})")
        ),
        max_leaves=6,
    )


def _conditions() -> st.SearchStrategy[str]:
    comparisons = st.builds(
        lambda a, op, b: f"{a} {op} {b}", _sums(), st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), _sums()
    )
    return st.recursive(
        comparisons,
        lambda inner: (
            st.builds(lambda a, op, b: f"({a}) {op} ({b})", inner, st.sampled_from(["and", "or"]), inner)
            | inner.map(lambda a: f"not ({a})")
        ),
        max_leaves=5,
    )


@given(_conditions())
def test_conditions_mean_what_python_means_by_them(versions: Versions, condition: str) -> None:
    names = {"accuracy": "0.948", "loss": "0.2", "champion.accuracy": "0.95", "v1.loss": "0.25"}
    expression = re.sub(
        r"champion\.accuracy|v1\.loss|accuracy|loss|\d+(?:\.\d+)?",
        lambda match: f"Decimal('{names.get(match[0], match[0])}')",
        condition,
    )

    assert evaluate(condition, versions).holds is eval(expression, {"Decimal": Decimal})  # what hypothesis wrote


def test_a_promotion_moves_the_alias_and_the_log_keeps_what_was_compared(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["promote", "wine:1", "--to", "champion", "--if", "accuracy > 0.9 and accuracy >= champion.accuracy"]
    assert main([*words, "--dry-run"]) == 0
    assert aliases_of(root / "models/wine") == {}
    assert main(words) == 0
    assert "the first promotion: model 'wine' has no alias 'champion' yet" in capsys.readouterr().err
    words = ["promote", "wine:2", "--to", "champion", "--if", "accuracy >= champion.accuracy - 0.002", "--json"]
    assert main([*words, "--why", "nightly"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["previous"], document["promoted"], document["moved"]) == (1, True, True)
    assert aliases_of(root / "models/wine") == {"champion": 2}
    (_, entry) = log_entries(root / "models/wine")
    assert (entry.how, entry.why, entry.previous) == ("promote", "nightly", 1)
    assert entry.condition == document["condition"]
    assert [value["value"] for value in document["condition"]["values"]] == [0.948, 0.95]
    assert main(words) == 0
    assert "wine@champion is wine:2 already" in capsys.readouterr().err
    assert len(log_entries(root / "models/wine")) == 2


def test_a_promotion_that_does_not_hold_moves_nothing_and_says_the_numbers(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    set_alias(root / "models", "wine", "champion", 1)

    assert (
        main(["promote", "wine:3", "--to", "champion", "--if", "accuracy >= champion.accuracy - 0.002", "--json"]) == 1
    )

    captured = capsys.readouterr()
    assert "wine:3 is not promoted" in captured.err
    assert "0.94 is less than 0.948" in captured.err
    assert "wine@champion stays wine:1" in captured.err
    assert json.loads(captured.out)["promoted"] is False
    assert aliases_of(root / "models/wine") == {"champion": 1}


def test_a_condition_that_cannot_be_understood_is_a_wrong_request(root: Path) -> None:
    assert main(["promote", "wine:3", "--to", "champion", "--if", "acuracy > 1"]) == 2
    assert main(["promote", "wine:3", "--to", "v3"]) == 2
    assert main(["promote", "wine:9", "--to", "champion"]) == 2


def test_a_promotion_compares_with_the_champion_of_the_moment(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from amlcore.model import promotion

    set_alias(root / "models", "wine", "champion", 3)
    real, moved = promotion.evaluate, []

    def slow(*arguments: Any) -> Any:
        verdict = real(*arguments)
        if not moved:  # another process is faster, once
            moved.append(set_alias(root / "models", "wine", "champion", 1))
        return verdict

    monkeypatch.setattr(promotion, "evaluate", slow)
    decision = promote(root / "models", "wine:2", "champion", condition="accuracy > champion.accuracy", why=None)

    assert decision.is_promoted is False
    assert aliases_of(root / "models/wine") == {"champion": 1}


def test_an_infinite_metric_is_kept_as_strict_json(root: Path) -> None:
    add_version(root, metrics={"loss": math.inf})
    set_alias(root / "models", "wine", "champion", 4)
    promote(root / "models", "wine:1", "champion", condition="loss < champion.loss", why=None)
    text = (root / "models/wine/aliases/000002.json").read_text()
    json.loads(text, parse_constant=pytest.fail)
