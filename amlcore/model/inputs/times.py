"""Dates, durations and periods in a request: each has one reading, or is refused."""

from __future__ import annotations

import re
from typing import Any

CLOCK = r"\d{2}:\d{2}(:\d{2}([.,]\d{1,9})?)?"
DATE = re.compile(rf"\d{{4}}-\d{{2}}-\d{{2}}([T ]{CLOCK} ?(Z|[+-]\d{{2}}(:?\d{{2}})?)?)?", re.ASCII)
PERIOD = re.compile(rf"\d{{4}}(-?Q[1-4]|-\d{{2}}(-\d{{2}}([T ]{CLOCK}|/\d{{4}}-\d{{2}}-\d{{2}})?)?)?", re.ASCII)
NUMBER = re.compile(r"\s*[+-]?[\d.]+(e[+-]?\d+)?\s*", re.ASCII | re.IGNORECASE)

DAY_OR_MONTH = re.compile(
    r"(?<!\d)(?=(\d{1,2})(\s*[/.,-]\s*|\s+)(\d{1,2})\2(?:\d{4}|\d{2})(?!\d))", re.ASCII
)  # a lookahead, so that matches may overlap


def is_day_or_month(text: str) -> bool:
    """Whether `text` has a date that means another day if its month comes first than if its day does."""
    pairs = {(int(match[1]), int(match[3])) for match in DAY_OR_MONTH.finditer(text)}
    return any(first != second and 1 <= first <= 12 and 1 <= second <= 12 for first, second in pairs)


def parse_date(text: str) -> Any:
    """A pandas Timestamp.

    Raises
    ------
    ValueError
        It is not an ISO 8601 date: `03/04/2025` depends on the country, and `now` on the time.
    """
    import pandas as pd

    if not DATE.fullmatch(text):
        raise ValueError("is not a date such as 2025-04-03 or 2025-04-03T12:30:00")
    return pd.Timestamp(text.replace(",", "."))


def parse_duration(text: str) -> Any:
    import pandas as pd

    if NUMBER.fullmatch(text):
        raise ValueError("has no unit; write it as '1 days 02:00:00' or 'PT26H'")
    return pd.Timedelta(text)


def parse_period(text: str) -> Any:
    """The text from which `to_dtype` makes a pandas Period with the column's frequency."""
    if not PERIOD.fullmatch(text):
        raise ValueError("is not a period such as 2025-04 or 2025Q2")
    return text.partition("/")[0]


PARSERS = {"date": parse_date, "duration": parse_duration, "period": parse_period}


def fault(values: list[Any], kind: str, dtype: str | None, detail: dict[str, Any]) -> tuple[int, str] | None:
    """The first row whose text is not a date, duration or period of a column of `dtype`, and what is wrong."""
    parsed = []
    for row, text in enumerate(values):
        if text is None:
            continue
        try:
            value = PARSERS[kind](text)
        except (ValueError, TypeError, OverflowError) as error:
            reason = str(error)
            is_own = reason.startswith(("is not", "has no"))
            return row, f"{shown(text)} {reason if is_own else f'is not a valid {kind}'}"
        wrong = _form_mismatch(text, value, dtype, detail) if kind == "date" else None
        if wrong is not None:
            return row, f"{shown(text)} {wrong}"
        parsed.append((row, value))
    if not parsed or dtype is None or dtype == "object" or _are_kept([value for _, value in parsed], kind, dtype):
        return None
    row = next((row for row, value in parsed if not _are_kept([value], kind, dtype)), parsed[0][0])
    return row, f"{shown(values[row])} does not fit {dtype}"


def shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "…")


def _form_mismatch(text: str, value: Any, dtype: str | None, detail: dict[str, Any]) -> str | None:
    if (dtype or "").startswith(("datetime64", "timestamp")):
        is_aware = is_zoned(str(dtype))
        if is_aware and value.tz is None:
            return "has no time zone, such as Z or +02:00 at its end, but the model's dates have one"
        if not is_aware and value.tz is not None:
            return "has a time zone, but the model's dates have none"
    if "date" in detail.get("types", ()) and len(text) != len("2025-04-03"):
        return "has a time of day, but the model's dates have none"
    return None


def is_zoned(dtype: str) -> bool:
    return "," in dtype and "tz=None" not in dtype


def _are_kept(values: list[Any], kind: str, dtype: str) -> bool:
    """Whether the column's dtype can hold these values: within its bounds, and no finer than its unit."""
    import pandas as pd

    try:
        kept = to_dtype(values, kind, dtype).tolist()
    except (ValueError, TypeError, OverflowError):
        return False
    if kind == "period":
        return True
    same = pd.Timestamp if kind == "date" else pd.Timedelta
    return all(
        same(one) == (value.normalize() if dtype.startswith("date") and "[day]" in dtype else value)
        for one, value in zip(kept, values)
    )


def to_dtype(values: list[Any], kind: str, dtype: str) -> Any:
    """What `PARSERS` returned, None for null, as a Series of shape (n_rows,) and the given dtype."""
    import pandas as pd

    if kind == "period":
        frequency = dtype[len("period[") : -1]
        periods = [pd.NaT if one is None else pd.Period(one, frequency) for one in values]
        return pd.Series(pd.PeriodIndex(periods, freq=frequency))
    if "[pyarrow]" in dtype:
        naive = [one.date() if one is not None and dtype.startswith("date") else one for one in values]
        return pd.Series(naive, dtype=dtype)
    if kind == "duration":
        return pd.Series(pd.to_timedelta(pd.Series(values, dtype="object"))).astype(dtype)
    is_aware = is_zoned(dtype)
    filled = pd.Series([pd.NaT if one is None else one for one in values], dtype="object")
    dates = pd.to_datetime(filled, utc=True) if is_aware else pd.to_datetime(filled)
    return dates.dt.tz_convert(dtype.partition(",")[2].strip(" ]")).astype(dtype) if is_aware else dates.astype(dtype)
