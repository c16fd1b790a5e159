"""Filters: their grammar, and what they say of a row, compared with an evaluator as naive as can be."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amlcore.index import FilterError, RunRow, looks_like_filter
from amlcore.index.filter_parser import parse
from amlcore.index.moments import duration_s, span
from amlcore.index.predicates import compile_filter
from amlcore.index.row_columns import column_of
from amlcore.index.syntax import KEYWORDS, And, Expression, FilterName, FilterValue, Not, Or, Term

OPERATORS = ("=", "!=", "<", "<=", ">", ">=")


def _row(*, metrics: dict[str, Any] | None = None, parameters: dict[str, Any] | None = None, **fields: Any) -> RunRow:
    facts = dict.fromkeys(("parent", "trial", "reason", "model", "started_s", "ended_s", "name", "note", "host"))
    return RunRow(
        place="e/1",
        parameters_json=json.dumps(parameters or {}, separators=(",", ":")),
        metrics_json=json.dumps(metrics or {}, separators=(",", ":")),
        tags_json=json.dumps(fields.pop("tags", {}), separators=(",", ":")),
        **{
            **facts,
            "id": "1",
            "experiment": "e",
            "kind": "run",
            "state": "Completed",
            "script": "train.py",
            "attempt": 1,
            "created": "2026-01-01T00:00:00+00:00",
            "created_s": 1767225600.0,
            "duration_s": None,
            "user": "anna",
            "archived": False,
            **fields,
        },
    )


def _matches(source: str, row: RunRow) -> bool:
    return compile_filter(parse(source), source=source, rows=[row])(row)


# --- the grammar

LETTERS = st.characters(blacklist_characters="=<>!~(),\"'`", blacklist_categories=("Z", "C"))
WORDS = st.text(LETTERS, min_size=1).filter(lambda word: word.lower() not in KEYWORDS)
NAMES = st.builds(
    FilterName,
    namespace=st.sampled_from([None, "metrics", "params", "tags", "run"]),
    text=st.text(min_size=1) | st.sampled_from(["in", "5", "metrics.x", "val.loss", "a`b", "not"]),
    place=st.just(0),
)
VALUES = st.builds(FilterValue, text=WORDS, is_quoted=st.just(False), place=st.just(0)) | st.builds(
    FilterValue, text=st.text(), is_quoted=st.just(True), place=st.just(0)
)
TERMS = (
    st.builds(
        Term,
        name=NAMES,
        operator=st.sampled_from([*OPERATORS, "~", "like", "ilike"]),
        values=st.tuples(VALUES),
        place=st.just(0),
    )
    | st.builds(Term, name=NAMES, operator=st.just("null"), values=st.just(()), place=st.just(0))
    | st.builds(
        Term,
        name=NAMES,
        operator=st.just("in"),
        values=st.lists(VALUES, min_size=1, max_size=3).map(tuple),
        place=st.just(0),
    )
)


def _trees(terms: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        terms,
        lambda trees: (
            st.builds(Not, trees)
            | st.builds(And, st.lists(trees, min_size=2, max_size=3).map(tuple))
            | st.builds(Or, st.lists(trees, min_size=2, max_size=3).map(tuple))
        ),
        max_leaves=8,
    )


@given(_trees(TERMS))
def test_a_tree_that_is_printed_parses_as_itself(tree: Expression) -> None:
    assert parse(str(tree)) == tree


PIECES = st.lists(st.sampled_from(["a", "=", "1", "and", "not", "(", ")", "in", ",", "'x", "is"]))


@given(st.text() | PIECES.map(" ".join))
def test_any_text_is_parsed_or_refused(source: str) -> None:
    with suppress(FilterError):
        parse(source)


@pytest.mark.parametrize(
    ("source", "same"),
    [
        ("a = 1 and b = 2 or c = 3", "((a = 1) and (b = 2)) or (c = 3)"),
        ("not a = 1 and b = 2", "(not (a = 1)) and (b = 2)"),
        ("0.9 < a", "a > 0.9"),
        ("a == 1 AND b <> 2", "(a = 1) and (b != 2)"),
        ("a !~ x", "not (a ~ x)"),
        ("a not in (1,2)", "not (a in (1, 2))"),
        ("a is not null", "not (a is null)"),
        ("param.a = 1", "params.a = 1"),
        ("metrics.`a b` > 1", "metrics.`a b` > 1"),
        ("tags.'a b' = 'it''s'", 'tags.`a b` = "it\'s"'),
    ],
)
def test_what_may_be_written_in_two_ways(source: str, same: str) -> None:
    assert str(parse(source)) == same


@pytest.mark.parametrize(
    ("source", "message", "column"),
    [
        ("a >", "expected a value, not the end", 3),
        ("a > 1 b", "expected 'and', 'or' or the end, not 'b'", 6),
        ("a > 1 && b > 2", "write and instead of &&", 6),
        ("(a > 1", "this parenthesis is never closed", 0),
        ("a > 1)", "this parenthesis was never opened", 5),
        ("a ! 1", "'!' stands only in != and !~", 2),
        ("a = 'x", "the quote ' is not closed", 4),
        ("a = null", "write 'is null' or 'is not null'", 4),
        ("a is 1", "expected 'null' after 'is'", 5),
        ("a in 1", "expected a list such as (1, 2)", 5),
        ("a not = 1", "expected 'in' or 'like' after 'not'", 6),
        ("metrics. > 1", "expected a name after metrics.", 8),
        ("created > 7x", "created is a time such as 7d (seven days ago)", 10),
        ("duration > soon", "duration is a duration such as 90s", 11),
        ("attempt = x", "attempt is a number", 10),
        ("state = Complete", "did you mean 'Completed'?", 8),
        ("state > Failed", "state has no order", 6),
        ("archived = maybe", "archived must be true or false", 11),
        ("user ~ '('", "not a regular expression", 8),
        ("created ~ 2026", "created is not text", 8),
        ("(" * 200, "more than 100 parentheses", 100),
    ],
)
def test_a_mistake_is_pointed_at(source: str, message: str, column: int) -> None:
    with pytest.raises(FilterError) as error:
        compile_filter(parse(source), source=source, rows=[_row()])

    first, shown, caret = str(error.value).split("\n")
    assert message in first
    if len(source) < 100:
        assert (shown, caret.index("^")) == (f"  {source}", column + 2)


def test_the_caret_stands_below_wide_letters() -> None:
    with pytest.raises(FilterError) as error:
        parse("학습률 = = 1")

    assert str(error.value).split("\n")[2].index("^") == 2 + len("학습률 = ") + 3


@pytest.mark.parametrize(
    ("text", "is_filter"),
    [
        ("a = 1", True),
        ("a is null", True),
        ("a not in (1)", True),
        ("20260101-000000-abcdef", False),
        ("my name", False),
    ],
)
def test_a_filter_is_told_from_the_name_of_a_run(text: str, is_filter: bool) -> None:
    assert looks_like_filter(text) is is_filter


# --- what it says of a row

LOGGED = (
    st.integers(-3, 3)
    | st.sampled_from([0.5, 1.0, -0.0, math.inf, -math.inf, math.nan, 10**30, 1e300])
    | st.booleans()
    | st.none()
    | st.sampled_from(["1", "1.0", "1e0", "0.5", "abc", "b", "", "true", "NaN", "[1, 2]", "007"])
    | st.just([1, 2])
)
LITERALS = st.sampled_from(["1", "1.0", "-1", "0.5", "1e0", "inf", "nan", "abc", "b", "true", "False", "007", "1e300"])


def _naive(tree: Expression, values: dict[str, Any]) -> bool:
    if isinstance(tree, Not):
        return not _naive(tree.operand, values)
    if isinstance(tree, And):
        return all(_naive(operand, values) for operand in tree.operands)
    if isinstance(tree, Or):
        return any(_naive(operand, values) for operand in tree.operands)
    value = values.get(tree.name.text)
    if tree.operator == "null":
        return value is None
    if value is None:
        return False
    if tree.operator == "in":
        return any(_naive_equal(value, literal) for literal in tree.values)
    literal = tree.values[0]
    if tree.operator in ("=", "!="):
        return _naive_equal(value, literal) is (tree.operator == "=")
    ordered = {"<": float.__lt__, "<=": float.__le__, ">": float.__gt__, ">=": float.__ge__}[tree.operator]
    if literal.is_quoted and isinstance(value, str):
        return {"<": str.__lt__, "<=": str.__le__, ">": str.__gt__, ">=": str.__ge__}[tree.operator](
            value, literal.text
        )
    number, limit = _naive_number(value), _naive_number(literal.text)
    return number is not None and limit is not None and ordered(number, limit)


def _naive_equal(value: Any, literal: FilterValue) -> bool:
    if not literal.is_quoted:
        limit = _naive_number(literal.text)
        if limit is not None:
            number = _naive_number(value)
            return number is not None and (number == limit or (math.isnan(number) and math.isnan(limit)))
        if literal.text.lower() in ("true", "false"):
            return str(value).lower() == literal.text.lower()
    return _naive_text(value) == literal.text


def _naive_number(value: Any) -> float | None:
    if isinstance(value, (bool, list)):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def _naive_text(value: Any) -> str:
    if isinstance(value, float) and "e" in repr(value) and value < 0:
        return f"{value:f}"
    return str(value).lower() if isinstance(value, bool) else str(value)


EVALUATED = st.builds(FilterValue, text=LITERALS, is_quoted=st.booleans(), place=st.just(0))
EVALUATED_NAMES = st.sampled_from("ab").map(lambda name: FilterName("params", name, 0))
EVALUATED_TERMS = (
    st.builds(
        Term, name=EVALUATED_NAMES, operator=st.sampled_from(["=", "!="]), values=st.tuples(EVALUATED), place=st.just(0)
    )
    | st.builds(
        Term,
        name=EVALUATED_NAMES,
        operator=st.sampled_from(OPERATORS),
        values=st.tuples(EVALUATED.filter(lambda value: value.is_quoted or _naive_number(value.text) is not None)),
        place=st.just(0),
    )
    | st.builds(Term, name=EVALUATED_NAMES, operator=st.just("null"), values=st.just(()), place=st.just(0))
    | st.builds(
        Term,
        name=EVALUATED_NAMES,
        operator=st.just("in"),
        values=st.lists(EVALUATED, min_size=1, max_size=3).map(tuple),
        place=st.just(0),
    )
)


@given(_trees(EVALUATED_TERMS), st.fixed_dictionaries({"a": LOGGED, "b": LOGGED}))
def test_a_filter_says_what_a_naive_evaluator_says(tree: Expression, values: dict[str, Any]) -> None:
    assert _matches(str(tree), _row(parameters=values)) == _naive(tree, values)


@pytest.mark.parametrize(
    ("source", "is_match"),
    [
        ("a = 1", True),  # 1.0 was logged
        ('a = "1"', False),
        ('a = "1.0"', True),
        ("text = 5", True),
        ('text = "5"', True),
        ('text = "5.0"', False),
        ("text < 6", True),
        ("flag = true", True),
        ("flag = 1", False),
        ("words like 'ab%'", True),
        ("words like 'AB%'", False),
        ("words ilike 'AB%'", True),
        ("words like 'a_d'", False),
        ("words ~ '^a.+d$'", True),
        ("words !~ b", False),
        ("metrics.gone = 1 or a = 1", None),
        ("model = wine", True),
        ("model = wine:3", True),
        ("model = wine:4", False),
        ("state = canceled", True),
        ("state = pruned", True),
        ("state in (Failed, Pruned)", True),
        ("kind = trial", False),
        ("user = anna and experiment = e", True),
        ("host is null and note is null", True),
        ("created = 2026-01-01", True),
        ("created > 2025-12-31 and created < 2026-01-02", True),
        ("created >= 2026-01-02", False),
        ("created <= 2026-01-01T00:00:00+00:00", True),
        ("created > 7d", False),
        ("age > 1w", True),
        ("duration = 1h30m", True),
        ("duration > 89min and duration < 1.6h", True),
        ("archived = false", True),
    ],
)
def test_values_of_each_type(source: str, is_match: bool | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    row = _row(
        metrics={"a": 1.0},
        parameters={"text": "5", "flag": True, "words": "abcd"},
        model="wine:3",
        state="Canceled",
        reason="early termination by median",
        duration_s=5400.0,
    )

    if is_match is None:
        with pytest.raises(FilterError, match="no run here has a metric 'gone'; available: a"):
            _matches(source, row)
    else:
        assert _matches(source, row) is is_match


@pytest.mark.parametrize(
    ("parameters", "source", "is_match"),
    [
        ({"options": {"a": 1}, "a": 2}, "a = 2", True),
        ({"options": {"a": 1}}, "options ~ a", True),
        ({"text": 'a "a": 1, {', "a": 2}, "a = 2", True),
        ({"text": '"a":1', "a": 2}, "a = 2", True),
        ({"\\": 1, '"': 2, 'a":3, "b': 4}, '`a":3, "b` = 4', True),
        ({"größe": 1, "a": None}, "größe = 1 and a is null", True),
    ],
)
def test_names_and_texts_that_look_like_the_form_they_are_kept_in(
    parameters: dict[str, Any], source: str, is_match: bool
) -> None:
    assert _matches(source, _row(parameters=parameters)) is is_match


@given(st.dictionaries(st.text(max_size=3) | st.just("a"), LOGGED | st.text() | st.dictionaries(st.just("a"), LOGGED)))
def test_the_value_of_a_name_is_what_was_logged(values: dict[str, Any]) -> None:
    row = _row(parameters=values)
    for name, value in values.items():
        column = column_of(FilterName("params", name, 0), [row])
        assert json.dumps(column.get(row)) == json.dumps(value)


def test_a_name_that_means_two_things_is_refused() -> None:
    row = _row(metrics={"a": 1}, parameters={"a": 2, "user": "x"}, tags={"a b": "y"})

    with pytest.raises(FilterError, match=r"'a' is a metric and a parameter here; write metrics\.a or params\.a"):
        _matches("a = 1", row)
    assert _matches("params.a = 2 and metrics.a = 1 and `a b` = y", row)
    assert _matches("user = anna and params.user = x", row)  # a field comes first


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("1.5h", 5400), ("1h30m", 5400), ("2 days", 172800), ("x", None), ("", None)]
)
def test_durations(text: str, seconds: float | None) -> None:
    assert duration_s(text) == seconds


@given(st.text())
def test_any_text_is_a_time_or_none(text: str) -> None:
    span(text, now_s=1.7e9)
    duration_s(text)
