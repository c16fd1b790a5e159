"""Times and durations as people write them in a filter."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta

_UNITS_S = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
    **dict.fromkeys(("w", "week", "weeks"), 7 * 86400.0),
}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)\s*")


@dataclass(frozen=True)
class Span:
    """From `start` until before `end`, in seconds since the epoch; the two are the same if a moment is meant."""

    start: float
    end: float


def duration_s(text: str) -> float | None:
    """The seconds in a duration such as `90`, `1.5h` or `2h30m`; None if it is none."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = _sum_of_parts(text.lower())
    return seconds if seconds == seconds else None  # noqa: PLR0124 - NaN is no duration


def _sum_of_parts(text: str) -> float:
    total, place = 0.0, 0
    while place < len(text):
        part = _PART.match(text, place)
        if part is None or part[2] not in _UNITS_S:
            return float("nan")
        total += float(part[1]) * _UNITS_S[part[2]]
        place = part.end()
    return total if text else float("nan")


def span(text: str, *, now_s: float) -> Span | None:
    """What is meant by a day, a moment or `7d`, which is the moment seven days ago; None if it is none of these.

    Without a time zone it is local, as tables show times.
    """
    words = text.strip().lower()
    if words == "now":
        return Span(now_s, now_s)
    if words in ("today", "yesterday"):
        day = datetime.fromtimestamp(now_s).date()
        return _day(day if words == "today" else day - timedelta(days=1))
    ago = _sum_of_parts(words.removesuffix("ago").strip())
    try:
        if ago == ago:  # noqa: PLR0124 - not NaN
            return Span(now_s - ago, now_s - ago)
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", words):
            return _day(date.fromisoformat(words))
        if not re.match(r"\d{4}-\d{2}-\d{2}[t ]", words):
            return None
        moment = datetime.fromisoformat(text.strip()).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
    return Span(moment, moment)


def _day(day: date) -> Span:
    """A local day; it has 23 or 25 hours when the clocks change."""
    start = datetime(day.year, day.month, day.day)
    return Span(start.timestamp(), (start + timedelta(days=1)).timestamp())
